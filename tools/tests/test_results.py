"""Tests of `make results`: the table shows the last epoch, and the highest one beside it."""

import json
import sys
from pathlib import Path

import results

EPOCHS = [
    {"epoch": 1, "test_accuracy": 0.9712, "seconds": 1.5},
    {"epoch": 2, "test_accuracy": 0.9702, "seconds": 2.5},
]


def record(seed):
    return {"model": "mlp", "seed": seed, "history": {"epochs": EPOCHS}}


def test_a_row_is_made_from_the_records_of_its_runs():
    row = results.row("mlp", [record(42), record(43)])
    seeds = "42: 97.02 (97.12 in 1), 43: 97.02 (97.12 in 1)"
    assert row == f"| mlp | 2 | 97.02 ± 0.00 % | {seeds} | 4 |"
    assert "± " not in results.row("mlp", [record(42)])


def test_whole_runs_go_to_the_lessons_and_short_ones_do_not(tmp_path, monkeypatch, capsys):
    calls = []

    def run(call, **_):
        calls.append(call)
        if "--record" in call:
            path = call[call.index("--record") + 1]
            seed = int(call[call.index("--seed") + 1])
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(json.dumps(record(seed)))

    monkeypatch.setattr(results.subprocess, "run", run)
    monkeypatch.setattr(results, "RECORDS", tmp_path / "records")
    out = ["results.py", "--out", str(tmp_path / "out"), "--seeds", "2"]
    monkeypatch.setattr(sys, "argv", [*out, "resnet_one_cycle"])
    assert results.main() == 0
    assert sorted(path.name for path in (tmp_path / "records").iterdir()) == [
        "resnet_one_cycle_42.json",
        "resnet_one_cycle_43.json",
    ]
    assert calls[1][1:6] == ["resnet", "--schedule", "one-cycle", "--epochs", "3"]
    assert calls[1][6:8] == ["--seed", "42"]
    assert "| resnet_one_cycle | 2 |" in capsys.readouterr().out

    monkeypatch.setattr(sys, "argv", [*out, "--epochs", "1", "mlp"])
    assert results.main() == 0
    assert not (tmp_path / "records" / "mlp_42.json").exists()
    assert (tmp_path / "out" / "mlp_42.json").exists()
