"""The check of the recorded notebooks finds what does not belong together."""

import json
import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import check_notebooks
import project


def stream(text):
    return new_output("stream", name="stdout", text=text)


def code(source, count, *outputs):
    return new_code_cell(source, execution_count=count, outputs=list(outputs))


def notebook(*cells):
    """A notebook whose record fits its code."""
    book = new_notebook(cells=list(cells))
    book.metadata["mnist_kit"] = {"record": {"code_sha256": check_notebooks.code_sha256(book)}}
    return book


@pytest.fixture
def lesson():
    """A recorded lesson in which everything is right."""
    log = "Epoch 1/2: loss 0.5000, test 97.02 %\nEpoch 2/2: loss 0.2500, test 98.99 %\n"
    return notebook(
        new_markdown_cell("# Lesson 1.5\n\nIt trains for 2 epochs with `lr = 0.123`."),
        code("let lr = 1e-3;", 1),
        code("train()", 2, stream(log)),
        new_markdown_cell("The accuracy rises by 1.97 points to 98.99 %, about 99 %."),
    )


def test_a_recorded_lesson_passes(lesson):
    assert check_notebooks.findings(lesson) == []


def test_code_that_has_changed_is_found_and_prose_may_change(lesson):
    lesson.cells[0].source += " You will see."
    assert check_notebooks.findings(lesson) == []
    lesson.cells[1].source = "let lr = 1e-2;"
    (finding,) = check_notebooks.findings(lesson)
    assert finding == "all cells: the code has changed since it was recorded; run {record}"
    del lesson.metadata["mnist_kit"]
    assert "the outputs have no record" in check_notebooks.findings(lesson)[0]


def test_shuffled_cells_are_found(lesson):
    lesson.cells[1], lesson.cells[2] = lesson.cells[2], lesson.cells[1]
    stale, order = check_notebooks.findings(lesson)
    assert "the code has changed" in stale, "the order of the cells is part of the code"
    assert order == "cell 2: its execution count is 2, expected 1; run {record}"


def test_a_cell_that_was_not_run_is_found(lesson):
    lesson.cells[2].execution_count = None
    (finding,) = check_notebooks.findings(lesson)
    assert "cell 3: its execution count is None, expected 2" in finding


@pytest.mark.parametrize("line", ["Epoch 5/9: loss", "Epoch 5 [0/938] Loss", "[Epoch:    5] cost", "Epoch [5/9], Batch"])
def test_a_log_that_begins_at_epoch_5_is_found(line):
    # The line of the first epoch does not excuse another cell's log.
    whole, part = code("a", 1, stream(line.replace("5", "1"))), code("b", 2, stream(f"data\n{line}"))
    (finding,) = check_notebooks.findings(notebook(whole, part))
    assert finding.startswith("cell 2: its log begins at “") and "remove the checkpoint" in finding


def test_a_figure_may_divide_a_log():
    cell = code("a", 1, stream("Epoch 1/2: loss"), stream("Epoch 2/2: loss"))
    assert check_notebooks.findings(notebook(cell)) == []


def test_a_figure_that_was_shown_as_text_is_found():
    shown = {"text/plain": "Confusion matrix", "image/png": ""}
    debug = {"text/plain": 'Figure { title: Some("Confusion matrix"), .. }'}
    outputs = [new_output("execute_result", data=data, execution_count=1) for data in (shown, debug)]
    (finding,) = check_notebooks.findings(notebook(code("figure.title(text)", 1, *outputs)))
    assert finding.startswith("cell 1: it shows the text of a figure")


def test_an_error_is_found_where_no_cell_announces_it():
    error = new_output("error", ename="Panic", evalue="index out of bounds", traceback=[])
    failed = code("a[7]", 1, error)
    (finding,) = check_notebooks.findings(notebook(failed))
    assert finding.startswith("cell 1: it failed (index out of bounds)")
    failed.metadata["tags"] = ["raises-exception"]
    assert check_notebooks.findings(notebook(failed)) == []


def test_a_number_that_no_output_has_is_found_with_its_sentence(lesson):
    lesson.cells[3].source = "It ends well. The test accuracy is 99.41 %. That is good."
    (finding,) = check_notebooks.findings(lesson)
    assert finding.startswith("cell 4: 99.41 is in no output: “The test accuracy is 99.41 %”; correct it")


