"""The course folder: assignments and their student versions."""

from __future__ import annotations

import logging
import os

import project

from classroom import cells

COURSE = project.ROOT / "notebooks" / "assignments"
SOURCE = COURSE / "source"
OUT = project.ROOT / "out"
RELEASE = OUT / "release"
GRADING = OUT / "grading"


def names() -> list[str]:
    """The assignments, in their order."""
    return sorted(path.parent.name for path in SOURCE.glob("*/*.ipynb") if path.stem == path.parent.name)


def chosen() -> list[str]:
    """The assignments that ASSIGNMENT names, or all.

    # Errors
    Problem if there is no such assignment.
    """
    wanted = os.environ.get("ASSIGNMENT")
    if not wanted:
        return names()
    if wanted not in names():
        raise project.Problem(f"There is no assignment {wanted}. There are: {', '.join(names())}.")
    return [wanted]


def source(name: str):
    """The teacher's notebook."""
    return cells.read(SOURCE / name / f"{name}.ipynb")


def released(name: str):
    """The student's notebook, as `release` has written it."""
    return cells.read(RELEASE / name / f"{name}.ipynb")


def config():
    """The settings in `nbgrader_config.py`."""
    from traitlets.config import PyFileConfigLoader

    return PyFileConfigLoader("nbgrader_config.py", path=str(COURSE)).load_config()


def release(chosen_names: list[str], gradebook: bool = True) -> None:
    """Writes the student versions; tells the gradebook about the assignments, unless told not to."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.preprocessors import SaveCells

    GRADING.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.ERROR)
    for name in chosen_names:
        settings = config()
        settings.CourseDirectory.assignment_id = name
        settings.GenerateAssignment.force = True
        settings.GenerateAssignment.no_database = not gradebook
        maker = GenerateAssignment(coursedir=CourseDirectory(config=settings), config=settings)
        if not gradebook:
            maker.preprocessors = [step for step in maker.preprocessors if step is not SaveCells]
        maker.start()
        problems = leaks(released(name))
        if problems:
            raise project.Problem(f"{name}: the student version would show {', '.join(problems)}.")


def leaks(notebook) -> list[str]:
    """Lists what a student version must not contain."""
    found = []
    for cell in notebook.cells:
        for text in ("SOLUTION", "HIDDEN TESTS", "Rubric"):
            if text in cell.source:
                found.append(f"“{text}” in the cell `{cells.grade_id(cell)}`")
    return found
