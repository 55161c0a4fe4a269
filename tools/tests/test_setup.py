"""Tests of the set-up: it chooses the right environment, and names what the user has to install."""

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
    """Builds a stand-in for a conda environment that sees the packages of this interpreter."""
    prefix = tmp_path / "conda"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    (packages,) = (prefix / "lib").glob("python*/site-packages")
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (prefix / "conda-meta").mkdir()
    return prefix


@pytest.fixture(autouse=True)
def forget():
    """Clears the cached choice of the environment around each test."""
    project.environment.cache_clear()
    yield
    project.environment.cache_clear()


def test_an_active_conda_environment_with_the_pins_is_used(conda, monkeypatch):
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
    # A full disk can cut the file short.
    file.write_text('{"argv": [')
    assert "installed in" in setup_project.kernelspec()


def test_a_conda_environment_without_the_pins_is_left_alone(conda, monkeypatch):
    shutil.rmtree(conda / "lib")
    monkeypatch.setenv("CONDA_PREFIX", str(conda))
    assert project.environment() == project.ROOT / ".venv"


def test_missing_system_packages_are_named(monkeypatch):
    monkeypatch.setattr(setup_project.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup_project, "environment_exists", lambda: False)
    monkeypatch.setattr(project, "output_of", lambda *command, **options: None)
    assert setup_project.missing_packages() == ["build-essential", "python3-venv"]
    install = "sudo apt-get install -y build-essential python3-venv"
    with pytest.raises(project.Problem, match=install):
        setup_project.system()


def test_rust_is_checked_first():
    first = setup_project.steps()[0]
    assert first.action is setup_project.rust


def test_a_missing_rust_is_reported_with_the_installer(monkeypatch):
    monkeypatch.setattr(project, "rust_version_found", lambda: None)
    monkeypatch.setattr(project.shutil, "which", lambda name: None)
    with pytest.raises(project.Problem) as raised:
        setup_project.rust()
    assert "Found: no Rust" in str(raised.value) and "install Rust with rustup" in str(raised.value)


def test_an_outdated_rust_is_reported_with_both_versions(monkeypatch):
    monkeypatch.setattr(project, "rust_version_found", lambda: "1.80.1")
    monkeypatch.setattr(project.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(project.Problem) as raised:
        setup_project.rust()
    message = str(raised.value)
    assert f"Rust {project.rust_version_needed()} or newer is needed" in message
    assert "Found: Rust 1.80.1" in message and "rustup update stable" in message


@pytest.fixture
def installed(monkeypatch):
    """Records which sets of packages the set-up installs, on a machine without a driver."""
    sets = []
    monkeypatch.setattr(setup_project, "install", lambda *arguments: sets.append(arguments))
    monkeypatch.setattr(project, "NVIDIA_DRIVER", ("/no/driver",))
    monkeypatch.delenv("MNIST_KIT_CUDA", raising=False)
    monkeypatch.setattr(project, "libtorch_variant", lambda: None)
    return sets


def test_without_a_driver_only_the_cpu_part_of_libtorch_is_installed(installed):
    assert setup_project.libtorch_package() == "CPU part of the CUDA wheel"
    assert [(name, *options) for name, _, *options in installed] == [
        (project.LIBTORCH_CPU, "--no-deps")
    ]


@pytest.mark.parametrize("reason", ["driver", "variable"])
def test_with_a_driver_or_on_request_libtorch_has_cuda(reason, installed, monkeypatch, tmp_path):
    if reason == "driver":
        monkeypatch.setattr(project, "NVIDIA_DRIVER", (str(tmp_path),))
    else:
        monkeypatch.setenv("MNIST_KIT_CUDA", "1")
    # The CPU part is there already.
    monkeypatch.setattr(project, "libtorch_variant", lambda: project.LIBTORCH_CPU)
    assert setup_project.libtorch_package() == "with CUDA"
    assert [name for name, *_ in installed] == [project.LIBTORCH_CUDA]


def test_the_driver_can_be_overruled_and_a_complete_libtorch_stays(installed, monkeypatch, tmp_path):
    monkeypatch.setattr(project, "NVIDIA_DRIVER", (str(tmp_path),))
    monkeypatch.setenv("MNIST_KIT_CUDA", "0")
    assert not project.wants_cuda()
    monkeypatch.setattr(project, "libtorch_variant", lambda: project.LIBTORCH_CUDA)
    assert setup_project.libtorch_package() == "with CUDA" and not installed
    monkeypatch.setenv("MNIST_KIT_CUDA", "yes")
    with pytest.raises(project.Problem, match="MNIST_KIT_CUDA is yes. Set it to 0 or 1"):
        project.wants_cuda()


def test_packages_for_tests_come_only_with_the_tests():
    def names(**options):
        return [step.name for step in setup_project.steps(**options)]

    assert "packages for tests" not in names()
    assert "packages for tests" in names(with_tests=True)


def test_a_linker_that_cannot_link_programs_is_named(monkeypatch, tmp_path):
    # An empty folder stands for a libtorch that the linker cannot use.
    monkeypatch.setattr(project, "LIBTORCH", tmp_path)
    project.links_programs.cache_clear()
    assert "use lld, Rust's default linker" in setup_project.linker_note()
    monkeypatch.undo()
    project.links_programs.cache_clear()
    assert setup_project.linker_note() == ""


def test_a_step_with_work_to_do_says_how_long_it_and_the_rest_take(monkeypatch, capsys):
    def work():
        setup_project.announce("compiling")
        setup_project.announce("linking")
        return "done"

    planned = [
        setup_project.Step("ready", lambda: "there", minutes=2),
        setup_project.Step("long", work, minutes=5),
        setup_project.Step("quick", lambda: "done"),
        setup_project.Step("last", work, minutes=1),
    ]
    monkeypatch.setattr(setup_project, "steps", lambda with_tests: planned)
    monkeypatch.setattr(sys, "argv", ["setup"])
    setup_project.main()
    said = capsys.readouterr().out
    assert "[1/4] ready: there (0.0 s)" in said
    assert "[2/4] long: compiling (about 5 minutes; the whole set-up, 6 at most)\nlinking\n" in said
    assert "[4/4] last: compiling (about 1 minute)\n" in said


@pytest.fixture
def cargo(monkeypatch, tmp_path):
    """A home of cargo without evcxr, and what installs it there; records the commands that run."""
    ran = []
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    monkeypatch.setattr(project.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup_project, "run", lambda *command, **options: ran.append(install(command)))
    project.evcxr.cache_clear()

    def install(command, version=project.EVCXR_VERSION):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / "evcxr_jupyter").touch(mode=0o755)
        (tmp_path / ".crates.toml").write_text(f'"evcxr_jupyter {version} (registry)" = []')
        return command

    yield install, ran
    project.evcxr.cache_clear()


