"""Checks the recorded lessons: outputs belong to the code, and prose says what outputs show.

`make record` writes the outputs and the record in a notebook's metadata. Markdown cells may change
afterwards, code cells may not. Each number in prose needs an output or a code cell that has it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import project

NOTEBOOKS = project.ROOT / "notebooks"
# Lessons whose outputs are older than `make record`. Take a lesson off this list when it has been
# recorded: the check fails as long as a lesson is listed that passes.
TO_BE_RECORDED: list[str] = []

EPOCH_LINE = re.compile(r"^\s*\[?Epoch[\s:\[]*(\d+)", re.MULTILINE)
# Parts of Markdown whose numbers are no claims: code, formulas, links and tags, headings.
NO_PROSE = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$|\]\([^)]*\)|https?://\S+|<[^>]+>|^#.*?$",
    re.DOTALL | re.MULTILINE,
)
# A number with decimals or thousands, or a percentage.
CLAIM = re.compile(r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+(?:e-?\d+)?|\d+(?=\s?%))")
NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e-?\d+)?")
# evcxr cannot show a last expression that moves a variable, and falls back to its debug text.
NOT_SHOWN = re.compile(r"(?:Figure|Table) \{")
# In a cell with more numbers, some difference or ratio would fit almost any claim.
LARGEST_GROUP = 40


def main() -> int:
    """Prints what is wrong in the notebooks."""
    problems = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        problems += problems_of(path, path.stem in TO_BE_RECORDED)
    listed = f" Still to be recorded: {', '.join(TO_BE_RECORDED)}." if TO_BE_RECORDED else ""
    print("\n".join(problems) or f"The notebooks' outputs are as recorded.{listed}")
    return 1 if problems else 0


def problems_of(path: Path, to_be_recorded: bool) -> list[str]:
    """Checks a notebook, or, where it is still to be recorded, that it does not pass yet."""
    found = findings(json.loads(path.read_text(encoding="utf-8")))
    if not to_be_recorded:
        remedy = f"make record NB=notebooks/{path.name}"
        return [f"{path.name}, {finding.replace('{record}', f'`{remedy}`')}" for finding in found]
    if found:
        return []
    return [f"{path.name} passes: take it off TO_BE_RECORDED in tools/check_notebooks.py"]


def findings(notebook: dict) -> list[str]:
    """Lists what is wrong in a notebook; `{record}` stands for the command that records it."""
    return [
        *stale(notebook),
        *out_of_order(notebook),
        *wrong_outputs(notebook),
        *unsupported(notebook),
    ]


def text_of(value: str | list[str]) -> str:
    """Joins a text that a notebook file may split into lines."""
    return value if isinstance(value, str) else "".join(value)


def cells_of(notebook: dict, kind: str) -> Iterator[tuple[int, dict]]:
    """Yields the cells of a kind that are not empty, with their numbers from 1 among all cells."""
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == kind and text_of(cell["source"]).strip():
            yield number, cell


def code_sha256(notebook: dict) -> str:
    """Computes the SHA-256 of the code cells in their order."""
    sources = [text_of(cell["source"]) for _, cell in cells_of(notebook, "code")]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def stale(notebook: dict) -> list[str]:
    """Finds code that is not the code of the recorded run."""
    record = notebook["metadata"].get("mnist_kit", {}).get("record")
    if record is None:
        return ["all cells: the outputs have no record; run {record}"]
    if record["code_sha256"] != code_sha256(notebook):
        return ["all cells: the code has changed since it was recorded; run {record}"]
    return []


def out_of_order(notebook: dict) -> list[str]:
    """Finds the first cell that was not executed in its turn."""
    for expected, (number, cell) in enumerate(cells_of(notebook, "code"), 1):
        count = cell.get("execution_count")
        if count != expected:
            return [
                f"cell {number}: its execution count is {count}, expected {expected}; run {{record}}"
            ]
    return []


def wrong_outputs(notebook: dict) -> Iterator[str]:
    """Finds errors that no cell announces, figures that are text, and logs that begin after epoch 1."""
    for number, cell in cells_of(notebook, "code"):
        announced = "raises-exception" in cell["metadata"].get("tags", [])
        # A figure that is shown during a training divides its log into several outputs.
        begun = False
        for output in cell["outputs"]:
            if output["output_type"] == "error" and not announced:
                yield f"cell {number}: it failed ({output['evalue'][:80]}); mend it, then run {{record}}"
            if NOT_SHOWN.match(text_of(output.get("data", {}).get("text/plain", ""))):
                yield (
                    f"cell {number}: it shows the text of a figure or table, because its last expression "
                    "moves a variable; move it in a `let` before, then run {record}"
                )
            first = EPOCH_LINE.search(text_of(output.get("text", "")))
            if not first or begun:
                continue
            begun = True
            if first[1] != "1":
                yield (
                    f"cell {number}: its log begins at “{first[0].strip()}”; remove the checkpoint "
                    "of the earlier run, then run {record}"
                )


def unsupported(notebook: dict) -> Iterator[str]:
    """Finds numbers in prose that no output and no code cell has.

    A number may be rounded, be given in percent, or be a difference, sum or ratio of two numbers of
    one cell. Markdown tables may quote in a column that is headed “published”.
    """
    groups = [numbers(shown_by(cell)) for _, cell in cells_of(notebook, "code")]
    texts = [(number, text_of(cell["source"])) for number, cell in cells_of(notebook, "markdown")]
    groups += [numbers(quoted(text)) for _, text in texts]
    for number, text in texts:
        prose = NO_PROSE.sub(" ", without_quoted(text))
        for claim in CLAIM.finditer(prose):
            if not is_supported(claim[0], groups):
                yield (
                    f"cell {number}: {claim[0]} is in no output: “{sentence_at(prose, claim.start())}”; "
                    "correct it, let a cell print it, or run {record}"
                )


def shown_by(cell: dict) -> str:
    """Collects the source of a code cell and the texts of its outputs, also those in figures."""
    texts = [text_of(cell["source"])]
    for output in cell["outputs"]:
        data = output.get("data", {})
        texts.append(text_of(output.get("text", "")))
        texts.append(text_of(data.get("text/plain", "")))
        texts += re.findall(r">([^<>]+)<", text_of(data.get("image/svg+xml", "")))
    return "\n".join(texts)


def numbers(text: str) -> list[float]:
    """Lists all numbers in a text."""
    return [float(match[0].replace(",", "")) for match in NUMBER.finditer(text)]


def is_supported(claim: str, groups: list[list[float]]) -> bool:
    """Returns whether a number follows from the numbers of the cells."""
    digits = claim.replace(",", "")
    wanted = float(digits)
    places = len(digits.partition(".")[2].partition("e")[0])
    exponent = int(digits.partition("e")[2] or 0)
    tolerance = 0.5000001 * 10 ** (exponent - places)

    def fits(value: float) -> bool:
        return any(abs(abs(value) * scale - wanted) <= tolerance for scale in (1, 100))

    if any(fits(value) for group in groups for value in group):
        return True
    small = [sorted(set(group)) for group in groups if len(set(group)) <= LARGEST_GROUP]
    pairs = ((a, b) for group in small for i, a in enumerate(group) for b in group[:i])
    return any(
        fits(value) for a, b in pairs for value in (a - b, a + b, a / b if b else 0, b / a if a else 0)
    )


def table_columns(line: str) -> list[str]:
    """Splits a row of a Markdown table."""
    return [column.strip() for column in line.strip().strip("|").split("|")]


def split_quoted(text: str) -> tuple[str, str]:
    """Separates what Markdown tables quote in columns headed “published” from all other text."""
    kept, quotes, columns = [], [], []
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            columns = []
            kept.append(line)
            continue
        row = table_columns(line)
        if not columns:
            columns = ["published" in head.lower() for head in row]
        marked = list(zip(row, columns))
        quotes += [cell for cell, is_quoted in marked if is_quoted]
        kept.append(" | ".join(cell for cell, is_quoted in marked if not is_quoted))
    return "\n".join(kept), "\n".join(quotes)


def without_quoted(text: str) -> str:
    """Returns the text without what its tables quote."""
    return split_quoted(text)[0]


def quoted(text: str) -> str:
    """Returns what the tables of a text quote."""
    return split_quoted(text)[1]


def sentence_at(prose: str, place: int) -> str:
    """Returns the sentence around a place, shortened to a line."""
    start = max(prose.rfind(". ", 0, place) + 1, prose.rfind("\n", 0, place) + 1, place - 80)
    ends = [end for end in (prose.find(". ", place), prose.find("\n", place)) if end >= 0]
    return " ".join(prose[start : min([*ends, place + 80])].split())


if __name__ == "__main__":
    project.main(main)
