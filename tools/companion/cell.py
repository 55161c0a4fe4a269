"""A cell that Jupyter has asked to run."""

from __future__ import annotations

import asyncio
import collections
import dataclasses

from companion.judge import Evidence
from companion.limits import Limit
from companion.live import Displays


@dataclasses.dataclass(eq=False)
class Cell:
    """An execute request, from its beginning until the next one."""

    identities: list[bytes]
    request: dict
    loop: asyncio.AbstractEventLoop

    def __post_init__(self) -> None:
        content = self.request["content"]
        self.evidence = Evidence(code=content.get("code", ""))
        self.silent = bool(content.get("silent"))
        self.counts = not self.silent and content.get("store_history", True)
        self.stops_others = content.get("stop_on_error", True)
        self.replied, self.idle = self.loop.create_future(), self.loop.create_future()
        self.displays, self.limit = Displays(), Limit()
        self.lives: collections.deque[dict] = collections.deque()
        # Whether evcxr has the request, and whether the client has its answer.
        self.sent = self.ended = False
        self.due: asyncio.TimerHandle | None = None

    @property
    def id(self) -> str:
        """The id of the request, which evcxr's messages name as their parent."""
        return self.request["header"]["msg_id"]
