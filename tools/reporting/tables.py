"""Makes tables fit on the page.

A table gets the widths that it would take by itself. If these are too much, words wrap in the
columns that have many of them; if the longest words are too much, the type gets smaller.
"""

from __future__ import annotations

import unicodedata

from reporting import pandoc

# The page of page.typ: its width in em of the type in tables, and that type in points.
PAGE = 50.0
POINTS = 9.3
# Mean width of a letter in em; in a narrow column, a few wide letters in a row must fit as well.
LETTER = 0.56
WIDE_LETTER = 1.0
# The space left and right of a cell's text.
PADDING = 0.9
# A table with more rows may continue on the next page.
KEPT_ROWS = 20


def fit(table: dict) -> dict:
    """Returns a table of pandoc's that is not wider than the page, and is kept together if it is short.

    Columns without an alignment of their own are aligned left.
    """
    attributes, caption, columns, head, bodies, foot = table["c"]
    left = {"t": "AlignLeft"}
    columns = [[left if align["t"] == "AlignDefault" else align, width] for align, width in columns]
    columns, scale = widths(columns, rows(head, bodies, foot))
    table = {"t": "Table", "c": [attributes, caption, columns, head, bodies, foot]}
    settings = {"width": "100%", "text_size": f"{POINTS * scale:.2f}pt"}
    if len(rows(head, bodies, foot)) <= KEPT_ROWS:
        settings["breakable"] = "false"
    return pandoc.div("table", [table], **settings)


def widths(columns: list, all_rows: list) -> tuple[list, float]:
    """Returns the columns with widths, if they need any, and by how much the type has to shrink."""
    texts = [[] for _ in columns]
    for row in all_rows:
        place = 0
        for _, _, _, span, blocks in row[1]:
            # A cell across several columns wraps.
            if span == 1 and place < len(columns):
                texts[place].append(pandoc.text_of(blocks))
            place += span
    wanted = [PADDING + max((line for text in column for line in lines(text)), default=0) for column in texts]
    if sum(wanted) <= PAGE:
        return columns, 1.0
    least = [PADDING + max((word for text in column for word in longest_words(text)), default=0) for column in texts]
    shares = share(PAGE, least, wanted)
    total = sum(shares)
    columns = [[align, {"t": "ColWidth", "c": part / total}] for (align, _), part in zip(columns, shares)]
    return columns, min(1.0, PAGE / sum(least))


def rows(head: list, bodies: list, foot: list) -> list:
    """Lists all rows of a table."""
    middle = [row for _, _, heads, body in bodies for row in [*heads, *body]]
    return [*head[1], *middle, *foot[1]]


def share(room: float, least: list[float], wanted: list[float]) -> list[float]:
    """Gives each column its least width, and divides the rest by what else the columns want."""
    rest = room - sum(least)
    if rest <= 0:
        return least
    more = [full - word for full, word in zip(wanted, least)]
    return [word + rest * part / sum(more) for word, part in zip(least, more)]


def lines(text: str) -> list[float]:
    """Measures the lines of a text, in em."""
    return [width(line) for line in text.splitlines()]


def longest_words(text: str) -> list[float]:
    """Measures the words of a text, in em. A line can be broken after every wide letter."""
    return [min(width(word), WIDE_LETTER) if is_wide(word[0]) else width(word) for word in text.split()]


def width(text: str) -> float:
    """Estimates the width of a text, in em."""
    return sum(WIDE_LETTER if is_wide(letter) else LETTER for letter in text)


def is_wide(letter: str) -> bool:
    """Returns whether a letter is as wide as a Hangul syllable."""
    return unicodedata.east_asian_width(letter) in "WF"
