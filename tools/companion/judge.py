"""What a cell has come to: the evidence about a request, and the verdict.

evcxr answers `ok` to a cell that panicked, or that ended at a `?`, and it believes a cell that
prints the marker of its own end. So a cell is `ok` only if the evidence says so.
"""

from __future__ import annotations

import dataclasses
import re

from hints import hint_for

LOST = (
    "All variables are lost. Files are kept: "
    "if training saved a checkpoint, it can continue from it."
)

COLORS = re.compile(r"\x1b\[[0-9;]*m")


@dataclasses.dataclass
class Evidence:
    """What is known about an execute request once evcxr has answered."""

    code: str = ""
    # "ok" or "error"; None if evcxr has ended.
    answer: str | None = "ok"
    # The contents of the `error` messages that evcxr has published.
    errors: list[dict] = dataclasses.field(default_factory=list)
    # What the relay has reported.
    runs: int = 0
    completions: int = 0
    panicked: bool = False
    failed: bool = False
    question: str | None = None
    panics: list[dict] = dataclasses.field(default_factory=list)
    descriptors: list[str] = dataclasses.field(default_factory=list)
    # The end of what the cell has written to stderr.
    stderr: str = ""
    # Whether the relay has answered after the end.
    alive: bool = True
    # Whether the process of the cells has ended since the beginning.
    replaced: bool = False
    # Whether that process waits for the next cell; None if unknown.
    waiting: bool | None = None
    # Why the cell was asked to stop, "Interrupted" or "OutputLimit", and whether it was killed.
    stop: str | None = None
    killed: bool = False

    @property
    def running(self) -> bool:
        """Whether code of the cell is running, as opposed to being compiled."""
        return self.runs > self.completions


@dataclasses.dataclass
class Failure:
    """An error as Jupyter knows it."""

    ename: str
    evalue: str
    traceback: list[str]
    # Whether the process of the cells cannot be trusted any more and has to end.
    kill: bool = False

    def content(self) -> dict:
        """The content of an `error` message."""
        return {"ename": self.ename, "evalue": self.evalue, "traceback": self.traceback}


def failure(ename: str, *lines: str, kill: bool = False) -> Failure:
    """Builds an error from its message and lines with more about it."""
    first, *more = lines
    return Failure(ename, first, [f"{ename}: {first}", *more], kill)


def verdict(evidence: Evidence) -> Failure | None:
    """Returns why a cell has failed; None if it has not."""
    if evidence.answer is None:
        return failure("KernelDied", "The kernel (evcxr) has ended while the cell ran.", LOST)
    for check in (descriptors, killed, reported_by_evcxr, relay, forged, panic, question, output):
        found = check(evidence)
        if found:
            return found
    return None


def killed(evidence: Evidence) -> Failure | None:
    """The cell did not stop when asked to, and its process was ended."""
    if not evidence.killed:
        return None
    if evidence.stop == "OutputLimit":
        said = "The cell printed without end, so its process was ended."
        return failure("OutputLimit", said, LOST)
    return failure("Interrupted", "The cell did not stop, so its process was ended.", LOST)


def descriptors(evidence: Evidence) -> Failure | None:
    """The cell closed or redirected a standard stream, so it cannot be watched."""
    if not evidence.descriptors:
        return None
    names = " and ".join(sorted(set(evidence.descriptors)))
    return failure(
        "Descriptor",
        f"The cell has closed or redirected {names}, over which the kernel learns how it ends.",
        f"The process of the cells was ended. {LOST}",
        kill=True,
    )


def reported_by_evcxr(evidence: Evidence) -> Failure | None:
    """evcxr itself reports an error: code that does not compile, or a process that ended."""
    if evidence.answer == "ok":
        return None
    if not evidence.errors:
        return failure("Error", "evcxr reported an error without a message.")
    first = evidence.errors[0]
    said = first.get("evalue", "")
    if "Subprocess terminated with status" in said:
        panics = [panic_failure(panic, evidence.code).traceback for panic in evidence.panics]
        more = [line for lines in panics for line in lines]
        return failure("ProcessEnded", f"The process of the cells has ended. {said}", *more, LOST)
    traceback = [line for error in with_hint(evidence.errors) for line in error.get("traceback", [])]
    return Failure(first.get("ename", "Error"), COLORS.sub("", said), traceback)


