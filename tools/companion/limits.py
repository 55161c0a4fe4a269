"""The limit of what one cell can print."""

from __future__ import annotations

# Bytes of text per cell. Pictures and other results do not count.
MOST = 10_000_000
NOTE = f"\nOutput limit: this cell has printed {MOST // 1_000_000} MB, and the rest is not shown.\n"


class Limit:
    """Counts what a cell prints.

    Beyond `MOST` nothing more is shown. A cell that goes on to print as much again is printing
    without end, and is stopped.
    """

    def __init__(self) -> None:
        self.received = 0
        self.printed = 0
        self.said = False

    def admit(self, size: int) -> bool:
        """Counts text that has been received; returns whether it is shown."""
        self.received += size
        return not self.reached

    def report(self, size: int) -> None:
        """Takes the relay's count, which includes what it does not pass on."""
        self.printed = size

    def note(self) -> str | None:
        """Returns the line that tells the reader, once the limit is reached, and only once."""
        if self.said or not self.reached:
            return None
        self.said = True
        return NOTE

    @property
    def reached(self) -> bool:
        """True if nothing more is shown."""
        return self.received > MOST

    @property
    def endless(self) -> bool:
        """True if the cell has to be stopped."""
        return max(self.received, self.printed) > 2 * MOST
