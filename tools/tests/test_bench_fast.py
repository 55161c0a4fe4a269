"""Tests of `make bench-fast`: the table and the record are made from the runs."""

import json
import sys

import bench_fast

RUNS = [
    bench_fast.of("mnist_kit", 1, 0.991, 2.0004, 1.0),
    bench_fast.of("PyTorch", 1, 0.990, 5.0, 3.0),
    bench_fast.of("mnist_kit", 2, 0.993, 3.0, 2.0),
    bench_fast.of("PyTorch", 2, 0.992, 4.0, 3.0),
]


def test_the_table_has_means_medians_and_ratios():
    rows = bench_fast.table(RUNS).splitlines()[2:]
    assert rows == [
        "| mnist_kit | 2 | 99.20 ± 0.14 %, 99.10 % | 2.50, 2.00–3.00 | 1.50 | 1.00 |",
        "| PyTorch | 2 | 99.10 ± 0.14 %, 99.00 % | 4.50, 4.00–5.00 | 3.00 | 0.56 |",
    ]


def test_programs_take_turns_and_all_runs_are_recorded(tmp_path, monkeypatch):
    calls = []

    def timed(call):
        calls.append(call)
        seed = int(call[call.index("--seed") + 1])
        if "--record" not in call:
            return 5.0, 'a warning\n{"test_accuracy": 0.99, "training_seconds": 3.0}\n'
        epochs = [{"epoch": 1, "test_accuracy": 0.991, "seconds": 1.5}]
        about = {"settings": {"lr": 0.01}, "commit": "da218d6", "device": "CPU", "threads": 2}
        record = {**about, "date": "2026-11-28", "seed": seed, "history": {"epochs": epochs}}
        with open(call[call.index("--record") + 1], "w") as file:
            json.dump(record, file)
        return 2.0, ""

    monkeypatch.setattr(bench_fast, "timed", timed)
    monkeypatch.setattr(bench_fast.subprocess, "run", lambda *_, **__: None)
    path = tmp_path / "comparison.json"
    arguments = ["bench_fast.py", "--seeds", "2", "--first", "7", "--compiled", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--record", str(path)])
    assert bench_fast.main() == 0
    record = json.loads(path.read_text())
    # Each program has run once before.
    assert [call[call.index("--seed") + 1] for call in calls[:3]] == ["0", "0", "0"]
    runs = [(run["program"], run["seed"], run["seconds"]) for run in record["runs"]]
    assert runs == [
        ("mnist_kit", 7, 2.0),
        ("PyTorch", 7, 5.0),
        ("PyTorch, compiled", 7, 5.0),
        ("mnist_kit", 8, 2.0),
        ("PyTorch", 8, 5.0),
    ]
    assert record["commit"] == "da218d6" and record["versions"].startswith("torch ")
    assert record["runs"][0]["training_seconds"] == 1.5