SUPPORTED = {
    "rounded": "a loss of 0.26",
    "as a percentage": "a quarter, 25.5 %, of them",
    "a whole percentage": "about 26 % of them",
    "with thousands": "1,234,567 parameters",
    "a difference": "1,234,467 more than the other",
    "a factor": "343.5 times as much",
    "read from a figure": "a confidence of 87.6 %",
    "in a formula": "$0.111 + x$ and $$0.222$$",
    "in code": "`0.111` and\n```\n0.222\n```\n",
    "in a heading": "## Version 3.33",
    "in a link": "[a paper](https://arxiv.org/abs/1512.03385) <img width=0.44>",
    "a year, a count": "In 2016, 9 epochs",
    "published": "| model | published |\n|---|---|\n| CNN | 98.74 % |\n\nThe source has 98.74 %.",
}


@pytest.mark.parametrize("kind", SUPPORTED)
def test_what_outputs_carry_may_be_said(kind):
    figure = new_output("display_data", data={"image/svg+xml": '<svg x="7.77"><text>87.6 %</text></svg>'})
    shown = new_output("execute_result", data={"text/plain": "1234567  100\n0.2550  1"})
    book = notebook(code("train(0.01)", 1, shown, figure), new_markdown_cell(SUPPORTED[kind]))
    assert check_notebooks.findings(book) == []


@pytest.mark.parametrize("said", ["a loss of 0.27", "83 % of them", "1,239,567 parameters", "7.77 pixels"])
def test_what_no_output_carries_may_not(said):
    figure = new_output("display_data", data={"image/svg+xml": '<svg x="7.77"><text>87.6 %</text></svg>'})
    shown = new_output("execute_result", data={"text/plain": "1234567\n0.2550"})
    book = notebook(code("train()", 1, shown, figure), new_markdown_cell(said))
    assert len(check_notebooks.findings(book)) == 1


def test_only_the_column_of_published_numbers_is_taken_on_trust():
    table = "| model | published | here |\n|---|---|---|\n| CNN | 98.74 % | 99.93 % |"
    (finding,) = check_notebooks.findings(notebook(new_markdown_cell(table)))
    assert finding.startswith("cell 1: 99.93 is in no output")


def test_a_finding_says_how_to_record_and_a_listed_lesson_must_not_pass(lesson, tmp_path):
    path = tmp_path / "07_new.ipynb"
    path.write_text(json.dumps(lesson))
    assert check_notebooks.problems_of(path, to_be_recorded=False) == []
    (problem,) = check_notebooks.problems_of(path, to_be_recorded=True)
    assert problem.startswith("07_new.ipynb passes: take it off TO_BE_RECORDED")
    lesson.cells[1].source = "let lr = 1e-2;"
    path.write_text(json.dumps(lesson))
    (problem,) = check_notebooks.problems_of(path, to_be_recorded=False)
    assert problem.startswith("07_new.ipynb, all cells: the code has changed")
    assert problem.endswith("run `make record NB=notebooks/07_new.ipynb`")
    assert check_notebooks.problems_of(path, to_be_recorded=True) == []


def test_the_notebooks_of_the_project_are_as_recorded():
    names = [path.stem for path in check_notebooks.NOTEBOOKS.glob("*.ipynb")]
    assert set(check_notebooks.TO_BE_RECORDED) <= set(names)
    assert check_notebooks.NOTEBOOKS == project.ROOT / "notebooks"
    assert check_notebooks.main() == 0


@pytest.mark.parametrize("path", sorted(check_notebooks.NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_lesson_ends_with_summary_questions_and_exercises(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    prose = "\n".join(
        check_notebooks.text_of(cell["source"]) for _, cell in check_notebooks.cells_of(notebook, "markdown")
    )
    parts = re.split(r"^## (Summary|Check yourself|Exercises)$", prose, flags=re.MULTILINE)
    assert parts[1::2] == ["Summary", "Check yourself", "Exercises"]
    assert re.search(r"^#+ .*program", parts[0], re.MULTILINE), "how to run it from the shell"
    questions, exercises = parts[4], parts[6]
    assert questions.count("<details>") == 5
    assert exercises.count("<details>") >= 4
