"""A slice of `make torture`'s kernels that start at once."""

import sys

import conftest

sys.path.insert(0, str(conftest.TOOLS / "torture"))

import churn
import crowd


def test_kernels_that_start_at_once_keep_to_themselves():
    figures, problems = crowd.crowd(2, lambda: None)
    assert problems == []
    assert (figures["attempts"], figures["survived"], figures["lost"]) == (3, 3, 0)


def test_a_kernel_that_answers_wrongly_is_lost(monkeypatch):
    monkeypatch.setattr(crowd, "Kernel", Stranger)
    monkeypatch.setattr(crowd.churn, "remains", lambda before: None)
    figures, problems = crowd.crowd(2, lambda: None)
    assert figures["lost"] == len(problems) == 3
    assert all("'99 100' was printed" in problem for problem in problems)


def test_what_was_there_before_may_stay_or_go(monkeypatch):
    monkeypatch.setattr(churn, "sweep", lambda: None)
    monkeypatch.setattr(churn, "SECONDS_TO_CLEAN_UP", 0)
    there = {"folder", 7}
    monkeypatch.setattr(churn, "present", lambda: there)
    for before in ({"folder", 7}, {"folder", "another", 7, 8}):
        assert churn.remains(before) is None
    assert churn.remains({"folder"}) == "left: 7"


class Stranger:
    """A kernel with the variables of another."""

    def ok(self, code):
        return self

    def text(self):
        return "99 100\n"

    def close(self):
        pass
