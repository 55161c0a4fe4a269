"""What the relay writes into the text that evcxr passes on, a line at a time."""

from __future__ import annotations

# Ends a line that the cell has not ended: the next one continues it.
UNFINISHED = "\x1e\n"
# Stands alone, where a live message was: the message itself comes from the relay's socket.
PLACE = "\x1eMNIST_KIT\n"


def is_place(text: str) -> bool:
    """Whether a line marks the place of a live message."""
    return text == PLACE


def clean(text: str) -> str:
    """Removes the relay's marks from text."""
    return text.replace(PLACE, "").replace(UNFINISHED, "")