def with_hint(errors: list[dict]) -> list[dict]:
    """Adds to evcxr's last error what a learner can do, if there is something."""
    lines = [line for error in errors for line in (error.get("evalue", ""), *error.get("traceback", []))]
    hint = hint_for("\n".join(lines))
    if hint is None:
        return errors
    *others, last = errors
    return [*others, last | {"traceback": [*last.get("traceback", []), hint]}]


def relay(evidence: Evidence) -> Failure | None:
    """The relay, which reports panics, is gone."""
    if evidence.alive:
        return None
    if not evidence.replaced:
        return failure(
            "RelayLost",
            "The kernel has lost the connection over which it watches the cell.",
            f"The process of the cells was ended. {LOST}",
            kill=True,
        )
    if only_commands(evidence.code):
        return None
    return failure(
        "NotWatched",
        "The cell started a new process, and the code after that ran without being watched.",
        "Put commands such as `:clear` into a cell of their own.",
    )


def only_commands(code: str) -> bool:
    """Whether a cell holds nothing but evcxr's commands and comments."""
    lines = (line.strip() for line in code.splitlines())
    return all(not line or line.startswith((":", "!", "//")) for line in lines)


def forged(evidence: Evidence) -> Failure | None:
    """evcxr has been told that the cell has ended when it had not, or the other way round."""
    if evidence.alive and (evidence.runs != evidence.completions or evidence.waiting is False):
        return failure(
            "Forged",
            "The cell has printed the marker with which evcxr ends a cell, so its end is unknown.",
            f"The process of the cells was ended. {LOST}",
            kill=True,
        )
    return None


def panic(evidence: Evidence) -> Failure | None:
    """The cell has panicked, or a thread has while it ran.

    A panic of the cell itself counts if it reached the end of the cell. A cell can catch its own
    panics. Those of a thread count in any case: nobody may have looked at its result.
    """
    threads = [panic for panic in evidence.panics if not panic.get("main")]
    if evidence.panicked:
        own = [panic for panic in evidence.panics if panic.get("main")]
        if own:
            found = panic_failure(own[-1], evidence.code)
            # `a scoped thread panicked` and a failed `join` say little about the cause.
            for thread in threads:
                found.traceback += panic_failure(thread, evidence.code).traceback
            return found
        if not threads:
            return failure("Panic", last_line(evidence.stderr) or "the cell has panicked")
    return panic_failure(threads[0], evidence.code) if threads else None


def caught_panics(evidence: Evidence) -> list[Failure]:
    """The panics that a cell has caught itself: they are no errors, but they are shown."""
    if evidence.answer != "ok" or evidence.panicked:
        return []
    return [panic_failure(panic, evidence.code) for panic in evidence.panics if panic.get("main")]


def panic_failure(panic: dict, code: str) -> Failure:
    """Turns the report of a panic into an error."""
    lines = [panic.get("message") or "the panic carries no message"]
    at = panic.get("at")
    if at:
        number = line_number(at, code)
        lines.append(f"   at line {number}: {at}" if number else f"   at: {at}")
    if not panic.get("main"):
        name = panic.get("thread")
        lines.append(f"   in the thread `{name}`" if name else "   in a thread of its own")
    return failure("Panic", *lines)


def late_panic(panic: dict, code: str) -> Failure:
    """A panic of a thread that its cell has left behind."""
    found = panic_failure(panic, code)
    found.traceback.append("The cell had ended before. The next cell will not be run.")
    return found


def question(evidence: Evidence) -> Failure | None:
    """A `?` at the top level has ended the cell."""
    if not evidence.failed:
        return None
    said = evidence.question or tail(evidence.stderr) or "a `?` has ended the cell"
    ename = "Interrupted" if evidence.stop == "Interrupted" else "Error"
    return failure(ename, said, "A `?` has ended the cell here. The variables it defined are lost.")


def output(evidence: Evidence) -> Failure | None:
    """The cell was stopped because of what it printed, and ended by itself."""
    if evidence.stop == "OutputLimit":
        return failure("OutputLimit", "The cell printed without end and was stopped.")
    return None


def line_number(at: str, code: str) -> int | None:
    """Finds the line of a cell, if only one can be meant."""
    found = [number for number, line in enumerate(code.splitlines(), 1) if line.strip() == at]
    return found[0] if len(found) == 1 else None


def tail(text: str) -> str:
    """Returns the last lines of a text."""
    return "\n".join(text.strip().splitlines()[-10:])


def last_line(text: str) -> str:
    """Returns the last line of a text that is not empty."""
    return (text.strip().splitlines() or [""])[-1]
