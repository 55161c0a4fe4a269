"""The set-up chooses the right environment, and says what only the machine's owner can install."""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

import project
import setup_project


@pytest.fixture
def conda(tmp_path):
    """A stand-in for a conda environment made from environment.yml: an interpreter that sees this one's packages."""
    prefix = tmp_path / "conda"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    (packages,) = (prefix / "lib").glob("python*/site-packages")
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (prefix / "conda-meta").mkdir()
    return prefix


@pytest.fixture(autouse=True)
def forget():
    project.environment.cache_clear()
    yield
    project.environment.cache_clear()


def test_an_activated_conda_environment_with_the_pins_is_used(conda, monkeypatch):
    monkeypatch.setenv("CONDA_PREFIX", str(conda))
    assert project.environment() == conda
    assert setup_project.python_environment() == f"complete in {conda}"
    assert project.kernelspec().is_relative_to(conda)


def test_the_kernelspec_goes_into_the_conda_environment(conda, monkeypatch):
    monkeypatch.setenv("CONDA_PREFIX", str(conda))
    assert "installed in" in setup_project.kernelspec()
    assert setup_project.kernelspec() == f"{project.KERNEL_TITLE}, installed"
    file = project.kernelspec() / "kernel.json"
    assert str(conda) in file.read_text()
    # What a full disk may leave behind.
    file.write_text('{"argv": [')
    assert "installed in" in setup_project.kernelspec()


def test_another_conda_environment_is_left_alone(conda, monkeypatch):
    shutil.rmtree(conda / "lib")
    monkeypatch.setenv("CONDA_PREFIX", str(conda))
    assert project.environment() == project.ROOT / ".venv"


def test_missing_system_packages_are_named(monkeypatch):
    monkeypatch.setattr(setup_project.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup_project, "environment_exists", lambda: False)
    monkeypatch.setattr(project, "output_of", lambda *command, **options: None)
    assert setup_project.missing_packages() == ["build-essential", "python3-venv"]
    monkeypatch.setattr(project, "toolchain_bin", lambda: "somewhere")
    with pytest.raises(project.Problem, match="sudo apt-get install -y build-essential python3-venv"):
        setup_project.system()


def test_rust_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(project, "toolchain_bin", lambda: None)
    with pytest.raises(project.Problem, match="rustup"):
        setup_project.system()


def test_a_problem_ends_a_tool_with_its_message_alone():
    code = "import project\ndef act(): raise project.Problem('do this')\nproject.main(act)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(project.ROOT / "tools")})
    assert done.returncode == 1 and done.stderr.strip() == "do this"
