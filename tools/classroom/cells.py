"""Cells of an assignment: which are the student's, and what the grader puts in the place of the others.

A submission is never trusted to carry its tests. Every cell is taken afresh from the teacher's
notebook, by its `grade_id`; only answers come from the student.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import re
from pathlib import Path

import nbformat

LARGEST_NOTEBOOK = 20_000_000
LONGEST_SOURCE = 200_000
MOST_CELLS = 300
HIDDEN = re.compile(r"^[ \t]*// BEGIN HIDDEN TESTS\n(.*?)^[ \t]*// END HIDDEN TESTS\n?", re.DOTALL | re.MULTILINE)
# Each value that a hidden test asks for earns its part of the points.
PARTIAL = "// partial credit"
# The beginning of HTML in Markdown. nbgrader's formgrader shows answers in the teacher's browser.
TAG = re.compile(r"<(?=[A-Za-z/!?])")
# A submission may define macros of these names.
MACROS = re.compile(r"(?<![\w:])(assert|assert_eq|assert_ne|println|format|panic|vec)!")


def about(cell: dict) -> dict:
    """The metadata that nbgrader keeps of a cell."""
    found = cell.get("metadata", {})
    found = found.get("nbgrader", {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def grade_id(cell: dict) -> str | None:
    """The cell's name, if it has one."""
    name = about(cell).get("grade_id")
    return name if isinstance(name, str) else None


def is_solution(cell: dict) -> bool:
    """True if a student writes the cell."""
    return bool(about(cell).get("solution"))


def is_test(cell: dict) -> bool:
    """True if the cell is graded by running it."""
    return bool(about(cell).get("grade")) and not is_solution(cell) and cell["cell_type"] == "code"


def is_written(cell: dict) -> bool:
    """True if the cell is an answer in words, which a person grades."""
    return bool(about(cell).get("grade")) and is_solution(cell)


def read(path: Path):
    """Reads the teacher's notebook."""
    return nbformat.read(path, as_version=4)


def read_submission(path: Path) -> list[dict]:
    """Reads a student's cells, as far as they make sense.

    # Errors
    ValueError with a text for the student if the file is no notebook.
    """
    if path.is_symlink() or not path.is_file():
        raise ValueError("The notebook is not a plain file.")
    if path.stat().st_size > LARGEST_NOTEBOOK:
        raise ValueError(f"The notebook is larger than {LARGEST_NOTEBOOK // 1_000_000} MB.")
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, LookupError, TypeError, RecursionError, OSError):
        raise ValueError("The file cannot be read as a notebook.") from None
    if not isinstance(cells, list):
        raise ValueError("The file cannot be read as a notebook.")
    found = []
    for cell in cells[:MOST_CELLS]:
        if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown"):
            continue
        source = cell.get("source", "")
        if isinstance(source, list):
            source = "".join(line for line in source if isinstance(line, str))
        if isinstance(source, str):
            metadata = cell.get("metadata")
            metadata = metadata if isinstance(metadata, dict) else {}
            kind = cell["cell_type"]
            found.append({"cell_type": kind, "metadata": metadata, "source": source[:LONGEST_SOURCE]})
    return found


def assemble(release, submitted: list[dict]) -> tuple[object, list[str]]:
    """Puts a student's answers and additional code cells into a fresh copy of the released notebook.

    Returns the notebook, and remarks about what the student had changed besides.
    """
    known = {grade_id(cell): cell for cell in release.cells if grade_id(cell)}
    answers: dict[str, str] = {}
    added: dict[str | None, list[str]] = {}
    remarks, place = [], None
    for cell in submitted:
        name = grade_id(cell)
        if name not in known:
            if cell["cell_type"] == "code" and cell["source"].strip():
                added.setdefault(place, []).append(cell["source"])
            continue
        place = name
        original = known[name]
        if is_solution(original):
            answers.setdefault(name, cell["source"])
        elif cell["source"].strip() != original.source.strip():
            remarks.append(f"The cell `{name}` had been changed; the original was run.")
    fresh = copy.deepcopy(release)
    cells = [nbformat.v4.new_code_cell(source) for source in added.pop(None, [])]
    for cell in fresh.cells:
        name = grade_id(cell)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if is_solution(cell):
            if name not in answers:
                remarks.append(f"The cell `{name}` was missing.")
            answer = answers.get(name, "")
            cell.source = answer if cell.cell_type == "code" else TAG.sub(r"\\<", answer)
        elif is_test(cell) and not any(grade_id(other) == name for other in submitted):
            remarks.append(f"The cell `{name}` was missing; the original was run.")
        cells.append(cell)
        cells += [nbformat.v4.new_code_cell(source) for source in added.pop(name, [])]
    fresh.cells = cells
    return fresh, remarks


