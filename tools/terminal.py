"""Text that was made for a terminal."""

from __future__ import annotations

import re

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The part of a line that a carriage return in its middle overwrites.
OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\n])")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def plain(text: str) -> str:
    """Returns a text as it looks in the end, without colors and control characters."""
    return CONTROL.sub("", OVERWRITTEN.sub("", COLOUR.sub("", text)))