def test_evcxr_is_compiled_as_locked_where_it_is_missing_or_another_version(cargo, monkeypatch):
    install, ran = cargo
    monkeypatch.setattr(project, "output_of", lambda *command, **options: None)
    install((), version="0.21.0")
    assert "installed" in setup_project.evcxr()
    package = f"evcxr_jupyter@{project.EVCXR_VERSION}"
    assert ran == [("cargo", "install", "--locked", package)]
    setup_project.evcxr()
    assert len(ran) == 1


@pytest.mark.parametrize("offered", [True, False])
def test_a_compiled_evcxr_is_downloaded_where_the_user_has_binstall(offered, cargo, monkeypatch):
    install, ran = cargo
    asked = []

    def output_of(*command, **options):
        asked.append(command)
        if command[2] != "-V" and offered:
            install(command)
        return ""

    monkeypatch.setattr(project, "output_of", output_of)
    assert "installed" in setup_project.evcxr()
    assert "--disable-strategies" in asked[1] and len(ran) == (0 if offered else 1)


def test_an_evcxr_of_the_right_version_on_path_is_used(cargo, monkeypatch, tmp_path):
    install, ran = cargo
    install(())
    monkeypatch.setenv("CARGO_HOME", "/nowhere")
    binary = tmp_path / "bin" / "evcxr_jupyter"
    monkeypatch.setattr(project.shutil, "which", lambda name: str(binary))
    assert project.evcxr() == binary and "installed" in setup_project.evcxr() and not ran


def test_only_the_pinned_uv_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(project, "BUILD", tmp_path)
    ran = []
    monkeypatch.setattr(setup_project, "run", lambda *command: ran.append(command))
    monkeypatch.setattr(setup_project.shutil, "which", lambda name: "/usr/bin/uv")
    monkeypatch.setattr(project, "output_of", lambda *command: f"uv {project.UV_VERSION} (linux)")
    assert setup_project.find_uv() == "/usr/bin/uv" and not ran
    monkeypatch.setattr(project, "output_of", lambda *command: "uv 0.1.0")
    assert setup_project.find_uv() == tmp_path / "uv" / "bin" / "uv"
    assert ran[-1][-1] == f"uv=={project.UV_VERSION}"


def test_a_problem_ends_a_tool_with_its_message_alone():
    code = "import project\ndef act(): raise project.Problem('do this')\nproject.main(act)"
    variables = os.environ | {"PYTHONPATH": str(project.ROOT / "tools")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    assert done.returncode == 1 and done.stderr.strip() == "do this"
