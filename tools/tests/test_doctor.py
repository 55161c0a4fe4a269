"""`make doctor` says what is missing, and only what is needed fails it."""

import subprocess
import sys

import doctor
import pytest
import project


def test_a_machine_that_is_set_up_passes():
    done = subprocess.run([sys.executable, project.ROOT / "tools" / "doctor.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("rustc", "cargo", "C++ compiler", "python packages", "libtorch", "evcxr_jupyter", "kernel template", "kernelspec", "MNIST"):
        assert part in done.stdout


def test_what_is_missing_is_named_with_its_remedy(monkeypatch, capsys):
    monkeypatch.setattr(project, "evcxr", lambda: None)
    monkeypatch.setattr(project, "torch_version", lambda: "2.0.0+cpu")
    assert doctor.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("MISSING evcxr_jupyter") and "-> make setup" in line for line in lines)
    assert any(line.startswith("MISSING libtorch ") and "2.0.0+cpu" in line and "2.13.0" in line for line in lines)
    assert "evcxr_jupyter" in lines[-1] and "libtorch" in lines[-1]


def test_a_stale_template_is_told_apart_from_a_fresh_one(monkeypatch):
    import template

    monkeypatch.setattr(template, "wanted_fingerprint", lambda: {"base": "other", "kit": "other"})
    part = next(part for part in doctor.kernel() if part.name == "kernel template")
    assert part.found == "stale" and part.stops_work()


def test_missing_data_is_a_note(monkeypatch, tmp_path):
    monkeypatch.setenv("MNIST_KIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    part = doctor.data()
    assert not part.stops_work() and part.line().startswith("note") and str(tmp_path) in part.line()


@pytest.mark.parametrize("variable", ["MNIST_KIT_DATA", "MNIST_KIT_CACHE"])
def test_data_is_found_under_the_names_that_the_kit_reads(variable, monkeypatch, tmp_path):
    monkeypatch.delenv("MNIST_KIT_DATA", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    for name in ["train-images.idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte.gz", "test-images-idx3-ubyte"]:
        (tmp_path / name).touch()
    assert str(tmp_path) != doctor.data().found
    (tmp_path / "t10k-labels-idx1-ubyte.gz").touch()
    assert str(tmp_path) == doctor.data().found


def test_versions_are_compared_by_number():
    assert doctor.at_least("1.100.0", "1.89")
    assert not doctor.at_least("1.88.2", "1.89")
    assert doctor.at_least("1.95.0-nightly", "1.95.0")
    assert not doctor.at_least(None, "1.0")
