"""Tests of `make torture`: what is run, what is counted, and what is written down."""

import json
import sys

import pytest

import project
import torture

FIGURES = {"part": "read pth", "attempts": 100_000, "survived": 100_000, "lost": 0, "seconds": 61.2}


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.md"
    path.write_text(f"before\n{torture.BEGIN}{torture.END}after\n")
    return path


def test_a_run_replaces_the_rows_of_its_parts_and_no_others(report, monkeypatch):
    monkeypatch.setattr(torture, "provenance", lambda: "abc1234, 2026-11-28")
    torture.write([FIGURES, FIGURES | {"part": "read idx"}], report)
    torture.write([FIGURES | {"lost": 1, "survived": 99_999, "note": "64 MiB"}], report)
    lines = report.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after"
    assert [line for line in lines if line.startswith("| read")] == [
        "| read pth | 100,000 | 99,999 | 1 | 61 | 64 MiB, abc1234, 2026-11-28 |",
        "| read idx | 100,000 | 100,000 | 0 | 61 | abc1234, 2026-11-28 |",
    ]
    assert sum(line.startswith("| part") for line in lines) == 1
    assert sum(line.startswith("Machine: ") for line in lines) == 1


def test_something_lost_fails_the_run_and_a_fraction_is_not_written(monkeypatch, capsys):
    monkeypatch.setattr(torture, "write", lambda rows: pytest.fail("a fraction was written"))
    monkeypatch.setattr("sys.argv", ["torture.py", "--cases", "0.5", "pth"])
    monkeypatch.setitem(torture.PARTS, "pth", lambda fraction: iter([FIGURES]))
    assert torture.main() == 0
    assert "| read pth | 100,000 | 100,000 | 0 | 61 |  |" in capsys.readouterr().out
    monkeypatch.setitem(torture.PARTS, "pth", lambda fraction: iter([FIGURES | {"lost": 1}]))
    assert torture.main() == 1


def test_a_part_that_ends_badly_without_a_loss_is_a_problem():
    loss = json.dumps(FIGURES | {"lost": 1})
    assert next(torture.lines(["sh", "-c", f"echo '{loss}'; exit 1"]))["lost"] == 1
    with pytest.raises(project.Problem, match="ended with 3"):
        torture.lines(["sh", "-c", "echo crashed; exit 3"])


@pytest.mark.parametrize("arguments", [["--cases", "0"], ["--cases", "2"], ["pickles"]])
def test_what_makes_no_sense_is_refused(arguments, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["torture.py", *arguments])
    with pytest.raises(SystemExit):
        torture.main()
    assert "expected a fraction" in (error := capsys.readouterr().err) or "there are idx" in error


def test_the_report_has_a_place_for_the_table():
    text = torture.REPORT.read_text(encoding="utf-8")
    assert text.count(torture.BEGIN) == text.count(torture.END) == 1


@pytest.mark.skipif(not torture.HERE.exists(), reason="no scripts")
def test_every_script_is_there_and_knows_its_options():
    scripts = {"faults.py": "--limit", "soak.py": "--cells", "churn.py": "--kernels", "crowd.py": "--kernels"}
    for name, options in scripts.items():
        shown = project.output_of(sys.executable, torture.HERE / name, "--help")
        assert options in (shown or ""), name
