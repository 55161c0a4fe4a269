"""A notebook with everything that could go wrong in a report."""

from __future__ import annotations

import base64
import struct
import zlib

LONG_LINE = "let wide = " + " + ".join(f"number_{i}" for i in range(24)) + "; // END-OF-LONG-LINE"
LONG_WORD = "let hash = \"" + "0123456789abcdef" * 20 + "END-OF-WORD\";"
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="560" height="270" viewBox="0 0 4480 2160" stroke-linejoin="round" stroke-linecap="round" font-family="DejaVu Sans, Verdana, sans-serif">
<rect x="0" y="0" width="4480" height="2160" fill="#FFFFFF"/>
<text x="2240" y="207" font-size="128" text-anchor="middle" font-weight="bold" fill="#222222">Loss &amp; 정확도</text>
<polyline fill="none" stroke-width="16" points="400,1800 1600,900 4000,500" stroke="#0072B2"/>
<text x="2240" y="2000" font-size="96" text-anchor="middle" fill="#222222">Epoch</text>
</svg>
"""


def png() -> str:
    """A small red PNG file in base64."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + b"\xff\0\0" * 8 for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def table(columns: int, rows: int) -> str:
    """An HTML table as the kit's, with a caption."""
    head = "".join(f'<th style="text-align:right">column{i}</th>' for i in range(columns))
    body = "".join(
        "<tr>" + "".join(f"<td>{100_000 * row + column}</td>" for column in range(columns)) + "</tr>"
        for row in range(rows)
    )
    return f"<table><caption>{columns} by {rows}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def markdown(text: str, **more) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": text, **more}


def code(source: str, *outputs: dict, tags: tuple = ()) -> dict:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "source": source,
        "outputs": list(outputs),
        "execution_count": 1,
    }


def result(**data) -> dict:
    bundle = {name.replace("_", "/", 1).replace("svg", "svg+xml"): value for name, value in data.items()}
    return {"output_type": "execute_result", "metadata": {}, "data": bundle, "execution_count": 1}


def printed(text: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text}


def notebook(*more: dict) -> dict:
    """The notebook; `more` are cells at its end."""
    prose = "| setting | why |\n|---|---|\n" + "".join(
        f"| rate {i} | " + "A reason that takes several lines, because it has many words. " * 3 + "|\n" for i in range(3)
    )
    cells = [
        {"cell_type": "raw", "metadata": {}, "source": "---\ntitle: 손글씨 숫자 & more\nname: 김민수\nstudent_id: 2026-0042\n---"},
        markdown("# Handwriting\n\nText with $\\frac{a}{b}$ and <kbd>Shift</kbd>; see [below](#The-answer) and [a file](other.ipynb)."),
        markdown("## A formula\n\n$$\\mathrm{CE} = -\\sum_{c} y_c \\log \\hat{y}_c$$\n\n```text\nunclosed fence"),
        markdown("## 한국어\n\n이 보고서는 손글씨 숫자를 분류합니다."),
        code(LONG_LINE, printed("Epoch 1\rEpoch 2\n\x1b[31mcolored\x1b[0m\n")),
        code(LONG_WORD),
        code("let many = 1;\n" * 120 + "// END-OF-MANY"),
        code("history.plot()?", result(image_svg=SVG, image_png=png(), text_html="<div>pad</div>")),
        code("image", result(image_png=png(), text_plain="picture")),
        code("wide", result(text_html=table(14, 3), text_plain="no")),
        code("long", result(text_html=table(4, 90), text_plain="no")),
        markdown(prose),
        code("secret", printed("hidden output"), tags=("remove-cell",)),
        code("html", result(text_html="<script>alert(1)</script><div><b>Only HTML</b></div>")),
        code("pad", result(text_html="<script>alert(1)</script><canvas></canvas>")),
        code(
            "let x: i32 = \"a\";",
            {
                "output_type": "error",
                "ename": "Error",
                "evalue": "mismatched types",
                "traceback": ["\x1b[31m[E0308] Error:\x1b[0m mismatched types"],
            },
        ),
        markdown("### The answer\n\n<details><summary>Why `ReLU`?</summary>\n\nBecause of **that**.\n\n</details>"),
        markdown("![pasted](attachment:a.png)\n\n![far](https://example.org/x.png)", attachments={"a.png": {"image/png": png()}}),
        *more,
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"language_info": {"name": "rust"}}, "cells": cells}
