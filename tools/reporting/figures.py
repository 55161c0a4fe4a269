"""The figures of a notebook: their titles and sizes, and the files for a report."""

from __future__ import annotations

import base64
import dataclasses
import html
import re
import struct
import unicodedata

from check_notebooks import text_of

# The beginning of a figure of the kit: the white page, then perhaps the title, bold and centered in a band
# of 30 pixels of 8 units each, 12 of them the margin (theme.rs, svg.rs).
TITLE = re.compile(
    r'(?P<tag><svg [^>]*?width="(?P<width>\d+)" height="(?P<height>\d+)" viewBox="0 0 (?P<w>\d+) (?P<h>\d+)"[^>]*>\n)'
    r"(?P<page><rect [^>]*/>\n)"
    r'<text x="(?P<x>\d+)" y="(?P<y>\d+)" font-size="(?P<size>[\d.]+)" text-anchor="middle" font-weight="bold"[^>]*>(?P<title>[^<]*)</text>\n'
)
BAND = 240
TITLE_MIDDLE = 160
CAPITALS_MIDDLE = 0.5 * 1493 / 2048
SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)(?:px)?"[^>]*?height="([\d.]+)(?:px)?"')
# Widest and highest drawing on a page, in pixels at 96 dots per inch.
PAGE = (626.0, 800.0)


@dataclasses.dataclass
class Figure:
    """A drawing, as the notebook has it."""

    number: int
    title: str
    svg: str | None
    # The bytes of a bitmap and the ending of its file name.
    bitmap: bytes | None
    form: str

    @property
    def name(self) -> str:
        """The beginning of the names of its files, such as `03_loss`."""
        letters = unicodedata.normalize("NFC", self.title.lower())
        words = re.sub(r"[^\w]+", "_", letters).strip("_")[:40].strip("_")
        return f"{self.number:02}_{words}" if words else f"{self.number:02}_figure"

    def on_page(self) -> str | None:
        """The SVG form without the title, which the caption below the figure has."""
        found = title_of(self.svg)
        if not found:
            return self.svg
        height = int(found["h"]) - BAND
        shown = round(int(found["height"]) * height / int(found["h"]))
        tag = found["tag"].replace(f'height="{found["height"]}"', f'height="{shown}"')
        tag = tag.replace(f'"0 0 {found["w"]} {found["h"]}"', f'"0 {BAND} {found["w"]} {height}"')
        return tag + found["page"] + self.svg[found.end() :]

    def percent(self) -> float:
        """The width in percent of the page's, so that it keeps its size or fits the page."""
        width, height = self.size()
        scale = min(1.0, PAGE[0] / width, PAGE[1] / height)
        return 100 * width * scale / PAGE[0]

    def size(self) -> tuple[float, float]:
        """Width and height on the page in pixels at 96 dots per inch."""
        drawing = self.on_page()
        found = SIZE.search(drawing) if drawing else None
        if found and float(found[1]) > 0 and float(found[2]) > 0:
            return float(found[1]), float(found[2])
        return bitmap_size(self.bitmap or b"")


def of_output(output: dict, number: int) -> Figure | None:
    """Takes the drawing out of a cell's output, if it has one."""
    data = output.get("data", {})
    svg = text_of(data["image/svg+xml"]) if "image/svg+xml" in data else None
    bitmap, form = None, "png"
    for kind in ("png", "jpeg", "gif", "webp"):
        if f"image/{kind}" in data:
            bitmap, form = base64.b64decode(text_of(data[f"image/{kind}"])), kind
            break
    if svg is None and bitmap is None:
        return None
    found = title_of(svg)
    title = html.unescape(found["title"]) if found else ""
    return Figure(number, title, svg, bitmap, form)


def title_of(svg: str | None) -> re.Match | None:
    """Finds the title of a figure of the kit; a panel's title stands in another place."""
    found = TITLE.match(svg or "")
    if not found:
        return None
    baseline = TITLE_MIDDLE + CAPITALS_MIDDLE * float(found["size"])
    centered = abs(int(found["x"]) - int(found["w"]) / 2) <= 1
    return found if centered and abs(int(found["y"]) - baseline) <= 1 else None


def bitmap_size(bitmap: bytes) -> tuple[float, float]:
    """Reads the size of a PNG file in pixels at 96 dots per inch; others fill the page's width."""
    if not bitmap.startswith(b"\x89PNG\r\n\x1a\n") or len(bitmap) < 33:
        return PAGE[0], PAGE[1] / 2
    width, height = struct.unpack(">II", bitmap[16:24])
    per_inch = 96.0
    place = bitmap.find(b"pHYs", 33, 200)
    if place > 0:
        per_meter = struct.unpack(">I", bitmap[place + 4 : place + 8])[0]
        per_inch = per_meter * 0.0254 or per_inch
    return max(width, 1) * 96 / per_inch, max(height, 1) * 96 / per_inch
