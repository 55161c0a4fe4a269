"""The text of cells, which evcxr passes on a line at a time, with marks of the relay in it."""

from __future__ import annotations

from collections.abc import Callable

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


class Text:
    """Collects lines that come together, to publish them in one message."""

    def __init__(self, publish: Callable[[str, dict, dict], None]) -> None:
        self.publish = publish
        self.name, self.parent, self.lines = "", None, []

    def add(self, name: str, line: str, parent: dict) -> None:
        """Adds a line of a request to the message, or begins a new one."""
        if name != self.name or parent is not self.parent:
            self.flush()
            self.name, self.parent = name, parent
        self.lines.append(line)

    def flush(self) -> None:
        """Publishes the lines."""
        if self.lines:
            content = {"name": self.name, "text": "".join(self.lines)}
            self.publish("stream", content, self.parent)
            self.lines = []
