"""Tests of `make doctor`: it names what is missing, and fails only for what is required."""

import subprocess
import sys

import doctor
import pytest
import project

PARTS = (
    "rustc",
    "cargo",
    "C++ compiler",
    "Python packages",
    "libtorch",
    "evcxr_jupyter",
    "kernel template",
    "kernelspec",
    "program mnist",
    "MNIST",
)


def test_a_machine_that_is_set_up_passes():
    command = [sys.executable, project.ROOT / "tools" / "doctor.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in PARTS:
        assert part in done.stdout


def test_missing_parts_are_named_with_their_remedy(monkeypatch, capsys):
    monkeypatch.setattr(project, "evcxr", lambda: None)
    monkeypatch.setattr(project, "torch_version", lambda: "2.0.0+cpu")
    assert doctor.main() == 1
    lines = capsys.readouterr().out.splitlines()
    evcxr = next(line for line in lines if line.startswith("MISSING evcxr_jupyter"))
    libtorch = next(line for line in lines if line.startswith("MISSING libtorch "))
    assert "-> run `make setup`" in evcxr
    assert "2.0.0+cpu" in libtorch and "2.13.0" in libtorch
    assert "evcxr_jupyter" in lines[-1] and "libtorch" in lines[-1]


@pytest.mark.parametrize(
    ("variant", "cuda", "says", "broken"),
    [
        (project.LIBTORCH_CPU, False, "CPU part of the CUDA wheel", False),
        (project.LIBTORCH_CPU, True, "CPU part of the CUDA wheel", True),
        (project.LIBTORCH_CUDA, False, "complete, with CUDA", False),
        (None, False, "not found", True),
    ],
)
def test_the_variant_of_libtorch_is_named(variant, cuda, says, broken, monkeypatch):
    monkeypatch.setattr(project, "libtorch_variant", lambda: variant)
    monkeypatch.setattr(project, "wants_cuda", lambda: cuda)
    part = next(part for part in doctor.libtorch() if part.name == "libtorch variant")
    assert says in part.line() and part.is_broken() == broken
    assert not broken or "MNIST_KIT_CUDA" in part.line()


def test_an_outdated_rust_is_reported(monkeypatch):
    monkeypatch.setattr(project, "rust_version_found", lambda tool="rustc": "1.80.1")
    rustc, cargo = doctor.toolchain()[:2]
    for part in (rustc, cargo):
        assert part.is_broken() and "1.80.1" in part.line()
        assert f"{project.rust_version_needed()} or newer" in part.line()
        assert "rustup" in part.line()


def test_a_stale_template_is_told_apart_from_a_fresh_one(monkeypatch):
    import template

    monkeypatch.setattr(template, "found_fingerprint", lambda: {"base": "old", "kit": "old"})
    part = next(part for part in doctor.kernel() if part.name == "kernel template")
    assert part.found == "stale" and part.is_broken()


def test_missing_data_and_a_missing_program_are_notes(monkeypatch, tmp_path):
    monkeypatch.setenv("MNIST_KIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path))
    for part in (doctor.data(), doctor.program()):
        assert not part.is_broken() and part.line().startswith("note")
    assert str(tmp_path) in doctor.data().line()
    assert "-p mnist_kit_cli" in doctor.program().line()


@pytest.mark.parametrize("variable", ["MNIST_KIT_DATA", "MNIST_KIT_CACHE"])
def test_data_is_found_under_the_names_that_the_kit_reads(variable, monkeypatch, tmp_path):
    monkeypatch.delenv("MNIST_KIT_DATA", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    for name in (
        "train-images.idx3-ubyte",
        "emnist-letters-train-labels-idx1-ubyte.gz",
        "test-images-idx3-ubyte",
    ):
        (tmp_path / name).touch()
    assert str(tmp_path) != doctor.data().found
    (tmp_path / "t10k-labels-idx1-ubyte.gz").touch()
    assert str(tmp_path) == doctor.data().found


def test_versions_are_compared_by_number():
    assert project.at_least("1.100.0", "1.89")
    assert not project.at_least("1.88.2", "1.89")
    assert project.at_least("1.95.0-nightly", "1.95.0")
    assert not project.at_least(None, "1.0")
