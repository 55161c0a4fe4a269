"""Tests of an installation for many users: what is copied, and what is refused."""

import os
import stat
import sys

import pytest

import course
import image
import install
import project


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small checkout with a lesson, an assignment and what a user has made in it."""
    root = tmp_path / "checkout"
    for name in (
        "mnist_kit/src/lib.rs",
        "tools/kernel.py",
        "notebooks/01_mlp.ipynb",
        "notebooks/records/mlp.json",
        "notebooks/assignments/report.ipynb",
        "notebooks/assignments/source/01_mlp/01_mlp.ipynb",
        "notebooks/assignments/submitted/ann/01_mlp/01_mlp.ipynb",
        "notebooks/assignments/corpus.toml",
        "build/kernel/lock",
        "target/release/mnist",
        "out/figures/a.png",
        ".git/config",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    monkeypatch.setattr(project, "ROOT", root)
    monkeypatch.setattr(project, "KIT", root / "mnist_kit")
    return root


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_copy_has_the_lessons_and_no_solutions(checkout, tmp_path):
    install.copy_checkout(tmp_path / "prefix")
    assert files(tmp_path / "prefix") == {
        "mnist_kit/src/lib.rs",
        "tools/kernel.py",
        "notebooks/01_mlp.ipynb",
        "notebooks/records/mlp.json",
        "notebooks/assignments/report.ipynb",
        "bin/mnist_kit",
    }
    assert os.access(tmp_path / "prefix" / "bin" / "mnist_kit", os.X_OK)
    # cargo goes by the times of the files.
    for name in ("mnist_kit/src/lib.rs", "notebooks/01_mlp.ipynb"):
        assert (tmp_path / "prefix" / name).stat().st_mtime_ns == (checkout / name).stat().st_mtime_ns


def test_everybody_reads_and_only_the_owner_writes(tmp_path):
    (tmp_path / "folder").mkdir(mode=0o777)
    (tmp_path / "folder" / "program").touch(mode=0o700)
    (tmp_path / "folder" / "text").touch(mode=0o600)
    (tmp_path / "folder" / "link").symlink_to("/nowhere")
    (tmp_path / "folder").chmod(0o777)
    install.open_for_all(tmp_path)
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "folder").iterdir()}
    assert (modes["program"], modes["text"]) == (0o755, 0o644)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o755


def test_a_place_that_others_cannot_enter_is_refused(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(project, "rust_problem", lambda: None)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    # The folders above belong to the test.
    monkeypatch.setattr(install, "closed_to_others", lambda path: closed if path == closed else None)
    with pytest.raises(project.Problem, match="cannot enter .*closed"):
        install.check(closed / "prefix")
    for overlapping in (checkout, checkout / "inside", checkout.parent):
        with pytest.raises(project.Problem, match="overlaps"):
            install.check(overlapping)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(project.Problem, match="not empty"):
        install.check(tmp_path / "full")
    install.check(tmp_path / "new")


def test_an_interpreter_in_a_home_is_refused(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(project, "rust_problem", lambda: None)
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "python3").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "home" / "python3"))
    others = install.closed_to_others
    monkeypatch.setattr(install, "closed_to_others", lambda path: None if path == tmp_path else others(path))
    with pytest.raises(project.Problem, match="make install PYTHON=/usr/bin/python3"):
        install.check(tmp_path / "new")


def test_which_folder_is_closed(tmp_path):
    tmp_path.chmod(0o700)
    assert install.closed_to_others(tmp_path / "a") is not None
    assert install.closed_to_others(install.Path("/usr/bin")) is None


def test_the_set_up_runs_without_the_home_of_who_installs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/home/ann/.cargo/bin:/usr/bin")
    monkeypatch.setenv("LIBTORCH", "/home/ann/libtorch")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    found = install.variables(tmp_path)
    assert found["PATH"].startswith(f"{tmp_path}/rust/bin:{tmp_path}/cargo/bin:") and "/home/ann" not in found["PATH"]
    assert found["CARGO_HOME"] == f"{tmp_path}/cargo" and found["HTTPS_PROXY"] == "http://proxy"
    assert "LIBTORCH" not in found


def test_the_kernel_of_an_installation_brings_its_own_rust(checkout):
    assert project.installed_kernel() == {}
    (checkout / "rust").mkdir()
    variables = project.installed_kernel()["env"]
    assert variables["PATH"] == f"{checkout}/rust/bin:{checkout}/cargo/bin:${{PATH}}"
    assert variables["CARGO_HOME"] == f"{checkout}/cargo"


def test_lessons_come_into_the_home_once(checkout, tmp_path):
    home = tmp_path / "home"
    course.bring(home)
    assert files(home / "notebooks") == {"01_mlp.ipynb", "records/mlp.json", "assignments/report.ipynb"}
    # The kit is in place as the first cell of a lesson names it.
    assert (home / "notebooks" / ".." / "mnist_kit").resolve() == checkout / "mnist_kit"
    (home / "notebooks" / "01_mlp.ipynb").write_text("my work")
    (home / "notebooks" / "records" / "mlp.json").unlink()
    course.bring(home)
    assert (home / "notebooks" / "01_mlp.ipynb").read_text() == "my work"
    assert (home / "notebooks" / "records" / "mlp.json").exists()


def test_an_image_needs_docker_or_buildah(monkeypatch):
    monkeypatch.setattr(image.shutil, "which", lambda program: None)
    monkeypatch.setattr(sys, "argv", ["image.py"])
    with pytest.raises(project.Problem, match="Start docker, or install buildah"):
        image.main()


def test_an_image_is_tried_after_it_is_built(monkeypatch):
    commands = []
    monkeypatch.setattr(image, "has_docker", lambda: True)
    monkeypatch.setattr(image, "run", lambda *command: commands.append(command))
    monkeypatch.setattr(sys, "argv", ["image.py"])
    image.main()
    assert [command[:2] for command in commands] == [("docker", "build"), ("docker", "run")]
    assert commands[0][-1] == project.ROOT and "01_mlp.ipynb" in commands[1][-1]
