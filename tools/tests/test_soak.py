"""A slice of the long work in one kernel of `make torture`."""

import sys

import conftest

sys.path.insert(0, str(conftest.TOOLS / "torture"))

import soak


def test_cells_that_train_and_draw_leave_nothing_open():
    figures, problems = soak.soak(cells=3)
    assert problems == []
    assert (figures["attempts"], figures["survived"], figures["lost"]) == (3, 3, 0)


def test_what_grows_is_named():
    before = soak.Usage(megabytes=1000, threads=20, files=100)
    cells = 10
    most = soak.Usage(
        1000 + cells * soak.MEGABYTES_PER_CELL, 20 + soak.MORE_THREADS, 100 + soak.MORE_FILES
    )
    assert most.beyond(before, cells) == []
    more = soak.Usage(most.megabytes + 1, most.threads + 1, most.files + 1)
    names = [problem.split()[0] for problem in more.beyond(before, cells)]
    assert names == ["megabytes", "threads", "files"]
    assert "threads grew from 20 to 29 in 10 cells, more than to 28" in more.beyond(before, cells)
