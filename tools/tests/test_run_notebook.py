"""Notebooks that fail are failed, on the real kernel, by this runner and by Jupyter's own."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import project
import run_notebook

LIMIT = 15


def write(path, *cells):
    notebook = new_notebook(cells=[cell if not isinstance(cell, str) else new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": project.KERNEL_NAME, "display_name": project.KERNEL_TITLE, "language": "rust"}
    nbformat.write(notebook, path)
    return path


def execute(notebook, *options):
    command = [sys.executable, project.ROOT / "tools" / "run_notebook.py", notebook, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


FAILURES = {
    "panic": ('let numbers = vec![1, 2, 3];\nlet index = 7;\nprintln!("{}", numbers[index]);', ["Panic: index out of bounds", "at line 3: println!"]),
    "question-mark": ('let text = std::fs::read_to_string("/no/such/file")?;', ["No such file or directory"]),
    "compile-error": ('let number: i64 = "seven";', ["mismatched types"]),
    "exit": ("std::process::exit(3);", ["exit status: 3"]),
    "time-limit": ("loop { std::thread::sleep(std::time::Duration::from_secs(1)); }", [f"time limit of {LIMIT} s"]),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failing_cell_fails_the_run(kind, tmp_path):
    source, messages = FAILURES[kind]
    notebook = write(tmp_path / f"{kind}.ipynb", "let first = 1;", source, 'println!("never reached");')
    done = execute(notebook, "--timeout", LIMIT, "--output", tmp_path / "out.ipynb", "--html", tmp_path / "out.html")
    said = done.stdout + done.stderr
    page = (tmp_path / "out.html").read_text()
    assert done.returncode == 1, said
    assert "cell 2 failed" in done.stderr and "cell 2 failed" in page
    assert f"| {source.splitlines()[0]}" in done.stderr
    for message in messages:
        assert message in done.stderr
    assert "stack backtrace" not in said and "frame #" not in said
    outputs = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert not outputs[2].outputs, "the cell after the failure did not run"
    # `make record` alone writes into the notebook itself.
    assert not nbformat.read(notebook, as_version=4).cells[1].outputs
    done = execute(notebook, "--output", notebook)
    assert done.returncode != 0 and "make record" in done.stderr


def test_jupyters_own_runner_fails_a_panic_as_well(tmp_path):
    notebook = write(tmp_path / "panic.ipynb", FAILURES["panic"][0])
    options = ["--to", "notebook", "--execute", notebook, "--output", tmp_path / "done.ipynb"]
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", *options], capture_output=True, text=True
    )
    assert done.returncode != 0 and "index out of bounds" in done.stderr


LIVE = """{
    let pause = std::time::Duration::from_millis(250);
    for step in 0..3 {
        print!("\\rstep {step}");
        std::thread::sleep(pause);
    }
    println!();
    let mut bar = mnist_kit::ProgressBar::new("count", 3);
    for _ in 0..3 {
        std::thread::sleep(pause);
        bar.advance(1);
    }
};"""


def test_a_notebook_that_passes_is_written_without_traces_of_the_machine(tmp_path):
    expected = new_code_cell('panic!("on purpose")', metadata={"tags": ["raises-exception"]})
    folder = 'println!("{}", std::env::var("EVCXR_CONFIG_DIR")?);\nprintln!("two");'
    notebook = write(
        tmp_path / "good.ipynb", expected, 'eprintln!("spoken");', folder, "1 + 2", LIVE
    )
    output = tmp_path / "out.ipynb"
    done = execute(notebook, "--output", output, "--html", tmp_path / "out.html")
    assert done.returncode == 0, done.stdout + done.stderr
    text = output.read_text()
    assert str(project.ROOT) not in text and "./build/kernel/config" in text
    cells = nbformat.read(output, as_version=4).cells
    (panic,) = cells[0].outputs
    assert (panic.ename, panic.evalue) == ("Panic", "on purpose")
    assert panic.traceback == ["Panic: on purpose", '   at line 1: panic!("on purpose")']
    assert cells[1].outputs[0].name == "stderr"
    assert len(cells[2].outputs) == 1 and cells[2].outputs[0].text.endswith("two\n")
    assert cells[3].outputs[0].data["text/plain"] == "3"
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5]
    assert cells[3].outputs[0].execution_count == 4
    assert all("execution" not in cell.metadata for cell in cells)
    # Of what was overwritten the last state is left.
    steps, bar = cells[4].outputs
    assert steps.text == "step 2\n"
    assert bar.data["text/plain"].startswith("count: 3, ") and "transient" not in bar


LESSONS = sorted(path.stem for path in (project.ROOT / "notebooks").glob("*.ipynb"))


# Networks, schedules, and records of whole runs on MNIST.
FIGURES_WITHOUT_DATA = set(
    "01_network 02_network 03_cnn 03_deep_cnn 04_network 06_staged_cnn 04_learning_rate 06_one_cycle "
    "04_full_accuracy 04_full_confusion 04_full_curves 04_full_surest_mistakes 05_two_networks "
    "06_accuracy_seconds".split()
)


def notebook_of(lesson):
    return project.ROOT / "notebooks" / f"{lesson}.ipynb"


def quick(notebook, folder, **variables):
    """Runs a lesson on a slice of the data; returns what its figures say."""
    command = [sys.executable, project.ROOT / "tools" / "demo.py", notebook, folder]
    environment = os.environ | {"MNIST_KIT_QUICK": "1"} | variables
    done = subprocess.run(command, cwd=project.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Test accuracy: " in done.stdout
    assert (folder / f"{notebook.stem}.html").stat().st_size > 0
    assert json.loads((folder / notebook.name).read_text())
    figures = {path.stem: path.read_text() for path in (folder / "figures").glob("*.svg")}
    unmarked = {name for name, text in figures.items() if "quick mode" not in text}
    assert unmarked <= FIGURES_WITHOUT_DATA
    return "".join(figures.values())


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_on_mnist(lesson, tmp_path, mnist_folder):
    figures = quick(notebook_of(lesson), tmp_path, MNIST_KIT_DATA=str(mnist_folder))
    assert "quick mode" in figures and "generated" not in figures


# The first lesson, and the one that takes the most apart.
@pytest.mark.parametrize("lesson", [LESSONS[0], LESSONS[-1]])
def test_a_lesson_runs_on_generated_digits(lesson, tmp_path):
    offline = {"MNIST_KIT_DATA": "", "MNIST_KIT_CACHE": str(tmp_path), "MNIST_KIT_OFFLINE": "1"}
    assert "generated digits (not MNIST)" in quick(notebook_of(lesson), tmp_path, **offline)


# A fast one that shows classes by name.
@pytest.mark.parametrize("lesson", [LESSONS[1]])
def test_a_lesson_runs_on_fashion_mnist(lesson, tmp_path, mnist_folder):
    """MNIST's files, read as those of Fashion-MNIST: the classes are kinds of clothing."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "records").symlink_to(project.ROOT / "notebooks" / "records")
    text = notebook_of(lesson).read_text()
    for old, new in [("Mnist::load()", "Mnist::fashion()"), ("../mnist_kit", str(project.KIT))]:
        assert old in text
        text = text.replace(old, new)
    (folder / f"{lesson}.ipynb").write_text(text)
    clothing = {"MNIST_KIT_FASHION": str(mnist_folder), "MNIST_KIT_DATA": ""}
    figures = quick(folder / f"{lesson}.ipynb", tmp_path / "out", **clothing)
    assert "Ankle boot" in figures and "generated" not in figures


def test_a_cell_that_titles_a_figure_shows_the_figure(tmp_path):
    """evcxr shows debug text where the last expression moves a variable."""
    use = f':dep mnist_kit = {{ path = "{project.KIT}" }}\nuse mnist_kit::prelude::*;'
    figure = 'Lines::new("x", "y").series("a", [(0.0, 1.0), (1.0, 2.0)])'
    cells = [
        f'let figure = {figure}.plot()?;\nfigure.title("Titled")',
        f"let lines = {figure};\nlines.plot()?",
        'let table = Table::new(["a"]).row(["b"]);\ntable.title("Titled")',
        "let parts = vec![vec![1], vec![2]];\nfor part in parts { drop(part); }",
    ]
    notebook = write(tmp_path / "figures.ipynb", use, *cells)
    output = tmp_path / "out.ipynb"
    done = execute(notebook, "--output", output)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [cell.outputs for cell in nbformat.read(output, as_version=4).cells[1:]]
    kinds = [sorted(outputs[0].data) if outputs else [] for outputs in shown]
    picture = ["image/png", "image/svg+xml"]
    assert kinds == [picture, picture, ["text/html", "text/plain"], []]
