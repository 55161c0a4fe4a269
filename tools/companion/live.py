"""Live messages: a progress bar or a figure that is replaced while the cell runs."""

from __future__ import annotations

import uuid


class Displays:
    """The displays that a cell has shown.

    A display's name is unique to its cell: a cell that runs again makes new displays.
    """

    def __init__(self) -> None:
        self.prefix = uuid.uuid4().hex
        self.shown: set[str] = set()

    def message(self, event: dict) -> tuple[str, dict]:
        """Returns the type and the content of the message that shows a live event."""
        name = str(event.get("id", ""))
        kind = "update_display_data" if name in self.shown else "display_data"
        self.shown.add(name)
        data = event.get("data") or {"text/plain": event.get("text", "")}
        display = {"display_id": f"{self.prefix}-{name}"}
        return kind, {"data": data, "metadata": {}, "transient": display}
