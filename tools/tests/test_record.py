"""`make record` records whole runs of committed code, and nothing else."""

import json
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import check_notebooks
import project
import record
import run_notebook

DATA = "folder $MNIST_KIT_DATA\nsplit  images    shape  classes\n-----  ------  -------  -------\n"
ENVIRONMENT = "part       found\n---------  -----\nCUDA       no\ndevice     CPU, 2 threads\n"


def table(text):
    return new_output("execute_result", data={"text/plain": text}, execution_count=1)


def git(folder, *arguments):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A committed lesson in a repository of its own, whose run shows what it should."""
    path = tmp_path / "notebooks" / "07_new.ipynb"
    path.parent.mkdir()
    (tmp_path / "mnist_kit").mkdir()
    for name in ("mnist_kit/lib.rs", "Cargo.toml", "Cargo.lock"):
        (tmp_path / name).write_text("as committed")
    cells = [new_markdown_cell("# Lesson"), new_code_cell("environment()"), new_code_cell("mnist")]
    nbformat.write(new_notebook(cells=cells), path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["record.py", str(path)])
    monkeypatch.delenv("MNIST_KIT_QUICK", raising=False)
    runs_with(monkeypatch, DATA)
    return path


def runs_with(monkeypatch, data, failure=None, meanwhile=lambda: None):
    """Replaces the kernel."""

    def run(source, kernel, folder, limit):
        executed = nbformat.read(source, as_version=4)
        for count, (cell, text) in enumerate(zip(executed.cells[1:], (ENVIRONMENT, data)), 1):
            cell.execution_count, cell.outputs = count, [table(text)]
        meanwhile()
        return executed, failure

    monkeypatch.setattr(run_notebook, "run", run)


def read(path):
    return json.loads(path.read_text())


def refused(path, match):
    """Expects a Problem, and a notebook that stays as it was."""
    before = path.read_bytes()
    with pytest.raises(project.Problem, match=match):
        record.main()
    assert path.read_bytes() == before


def test_outputs_and_their_record_are_written(lesson, monkeypatch):
    book = read(lesson)
    book["metadata"]["mnist_kit"] = {"published": ["96.98"]}
    lesson.write_text(json.dumps(book))
    assert record.main() == 0
    book = read(lesson)
    recorded = book["metadata"]["mnist_kit"]["record"]
    assert set(book["metadata"]["mnist_kit"]) == {"record"}, "what was there before is replaced"
    assert recorded["code_sha256"] == check_notebooks.code_sha256(book)
    assert recorded["commit"] == git(lesson.parent, "rev-parse", "--short", "HEAD")
    assert (recorded["device"], recorded["threads"]) == ("CPU", 2)
    assert recorded["data"] == "folder $MNIST_KIT_DATA"
    assert recorded["seconds"] == 0 and recorded["date"].startswith("20")
    assert check_notebooks.problems_of(lesson, to_be_recorded=False) == []


def test_a_failed_run_records_nothing(lesson, monkeypatch, capsys):
    before = lesson.read_bytes()
    runs_with(monkeypatch, DATA, run_notebook.CellFailed(2, "mnist", "no data"))
    assert record.main() == 1
    assert lesson.read_bytes() == before
    assert "Nothing was recorded" in capsys.readouterr().err


def test_quick_mode_is_refused_before_the_run(lesson, monkeypatch):
    monkeypatch.setenv("MNIST_KIT_QUICK", "1")
    refused(lesson, "MNIST_KIT_QUICK is 1, but a record is a whole run")


@pytest.mark.parametrize("title", ["generated digits (not MNIST)", "quick mode: a slice of cache ~/x"])
def test_other_images_than_all_of_mnist_are_refused(lesson, monkeypatch, title):
    runs_with(monkeypatch, DATA.replace("folder $MNIST_KIT_DATA", title))
    refused(lesson, "a record needs all of MNIST")


def test_a_notebook_that_does_not_show_its_data_is_refused(lesson, monkeypatch):
    # The table of an evaluation begins alike.
    runs_with(monkeypatch, "split  images  right\n")
    refused(lesson, "no cell shows where the images come from")


@pytest.mark.parametrize("name", ["mnist_kit/lib.rs", "Cargo.lock"])
def test_uncommitted_sources_are_refused(lesson, name):
    (lesson.parent.parent / name).write_text("changed")
    refused(lesson, f"differ from commit(.|\n)*{name}(.|\n)*Commit them")


def test_uncommitted_code_is_refused_and_uncommitted_prose_is_not(lesson):
    book = read(lesson)
    book["cells"][0]["source"] = "# A better title"
    lesson.write_text(json.dumps(book))
    assert record.main() == 0
    book["cells"][2]["source"] = "mnist.train"
    lesson.write_text(json.dumps(book))
    refused(lesson, r"07_new.ipynb \(its code cells\)")


def test_a_notebook_outside_a_repository_is_refused(lesson, monkeypatch, tmp_path_factory):
    monkeypatch.setattr(project, "ROOT", tmp_path_factory.mktemp("elsewhere"))
    refused(lesson, "there is no git repository here")


def test_prose_that_is_edited_during_the_run_stays(lesson, monkeypatch):
    def edit(index, source):
        book = read(lesson)
        book["cells"][index]["source"] = source
        lesson.write_text(json.dumps(book))

    runs_with(monkeypatch, DATA, meanwhile=lambda: edit(0, "# Edited"))
    assert record.main() == 0
    book = read(lesson)
    assert "".join(book["cells"][0]["source"]) == "# Edited" and book["cells"][2]["outputs"]
    runs_with(monkeypatch, DATA, meanwhile=lambda: edit(2, "mnist.test"))
    with pytest.raises(project.Problem, match="was edited during the run"):
        record.main()
