"""Lesson 1 in the browser, from the first cell to the last."""

import nbformat
from playwright.sync_api import expect

# The figures that the lesson exports: network, samples, curves, predictions, confidence, two confusion
# matrices, surest mistakes, thirty epochs.
FIGURES = 9


def test_lesson_1_runs_and_shows_its_pictures(open_notebook, server):
    name = "01_mlp.ipynb"
    notebook = without_outputs(server.root / name)
    view = open_notebook(name)
    last = len([cell for cell in notebook.cells if cell.cell_type == "code"]) - 1
    view.run_all()
    expect(view.prompt(last)).not_to_have_text("[ ]:")
    # A failing cell ends the run early, and the prompts of the cells behind it are empty again.
    expect(view.running()).to_have_count(0, timeout=1_800_000)
    assert view.errors() == []
    view.wait_for(last)
    # The curve that has grown during the training ends as the figure of the curves.
    assert len(set(view.pictures())) == FIGURES
    for index, cell in enumerate(code_cells(notebook)):
        if ".export(" in cell.source:
            assert view.output(index).locator("img").count() == 1, cell.source
            view.screenshot(f"lesson-1-{figure_name(cell.source)}", index)
        if "confusion_matrix.per_class_table()" in cell.source:
            # A header and a row for each digit.
            assert view.output(index).locator("tr").count() >= 11
            view.screenshot("lesson-1-table", index)


def without_outputs(path):
    """Removes the recorded outputs, so that every output on screen is of this run."""
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)
    return notebook


def code_cells(notebook):
    """Returns the code cells of a notebook."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def figure_name(source):
    """Returns the name under which a cell exports its figure: `01_curves`."""
    return source.split('.export("')[1].split('"')[0]
