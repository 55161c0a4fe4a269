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

    def __post_init__(self) -> None:
        content = self.request["content"]
        self.evidence = Evidence(code=content.get("code", ""))
        self.silent = bool(content.get("silent"))
        self.counts = not self.silent and content.get("store_history", True)
        self.stops_others = content.get("stop_on_error", True)
        # Set once evcxr has answered, and once it has published all it has to.
        loop = asyncio.get_running_loop()
        self.replied, self.idle = loop.create_future(), loop.create_future()
        self.displays, self.limit = Displays(), Limit()
        # Live messages that wait for their place in the text.
        self.lives: collections.deque[dict] = collections.deque()
        # Whether evcxr has the request, and whether the client has its answer.
        self.sent = self.ended = False
        # When it is killed if it does not stop.
        self.due: asyncio.TimerHandle | None = None
        # The number that Jupyter shows.
        self.number = 0

    @property
    def id(self) -> str:
        """The id of the request, which evcxr's messages name as their parent."""
        return self.request["header"]["msg_id"]
