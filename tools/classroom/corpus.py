"""Submissions with known scores, each a small change of a solution or of a stub."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import time
import tomllib
from pathlib import Path

import project

from classroom import cells, course, grading, sandbox
from classroom.sandbox import MEGABYTE, Limits

FILE = course.COURSE / "corpus.toml"
SEED = 7


@dataclasses.dataclass
class Entry:
    """A submission of the corpus.

    `answers` replaces cells by name; `replace` lists, by cell, a text and what to put in its place;
    `points` names the test cells that do not earn all points (of a stub: those that earn any);
    `tamper` names one of the changes of `TAMPERING`.
    """

    assignment: str
    name: str
    base: str = "solution"
    answers: dict[str, str] = dataclasses.field(default_factory=dict)
    replace: dict[str, list[list[str]]] = dataclasses.field(default_factory=dict)
    points: dict[str, float] = dataclasses.field(default_factory=dict)
    # Only these cells are compared, if a hostile submission leaves others to chance.
    tamper: str = ""
    ci: bool = False
    seconds: float = 0.0


def entries() -> list[Entry]:
    """Reads the corpus."""
    text = FILE.read_text()
    places = {"COURSE": course.COURSE, "OUT": course.OUT, "ROOT": project.ROOT}
    for name, place in places.items():
        text = text.replace(f"{{{name}}}", str(place))
    return [Entry(**entry) for entry in tomllib.loads(text)["submission"]]


def delete_tests(made: list[dict]) -> list[dict]:
    """Deletes all test cells."""
    return [cell for cell in made if not cells.is_test(cell)]


def weaken_tests(made: list[dict]) -> list[dict]:
    """Replaces the content of all test cells."""
    return [{**cell, "source": 'println!("Passed");'} if cells.is_test(cell) else cell for cell in made]


def strip_metadata(made: list[dict]) -> list[dict]:
    """Removes what nbgrader knows of the test cells."""
    return [{**cell, "metadata": {}} if cells.is_test(cell) else cell for cell in made]


def inflate_points(made: list[dict]) -> list[dict]:
    """Gives the first test cell a thousand points, and makes it an answer."""
    changed = json.loads(json.dumps(made))
    for cell in changed:
        if cells.is_test(cell):
            cell["metadata"]["nbgrader"] |= {"points": 1000, "solution": True, "locked": False}
    return changed


TAMPERING = {function.__name__: function for function in (delete_tests, weaken_tests, strip_metadata, inflate_points)}


def submission(entry: Entry) -> dict:
    """Makes the notebook that is handed in."""
    source, release = course.source(entry.assignment), course.released(entry.assignment)
    if entry.base == "stub":
        answers = {}
    else:
        answers = {cells.grade_id(c): c.source for c in source.cells if cells.is_solution(c)}
    for name, changes in entry.replace.items():
        for old, new in changes:
            if old not in answers[name]:
                raise project.Problem(f"{entry.name}: `{name}` does not contain {old!r}")
            answers[name] = answers[name].replace(old, new)
    answers |= entry.answers
    known = {cells.grade_id(cell) for cell in release.cells}
    unknown = set(entry.answers) - known
    if unknown:
        raise project.Problem(f"{entry.name}: there is no cell {unknown}")
    made = [
        {**cell, "source": answers.get(cells.grade_id(cell), cell.source)} if cells.is_solution(cell) else dict(cell)
        for cell in release.cells
    ]
    if entry.tamper:
        made = TAMPERING[entry.tamper](made)
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def expected(entry: Entry) -> dict[str, float]:
    """The points of every test cell."""
    tests = {
        cells.grade_id(cell): float(cells.about(cell)["points"])
        for cell in course.source(entry.assignment).cells
        if cells.is_test(cell)
    }
    unknown = set(entry.points) - set(tests)
    if unknown:
        raise project.Problem(f"{entry.name}: there is no test {unknown}")
    if entry.base == "stub":
        tests = dict.fromkeys(tests, 0.0)
    return tests | {name: float(points) for name, points in entry.points.items()}


def main(only_slice: bool) -> int:
    """Grades the chosen submissions; returns 1 if a cell has other points than expected."""
    unsafe = bool(sandbox.unavailable())
    if unsafe and os.environ.get("UNSAFE") != "1":
        raise project.Problem(f"{sandbox.unavailable()}")
    chosen = [entry for entry in entries() if entry.ci or not only_slice]
    wanted = os.environ.get("NAMES")
    if wanted:
        chosen = [entry for entry in chosen if entry.name in wanted.split(",")]
    grading.prepare(unsafe)
    needed = sorted({entry.assignment for entry in chosen})
    course.release(needed, gradebook=False)
    graders, wrong = {name: grading.Grader(name, SEED, unsafe) for name in needed}, []
    print(f"{len(chosen)} submissions", flush=True)
    for number, entry in enumerate(chosen, 1):
        limits = Limits(cell_seconds=entry.seconds or 60, memory=3_000 * MEGABYTE)
        graders[entry.assignment].limits = limits
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "notebook.ipynb"
            path.write_text(json.dumps(submission(entry)))
            result = graders[entry.assignment].grade(path)
        found = {name: score.points for name, score in result.scores.items()}
        want = expected(entry)
        differences = [
            f"{name}: {found[name]:g}, expected {want[name]:g} {result.scores[name].lines}"
            for name in want
            if abs(found[name] - want[name]) > 0.01
        ]
        verdict = "as expected" if not differences else "; ".join(differences)
        got, total = sum(found.values()), sum(want.values())
        spent = time.monotonic() - started
        print(f"[{number}/{len(chosen)}] {entry.assignment} {entry.name}: {got:g} ({total:g}), {spent:.0f} s, {verdict}", flush=True)
        for remark in result.remarks:
            print(f"    {remark}", flush=True)
        wrong += [entry.name] if differences else []
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} as expected. {' '.join(wrong)}")
    return 1 if wrong else 0
