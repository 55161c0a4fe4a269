"""The title page: its entries and their sources."""

from __future__ import annotations

import datetime
import os
import re

import project
from check_notebooks import text_of

# The variables of `make report`, and the lines of a notebook's first cell.
FIELDS = {
    "TITLE": "title",
    "COURSE": "course",
    "NAME": "name",
    "STUDENT_ID": "student_id",
    "DATE": "date",
}
HEADER = re.compile(r"\A---[ \t]*\n(.*?)\n?---[ \t]*\Z", re.DOTALL)


def page(notebook: dict) -> dict[str, str]:
    """Returns the fields of the title page that are known.

    Variables of the command go before the first cell, which goes before the notebook's metadata
    (nbformat's `title` and `authors`).
    """
    metadata = notebook.get("metadata", {})
    authors = metadata.get("authors", [])
    names = [author.get("name", "") for author in authors if isinstance(author, dict)]
    found = {"title": str(metadata.get("title", "")), "name": ", ".join(names)}
    found |= header(notebook)
    found |= {field: os.environ[name] for name, field in FIELDS.items() if os.environ.get(name)}
    found.setdefault("date", datetime.date.today().isoformat())
    return {field: text.strip() for field, text in found.items() if text.strip()}


def header(notebook: dict) -> dict[str, str]:
    """Reads the first cell, if it is a raw cell with lines such as `name: Ann` between two `---`.

    # Errors
    Problem if a line is not of this form.
    """
    if not has_header(notebook):
        return {}
    fields = {}
    for line in HEADER.match(source_of_first(notebook))[1].splitlines():
        name, colon, text = line.partition(":")
        name = name.strip()
        if not name or name.startswith("#"):
            continue
        if not colon or name not in FIELDS.values():
            raise project.Problem(
                f"The notebook's first cell has the line “{line.strip()}”. Expected a line such as "
                f"`name: Ann`; the names are {', '.join(FIELDS.values())}."
            )
        text = text.strip()
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
        fields[name] = text[1:-1] if quoted else text
    return {name: text for name, text in fields.items() if text}


def has_header(notebook: dict) -> bool:
    """Returns whether the first cell is one for the title page."""
    cells = notebook.get("cells", [])
    raw = bool(cells) and cells[0].get("cell_type") == "raw"
    return raw and HEADER.match(source_of_first(notebook)) is not None


def source_of_first(notebook: dict) -> str:
    """The text of the first cell."""
    return text_of(notebook["cells"][0].get("source", "")).strip()
