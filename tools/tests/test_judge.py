"""The verdict on a cell, from the evidence alone."""

import pytest

from companion.judge import Evidence, caught_panics, late_panic, verdict, with_hint

RAN = {"runs": 1, "completions": 1}
MAIN = {"message": "index out of bounds", "at": "numbers[7]", "line": 9, "main": True}
THREAD = {"message": "lost", "at": 'panic!("lost")', "main": False, "thread": "loader"}
COMPILE = {"ename": "Error", "evalue": "\x1b[31mmismatched types\x1b[0m", "traceback": ["a", "b"]}
DIED = {"ename": "Error", "evalue": "Subprocess terminated with status: exit status: 0"}


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(**RAN),
        Evidence(),
        Evidence(runs=2, completions=2, waiting=True),
        Evidence(**RAN, stderr="a warning\n"),
        # A cell may catch its own panic.
        Evidence(**RAN, panics=[MAIN]),
        # It stopped when asked to, and has what it had reached.
        Evidence(**RAN, stop="Interrupted"),
        Evidence(code=":clear\n// again\n\n!ls", alive=False, replaced=True),
    ],
)
def test_ok(evidence):
    assert verdict(evidence) is None


@pytest.mark.parametrize(
    ("ename", "evidence"),
    [
        ("KernelDied", Evidence(answer=None)),
        ("Panic", Evidence(**RAN, panicked=True, panics=[MAIN])),
        ("Panic", Evidence(**RAN, panicked=True)),
        ("Panic", Evidence(**RAN, panics=[THREAD])),
        ("Error", Evidence(**RAN, failed=True)),
        ("Error", Evidence(answer="error", errors=[COMPILE])),
        ("Error", Evidence(answer="error")),
        ("ProcessEnded", Evidence(answer="error", errors=[DIED], runs=1, alive=False)),
        ("Interrupted", Evidence(answer="error", errors=[DIED], stop="Interrupted", killed=True)),
        ("Interrupted", Evidence(**RAN, failed=True, stop="Interrupted")),
        ("OutputLimit", Evidence(answer="error", errors=[DIED], stop="OutputLimit", killed=True)),
        ("OutputLimit", Evidence(**RAN, stop="OutputLimit")),
        ("Forged", Evidence(runs=1, completions=2)),
        ("Forged", Evidence(runs=1, completions=0)),
        ("Forged", Evidence(**RAN, waiting=False)),
        ("Forged", Evidence(runs=1, completions=2, panicked=True, panics=[MAIN])),
        ("Descriptor", Evidence(**RAN, descriptors=["stdout"])),
        ("Descriptor", Evidence(answer="error", errors=[DIED], descriptors=["stdout"], runs=1)),
        ("RelayLost", Evidence(**RAN, alive=False)),
        ("NotWatched", Evidence(code=":clear\nassert!(false);", alive=False, replaced=True)),
    ],
)
def test_errors(ename, evidence):
    found = verdict(evidence)
    assert found.ename == ename and found.evalue and found.traceback
    # What cannot be trusted is ended.
    assert found.kill == (ename in ("Forged", "Descriptor", "RelayLost"))


def test_a_panic_names_the_line_of_the_cell():
    code = "let numbers = vec![1];\n    numbers[7]"
    found = verdict(Evidence(code=code, **RAN, panicked=True, panics=[MAIN]))
    assert found.traceback == ["Panic: index out of bounds", "   at line 2: numbers[7]"]
    # The same line twice, or one of a crate: there is no number to be had.
    found = verdict(Evidence(code="numbers[7]\nnumbers[7]", **RAN, panicked=True, panics=[MAIN]))
    assert found.traceback[1] == "   at: numbers[7]"


def test_a_panic_that_the_cell_has_caught_is_shown():
    (caught,) = caught_panics(Evidence(**RAN, panics=[MAIN, THREAD]))
    assert caught.evalue == "index out of bounds"
    assert not caught_panics(Evidence(**RAN, panicked=True, panics=[MAIN]))


def test_a_panic_that_ends_the_process_is_told():
    found = verdict(Evidence(answer="error", errors=[DIED], runs=1, panics=[MAIN]))
    assert "Panic: index out of bounds" in found.traceback


def test_a_panic_of_which_the_cell_has_hidden_the_message_takes_the_end_of_stderr():
    found = verdict(Evidence(**RAN, panicked=True, stderr="first\nmy own hook\n"))
    assert found.evalue == "my own hook"


def test_a_panic_of_a_thread_names_the_thread():
    found = verdict(Evidence(**RAN, panics=[THREAD]))
    assert "`loader`" in found.traceback[-1]
    scoped = {"message": "a scoped thread panicked", "main": True}
    found = verdict(Evidence(**RAN, panicked=True, panics=[THREAD, scoped]))
    assert found.evalue == "a scoped thread panicked" and "Panic: lost" in found.traceback
    assert "next cell" in late_panic(THREAD, "").traceback[-1]


def test_a_question_mark_tells_the_message_of_its_error():
    assert verdict(Evidence(**RAN, failed=True, stderr="No such file\n")).evalue == "No such file"
    found = verdict(Evidence(**RAN, failed=True, stderr="a\nb\n", question="No such file"))
    assert found.evalue == "No such file"


def test_an_error_of_the_compiler_is_passed_on():
    found = verdict(Evidence(answer="error", errors=[COMPILE, {**COMPILE, "traceback": ["c"]}]))
    assert (found.evalue, found.traceback) == ("mismatched types", ["a", "b", "c"])


def test_a_lost_process_says_what_is_lost():
    for evidence in (
        Evidence(answer="error", errors=[DIED]),
        Evidence(answer="error", errors=[DIED], stop="Interrupted", killed=True),
        Evidence(**RAN, descriptors=["stderr"]),
    ):
        text = "\n".join(verdict(evidence).traceback)
        assert "All variables are lost" in text and "checkpoint" in text


def test_an_error_of_the_offline_mode_says_how_to_go_online():
    error = COMPILE | {"evalue": "no matching package", "traceback": ["offline mode (--offline)"]}
    found = verdict(Evidence(answer="error", errors=[error]))
    assert "`:offline 0`" in found.traceback[-1]
    assert with_hint([COMPILE]) == [COMPILE]
