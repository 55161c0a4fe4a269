"""`make demo` finds the result of a lesson in its outputs."""

import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_notebook, new_output

import check_notebooks
import demo
import project


def saved(folder, *texts):
    path = folder / "lesson.ipynb"
    outputs = [new_output("stream", name="stdout", text=text) for text in texts]
    write(new_notebook(cells=[new_code_cell("1", outputs=outputs)]), path)
    return path


def test_the_last_line_counts_and_then_the_table_of_results(tmp_path):
    table = "            published  measured\ntest accuracy   98.25 %   97.50 %\nepochs   7   7\n"
    printed = "Final test accuracy: 96.00 %\nFinal test accuracy: 97.02 %\n"
    assert demo.accuracy(saved(tmp_path, printed, table)) == "97.02 %"
    assert demo.accuracy(saved(tmp_path, "model  test accuracy\nCNN  99.00 %\n", table)) == "97.50 %"
    assert demo.accuracy(saved(tmp_path, "nothing")) is None


@pytest.mark.parametrize("path", sorted((project.ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_recorded_lesson_has_a_result(path):
    if path.stem not in check_notebooks.TO_BE_RECORDED:
        assert demo.accuracy(path)
