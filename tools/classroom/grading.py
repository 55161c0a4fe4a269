"""Grades a folder of submissions, one after the other, whatever each of them does."""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import shutil
import time
import traceback
import warnings
from pathlib import Path

import nbformat
import project
import template

from classroom import cells, course, pages, sandbox, scoring

EXECUTED = course.GRADING / "executed"
# Names that are safe in paths, in nbgrader's patterns and in its database.
STUDENT = re.compile(r"[\w@.+-]*\w[\w@.+-]*")


@dataclasses.dataclass
class Submission:
    """A notebook that a student has handed in."""

    student: str
    assignment: str
    path: Path


def main() -> int:
    """Grades, and writes scores, feedback and a picture of the class."""
    unsafe = os.environ.get("UNSAFE") == "1"
    prepare(unsafe)
    folder = Path(os.environ.get("SUBMITTED") or course.COURSE / "submitted").resolve()
    chosen = course.chosen()
    found = submissions(folder, chosen)
    if not found:
        raise project.Problem(
            f"There is no submission in {folder}. Expected: STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb, "
            f"where ASSIGNMENT is one of {', '.join(chosen)}."
        )
    needed = sorted({submission.assignment for submission in found})
    course.release(needed)
    seed = int(os.environ.get("SEED") or secrets.randbelow(900) + 100)
    print(f"{len(found)} submissions; hidden tests with seed {seed}", flush=True)
    graders = {name: Grader(name, seed, unsafe) for name in needed}
    started, failed = time.monotonic(), []
    for number, submission in enumerate(found, 1):
        print(f"[{number}/{len(found)}] {submission.assignment}, {submission.student}: ", end="", flush=True)
        try:
            result = graders[submission.assignment].grade(submission.path)
            keep(submission, result)
            print(told(result), end="", flush=True)
        except Exception:
            # Whatever it was, the others are graded.
            failed.append(submission)
            (course.GRADING / "errors").mkdir(parents=True, exist_ok=True)
            note = course.GRADING / "errors" / f"{submission.student}-{submission.assignment}.txt"
            project.save(note, traceback.format_exc())
            print(f"NOT GRADED, see {note.relative_to(project.ROOT)}", end="", flush=True)
        spent = time.monotonic() - started
        left = spent / number * (len(found) - number)
        print(f"; {minutes(left)} left" if number < len(found) else f"; all in {minutes(spent)}", flush=True)
    for name in needed:
        pages.write(name)
    print(f"Scores, feedback and pictures are in {course.GRADING.relative_to(project.ROOT)}/.")
    return 1 if failed else 0


def prepare(unsafe: bool) -> None:
    """Checks that submissions can be run safely, and compiles the kit for the kernel if needed.

    # Errors
    Problem if there is no sandbox and UNSAFE=1 is not set.
    """
    reason = sandbox.unavailable()
    if reason and not unsafe:
        raise project.Problem(reason)
    if unsafe:
        print("UNSAFE=1: submissions run WITHOUT a sandbox, with all your rights.", flush=True)
    with template.locked():
        template.ensure()


def submissions(folder: Path, assignments: list[str]) -> list[Submission]:
    """Lists the notebooks in nbgrader's layout, STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb."""
    found = []
    for path in sorted(folder.glob("*/*/*.ipynb")):
        student, assignment = path.parent.parent.name, path.parent.name
        if assignment not in assignments or path.stem != assignment:
            continue
        if not STUDENT.fullmatch(student):
            print(f"left out: {student!r} is not a name of letters, digits and @.+-_")
            continue
        found.append(Submission(student, assignment, path))
    return sorted(found, key=lambda submission: (submission.assignment, submission.student))


class Grader:
    """Grades submissions of one assignment."""

    def __init__(self, name: str, seed: int, unsafe: bool = False, limits=None) -> None:
        self.name, self.seed, self.unsafe, self.limits = name, seed, unsafe, limits
        self.source, self.release = course.source(name), course.released(name)
        self.values: dict[str, dict[str, str]] | None = None

    def expected(self) -> dict[str, dict[str, str]]:
        """The values of the hidden tests, from a run of the solution with the same seed."""
        if self.values is None:
            solution = solved(self.source, self.release)
            result = scoring.run(self.source, solution, [], self.seed, unsafe=self.unsafe)
            failed = [name for name, score in result.scores.items() if score.points < score.possible]
            if failed or result.remarks:
                raise project.Problem(f"{self.name}: the solution fails {failed}. {result.remarks}")
            self.values = result.values
        return self.values

    def grade(self, path: Path) -> scoring.Result:
        """Runs a submission, and gives it its points."""
        expected = self.expected()
        try:
            submitted = cells.read_submission(path)
        except ValueError as error:
            return self.zero(str(error))
        notebook, remarks = cells.assemble(self.release, submitted)
        return scoring.run(
            self.source, notebook, remarks, self.seed, expected, self.limits, self.unsafe
        )

    def zero(self, remark: str) -> scoring.Result:
        """The result of a submission that cannot be run."""
        notebook, _ = cells.assemble(self.release, [])
        scores = {}
        for cell in notebook.cells:
            if cells.is_test(cell):
                points = float(cells.about(cell)["points"])
                scores[cells.grade_id(cell)] = score = scoring.Score(0.0, points, ["not run"])
                scoring.show(cell, score)
        return scoring.Result(notebook, scores, [remark], {})


def solved(source, release):
    """The released notebook with the teacher's solutions in it."""
    answers = {cells.grade_id(cell): cell.source for cell in source.cells if cells.is_solution(cell)}
    submitted = [
        {**cell, "source": answers.get(cells.grade_id(cell), cell.source)} for cell in release.cells
    ]
    notebook, _ = cells.assemble(release, submitted)
    return notebook


def told(result: scoring.Result) -> str:
    """One line about a result."""
    points = sum(score.points for score in result.scores.values())
    possible = sum(score.possible for score in result.scores.values())
    remarks = f" ({len(result.remarks)} remarks)" if result.remarks else ""
    return f"{points:g} of {possible:g} points{remarks}, {result.seconds:.0f} s"


def minutes(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def keep(submission: Submission, result: scoring.Result) -> None:
    """Writes the notebook with its verdicts, and the scores into nbgrader's gradebook."""
    from nbgrader.converters import Autograde
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades

    folder = EXECUTED / submission.student / submission.assignment
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    result.notebook.metadata["mnist_kit"] = {"remarks": result.remarks}
    file = folder / f"{submission.assignment}.ipynb"
    project.save(file, nbformat.writes(result.notebook) + "\n")
    stamp = submission.path.with_name("timestamp.txt")
    if stamp.is_file() and not stamp.is_symlink() and stamp.stat().st_size < 100:
        shutil.copyfile(stamp, folder / stamp.name)
    settings = course.config()
    settings.CourseDirectory.submitted_directory = str(EXECUTED)
    settings.CourseDirectory.assignment_id = submission.assignment
    settings.CourseDirectory.student_id = submission.student
    settings.Autograde.force = True
    # It has been run already, with cells of the teacher's notebook.
    grader = Autograde(coursedir=CourseDirectory(config=settings), config=settings)
    grader.sanitize_preprocessors = []
    grader.autograde_preprocessors = [SaveAutoGrades, AssignLatePenalties]
    with warnings.catch_warnings():
        # SQLAlchemy's advice to nbgrader's authors.
        warnings.simplefilter("ignore")
        grader.start()
