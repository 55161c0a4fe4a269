"""Cells of a notebook as blocks of a document."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import terminal
from check_notebooks import text_of
from reporting import figures, pandoc, title

# Tags of a cell that leave it out, its code or its output, as nbconvert and Jupyter Book have them.
HIDING = {"cell": "remove_cell", "code": "remove_input", "output": "remove_output"}
TABLE = re.compile(r"<table\b", re.IGNORECASE)


class Reader:
    """Reads cell by cell; collects the figures, and what a reader of the report should be told."""

    def __init__(self, show_code: bool) -> None:
        self.show_code = show_code
        self.figures: list[figures.Figure] = []
        # Pictures in texts: name in the report's folder → bytes.
        self.attached: dict[str, bytes] = {}
        self.remarks: list[str] = []

    def read(self, notebook: dict) -> list[dict]:
        """Returns the blocks of a notebook."""
        self.language = notebook["metadata"].get("language_info", {}).get("name", "rust")
        blocks = []
        for number, cell in enumerate(notebook["cells"], 1):
            if number == 1 and title.has_header(notebook) or hidden(cell, "cell"):
                continue
            if cell["cell_type"] == "markdown":
                blocks += self.markdown(cell)
            elif cell["cell_type"] == "code":
                blocks += self.code(number, cell)
        return blocks

    def markdown(self, cell: dict) -> list[dict]:
        """Reads a text with the pictures that were pasted into it."""
        text = text_of(cell["source"])
        for name, bundle in (cell.get("attachments") or {}).items():
            for kind, data in bundle.items():
                if kind.startswith("image/"):
                    own = f"attached_{len(self.attached)}{Path(name).suffix}"
                    self.attached[own] = base64.b64decode(text_of(data))
                    text = text.replace(f"attachment:{name}", own)
        return pandoc.blocks_of_html(unfolded(pandoc.html_of_markdown(text)))

    def code(self, number: int, cell: dict) -> Iterator[dict]:
        """Reads a code cell: its source, if that is wanted, and its outputs."""
        source = text_of(cell["source"])
        if self.show_code and source.strip() and not hidden(cell, "code"):
            yield block(source.rstrip(), self.language)
        if hidden(cell, "output"):
            return
        if source.strip() and cell.get("execution_count") is None and not cell["outputs"]:
            self.remarks.append(f"cell {number} was not run: the report has no output of it")
        for output in cell["outputs"]:
            yield from self.output(number, output)

    def output(self, number: int, output: dict) -> Iterator[dict]:
        """Reads an output in the form that suits paper best."""
        kind = output["output_type"]
        if kind == "stream":
            yield from printed(text_of(output["text"]), "output")
        elif kind == "error":
            self.remarks.append(f"cell {number} ended with an error: {output['evalue'][:80]}")
            lines = output.get("traceback") or [f"{output['ename']}: {output['evalue']}"]
            yield from printed("\n".join(lines), "error")
        else:
            yield from self.shown(number, output)

    def shown(self, number: int, output: dict) -> Iterator[dict]:
        """Reads a result: a drawing before a table, a table before text."""
        data = output["data"]
        figure = figures.of_output(output, len(self.figures) + 1)
        page = text_of(data.get("text/html", ""))
        if figure:
            self.figures.append(figure)
            yield drawing(figure)
            return
        if "text/plain" in data and not TABLE.search(page):
            yield from printed(text_of(data["text/plain"]), "output")
            return
        blocks = pandoc.blocks_of_html(page)
        if not pandoc.text_of(blocks).strip() and "text/markdown" in data:
            blocks = pandoc.blocks_of_html(pandoc.html_of_markdown(text_of(data["text/markdown"])))
        if not pandoc.text_of(blocks).strip():
            self.remarks.append(f"cell {number} has an output that only a browser can show")
            note = f"(Cell {number} shows something here that needs a browser.)"
            blocks = [{"t": "Para", "c": [{"t": "Emph", "c": pandoc.words(note)}]}]
        yield from blocks


def hidden(cell: dict, part: str) -> bool:
    """Returns whether a tag of the cell leaves a part of it out."""
    tags = cell.get("metadata", {}).get("tags", [])
    return HIDING[part] in [str(tag).replace("-", "_") for tag in tags]


def unfolded(page: str) -> str:
    """Replaces what HTML folds by an open block under its summary."""
    page = re.sub(r"<details[^>]*>", '<div class="folded">', page)
    page = page.replace("</details>", "</div>")
    return re.sub(r"<summary>(.*?)</summary>", r"<p><strong>\1</strong></p>", page, flags=re.DOTALL)


def printed(text: str, kind: str) -> Iterator[dict]:
    """Makes a block of what a program has printed, unless that is nothing."""
    text = terminal.plain(text).strip("\n")
    if text.strip():
        yield block(text, kind)


def block(text: str, kind: str) -> dict:
    """Makes a block of code or output."""
    return {"t": "CodeBlock", "c": [["", [kind], []], text]}


def drawing(figure: figures.Figure) -> dict:
    """Makes a numbered figure with its title as the caption."""
    width = [["width", f"{figure.percent():.1f}%"]]
    target = [f"figures/{figure.name}.{'svg' if figure.svg else figure.form}", ""]
    alternative = pandoc.words(figure.title)
    image = {"t": "Image", "c": [["", [], width], alternative, target]}
    caption = [{"t": "Plain", "c": pandoc.words(figure.title)}] if figure.title else []
    return {"t": "Figure", "c": [["", [], []], [None, caption], [{"t": "Plain", "c": [image]}]]}