def safe_outputs(outputs: list[dict]) -> list[dict]:
    """Keeps text and pictures of what the sandbox has sent, in the form that notebooks have.

    HTML and SVG could act in the teacher's browser.
    """
    found = []
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            found.append({"output_type": kind, "name": name, "text": str(output.get("text", ""))})
        elif kind == "error":
            said = {key: str(output.get(key, "")) for key in ("ename", "evalue")}
            lines = [str(line) for line in output.get("traceback", [])]
            found.append({"output_type": kind, **said, "traceback": lines})
        elif kind == "display_data":
            sent = output.get("data", {})
            data = {"text/plain": str(sent.get("text/plain", ""))}
            if "image/png" in sent:
                with contextlib.suppress(ValueError):
                    raw = base64.b64decode("".join(sent["image/png"].split()), validate=True)
                    data["image/png"] = base64.b64encode(raw).decode()
            found.append({"output_type": kind, "data": data, "metadata": {}})
    return found


def hidden_part(source: str) -> str | None:
    """The hidden tests of a cell of the teacher's notebook."""
    found = HIDDEN.findall(source)
    return "\n".join(found) if found else None


def visible_part(source: str) -> str:
    """A test cell without its hidden tests."""
    return HIDDEN.sub("", source)


def with_std_macros(code: str) -> str:
    """Names the standard library's macros in full: a submission may have macros of the same names."""
    return MACROS.sub(r"::std::\1!", code)


def helpers(source) -> str:
    """The functions that the notebook gives to students, for repetition in hidden tests.

    Types are left out: a submission implements traits for them.
    """
    given = [
        cell.source
        for cell in source.cells
        if cell.cell_type == "code" and not is_solution(cell) and not is_test(cell)
    ]
    lines = "\n".join(code for code in given if "struct " not in code).splitlines()
    return "\n".join(line for line in lines if not line.startswith("use "))


def hidden_cell(given: str, hidden: str, seed: int, mark: str) -> str:
    """The cell that runs hidden tests: it prints a line `MARKname: value` for each value.

    `given`, the notebook's own functions, and the kit's names are repeated inside the block, where
    a submission cannot replace them.
    """
    given = given.replace("const SEED: i64 = 1;", f"const SEED: i64 = {seed};")
    given = given.replace('const MARK: &str = "";', f'const MARK: &str = "{mark}";')
    block = f"{{\nuse ::mnist_kit::prelude::*;\n{given}\n{hidden}\n}}\n();"
    return with_std_macros(block)


def answers_of(outputs: list[dict], mark: str) -> dict[str, str]:
    """Reads the values that a hidden cell has printed; of a name printed twice, none counts."""
    text = "".join(o["text"] for o in outputs if o["output_type"] == "stream" and o["name"] == "stdout")
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, marked, rest = line.partition(mark)
        if marked:
            name, _, value = rest.partition(": ")
            found[name] = value if name not in found else "printed twice"
    return found


NUMBER = re.compile(r"-?(?:\d+\.?\d*(?:e-?\d+)?|inf|NaN)")
RELATIVE, ABSOLUTE = 2e-3, 2e-4


def agree(value: str, expected: str) -> bool:
    """Compares two values as Rust's `{:?}` prints them; numbers may differ by rounding."""
    if NUMBER.sub("#", value) != NUMBER.sub("#", expected):
        return False
    pairs = zip(NUMBER.findall(value), NUMBER.findall(expected), strict=True)
    return all(close(found, wanted) for found, wanted in pairs)


def close(found: str, wanted: str) -> bool:
    """Compares two numbers: whole ones exactly, others up to rounding."""
    if found == wanted:
        return True
    if "." not in wanted and "e" not in wanted:
        return False
    difference = abs(float(found) - float(wanted))
    return difference <= ABSOLUTE + RELATIVE * abs(float(wanted))
