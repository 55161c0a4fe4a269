"""The whole document: blocks of all cells, made to fit together."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import unquote

from reporting import cells, pandoc, tables

PICTURES = (".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp")
# Code and output become smaller where lines are long, but not so small that a word like this fits.
LONGEST_WORD = 120
# Folded parts are printed open, with a line beside them.
FOLDED = {"inset": "(left: 8pt, y: 2pt)", "stroke": "(left: 1.5pt + luma(200))"}
ADDRESS = re.compile(r"^(https?|mailto):", re.IGNORECASE)


def make(notebook: dict, source: Path, reader: cells.Reader, about: dict[str, str], folder: Path) -> list[dict]:
    """Reads a notebook into blocks, and puts the pictures that they need into a folder.

    A heading at the top becomes the title, unless there is one.
    """
    blocks = reader.read(notebook)
    for name, content in reader.attached.items():
        (folder / name).write_bytes(content)
    (folder / "figures").mkdir()
    for figure in reader.figures:
        target = folder / "figures" / figure.name
        if figure.svg:
            target.with_name(figure.name + ".svg").write_text(figure.on_page(), encoding="utf-8")
        else:
            target.with_name(f"{figure.name}.{figure.form}").write_bytes(figure.bitmap)
    if "title" not in about:
        blocks = take_title(blocks, about, source)
    blocks = raise_headings(blocks)
    blocks = pandoc.walk(blocks, lambda part: with_picture(part, source.parent, folder, reader))
    blocks = unique_anchors(blocks)
    return pandoc.walk(blocks, fitted)


def take_title(blocks: list[dict], about: dict[str, str], source: Path) -> list[dict]:
    """Moves a first heading of the first level to the title page."""
    if blocks and blocks[0]["t"] == "Header" and blocks[0]["c"][0] == 1:
        about["title"] = pandoc.text_of(blocks[0]).strip()
        return blocks[1:]
    about["title"] = source.stem
    return blocks


def raise_headings(blocks: list[dict]) -> list[dict]:
    """Makes the highest headings that are left those of the first level."""
    levels = [block["c"][0] for block in blocks if block["t"] == "Header"]
    above = min(levels, default=1) - 1

    def change(part: dict) -> dict | None:
        if part["t"] != "Header" or not above:
            return None
        level, attributes, content = part["c"]
        return {"t": "Header", "c": [max(1, level - above), attributes, content]}

    return pandoc.walk(blocks, change)


def with_picture(part: dict, near: Path, folder: Path, reader: cells.Reader) -> dict | list | None:
    """Copies a picture of a text into the folder, or puts its address in its place."""
    if part["t"] != "Image":
        return None
    attributes, text, (address, hint) = part["c"]
    if address in reader.attached or address.startswith("figures/") and (folder / address).is_file():
        return None
    found = near / unquote(address)
    if not ADDRESS.match(address) and found.suffix.lower() in PICTURES and found.is_file():
        own = f"picture_{len(list(folder.iterdir()))}{found.suffix.lower()}"
        shutil.copyfile(found, folder / own)
        return {"t": "Image", "c": [attributes, text, [own, hint]]}
    reader.remarks.append(f"the picture {address} is not in a file here: its address stands in its place")
    return {"t": "Link", "c": [["", [], []], pandoc.words(address), [address, ""]]}


def unique_anchors(blocks: list[dict]) -> list[dict]:
    """Keeps the first of several equal anchors, and turns links that lead nowhere on paper into text."""
    seen = set()

    def keep_first(part: dict) -> dict | None:
        place = {"Header": 1, "Div": 0, "Span": 0}.get(part["t"])
        if place is None or not part["c"][place][0]:
            return None
        name = part["c"][place][0]
        if name not in seen:
            seen.add(name)
            return None
        content = list(part["c"])
        content[place] = ["", *content[place][1:]]
        return {"t": part["t"], "c": content}

    blocks = pandoc.walk(blocks, keep_first)
    by_letters = {name.lower(): name for name in seen}

    def resolve(part: dict) -> dict | list | None:
        if part["t"] != "Link":
            return None
        attributes, text, (address, hint) = part["c"]
        if ADDRESS.match(address):
            return None
        name = by_letters.get(unquote(address[1:]).lower()) if address.startswith("#") else None
        if name is None:
            return text
        return {"t": "Link", "c": [attributes, text, ["#" + name, hint]]}

    return pandoc.walk(blocks, resolve)


def fitted(part: dict) -> dict | None:
    """Makes tables and folded blocks ready for the page."""
    if part["t"] == "Table":
        return tables.fit(part)
    if part["t"] == "CodeBlock":
        attributes, text = part["c"]
        return {"t": "CodeBlock", "c": [attributes, broken(text)]}
    if part["t"] == "Div" and "folded" in part["c"][0][1]:
        summary, answer = part["c"][1][:1], part["c"][1][1:]
        # Not alone at the end of a page.
        summary = [pandoc.div("summary", summary, sticky="true")] if answer else summary
        return pandoc.div("folded", [*summary, *answer], **FOLDED)
    return None


def broken(text: str) -> str:
    """Breaks words that are longer than a line, and marks the new lines."""
    return re.sub(rf"(\S{{{LONGEST_WORD}}})(?=\S)", "\\1\n↪ ", text)
