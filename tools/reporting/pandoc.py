"""Calls pandoc, and walks through its documents.

A document is what pandoc's JSON format describes: blocks and inlines are dictionaries with a type
`t` and a content `c`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import project

# The Markdown that JupyterLab shows.
MARKDOWN = (
    "commonmark+autolink_bare_uris+footnotes+gfm_auto_identifiers+pipe_tables+strikeout"
    "+task_lists+tex_math_dollars"
)
HTML = "html+tex_math_single_backslash"


def run(text: str, *options: str, folder: Path | None = None) -> tuple[str, list[str]]:
    """Converts a text; returns it with pandoc's warnings."""
    import pypandoc

    command = [pypandoc.get_pandoc_path(), *options]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, encoding="utf-8", cwd=folder
    )
    if done.returncode:
        raise project.Problem(f"pandoc could not convert the notebook:\n{done.stderr.strip()}")
    warnings = [part.strip() for part in done.stderr.split("[WARNING]") if part.strip()]
    return done.stdout, warnings


def html_of_markdown(text: str) -> str:
    """Converts Markdown to HTML, in which HTML of the author stands as it was written."""
    options = ("--mathjax", "--syntax-highlighting=none", "--wrap=none")
    return run(text, "--from", MARKDOWN, "--to", "html", *options)[0]


def blocks_of_html(text: str) -> list[dict]:
    """Reads HTML. Scripts, styles and tags without a meaning on paper are left out."""
    return json.loads(run(text, "--from", HTML, "--to", "json")[0])["blocks"]


def document(blocks: list[dict], about: dict[str, str]) -> str:
    """Makes the JSON text of a document from its blocks and what its title page says."""
    meta = {name: {"t": "MetaInlines", "c": words(text)} for name, text in about.items()}
    return json.dumps({"pandoc-api-version": [1, 23, 1], "meta": meta, "blocks": blocks})


def words(text: str) -> list[dict]:
    """Makes inlines of a plain text."""
    return [{"t": "Str", "c": text}] if text else []


def div(kind: str, blocks: list[dict], **attributes: str) -> dict:
    """Makes a block around blocks. Attributes are for Typst: `stroke` becomes `typst:stroke`."""
    pairs = [[f"typst:{name.replace('_', ':')}", value] for name, value in attributes.items()]
    return {"t": "Div", "c": [["", [kind], pairs], blocks]}


def walk(part, change: Callable[[dict], dict | list | None]):
    """Rebuilds a document from the inside out.

    `change` gets every block and inline, and returns what replaces it: another one, a list of
    several, or None to keep it.
    """
    if isinstance(part, list):
        made = []
        for item in part:
            new = walk(item, change)
            if isinstance(item, dict) and isinstance(new, list):
                made.extend(new)
            else:
                made.append(new)
        return made
    if not isinstance(part, dict):
        return part
    part = {name: walk(value, change) for name, value in part.items()}
    new = change(part) if "t" in part else None
    return part if new is None else new


def text_of(part) -> str:
    """Returns the plain text of a part of a document; a line break separates blocks."""
    if isinstance(part, list):
        return "".join(text_of(item) for item in part)
    if not isinstance(part, dict):
        return ""
    kind, content = part.get("t"), part.get("c")
    if kind in ("Str", "RawInline"):
        return content if kind == "Str" else ""
    if kind in ("Code", "Math", "CodeBlock"):
        return content[1] + ("\n" if kind == "CodeBlock" else "")
    if kind in ("Space", "SoftBreak"):
        return " "
    if kind == "LineBreak":
        return "\n"
    if kind in ("Link", "Image", "Span", "Quoted"):
        return text_of(content[1])
    return text_of(content) + ("\n" if kind in ("Para", "Plain", "Header") else "")
