"""Tests of `make test`: it covers the whole workspace, and skips nothing without being told to."""

import pytest

import check
import conftest
import project


def test_every_cargo_command_covers_the_workspace_as_locked():
    commands = [step for step in check.steps(with_python=True) if step[0] == "cargo"]
    for command in commands:
        assert "--workspace" in command or command[1] == "fmt" and "--all" in command
        # `cargo fmt` resolves no dependencies and has no such option.
        assert "--locked" in command or command[1] == "fmt"


def test_a_missing_input_fails_before_anything_is_compiled(monkeypatch):
    monkeypatch.delenv("MNIST_KIT_DATA", raising=False)
    monkeypatch.setenv("MNIST_KIT_WEIGHTS", "somewhere")
    monkeypatch.setenv("MNIST_KIT_SKIP", "gpu,python")
    with pytest.raises(project.Problem) as raised:
        check.check_inputs()
    message = str(raised.value)
    assert "set MNIST_KIT_DATA" in message and "MNIST_KIT_SKIP=gpu,mnist,python." in message


def test_an_allowed_skip_is_announced(monkeypatch, capsys):
    monkeypatch.delenv("MNIST_KIT_DATA", raising=False)
    monkeypatch.delenv("MNIST_KIT_WEIGHTS", raising=False)
    monkeypatch.setenv("MNIST_KIT_SKIP", "mnist, weights,python")
    assert {"mnist", "weights"} <= set(check.check_inputs())
    said = capsys.readouterr().out
    assert "SKIPPED: tests that need mnist" in said and "SKIPPED: tests that need weights" in said


def test_without_python_only_cargo_runs():
    assert all(step[0] == "cargo" for step in check.steps(with_python=False))


def test_an_unknown_name_is_refused(monkeypatch):
    monkeypatch.setenv("MNIST_KIT_SKIP", "mnist,everything")
    with pytest.raises(project.Problem, match="names everything.*can name mnist, python"):
        project.skipped()


def test_the_helper_fails_or_skips(monkeypatch):
    monkeypatch.delenv("MNIST_KIT_DATA", raising=False)
    monkeypatch.delenv("MNIST_KIT_SKIP", raising=False)
    with pytest.raises(pytest.fail.Exception, match="MNIST_KIT_SKIP=mnist"):
        conftest.require("mnist")
    monkeypatch.setenv("MNIST_KIT_SKIP", "mnist")
    with pytest.raises(pytest.skip.Exception, match="mnist is missing"):
        conftest.require("mnist")
    monkeypatch.setenv("MNIST_KIT_DATA", "somewhere")
    conftest.require("mnist")
