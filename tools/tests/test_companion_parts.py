"""The parts of the companion that need no kernel; a socket of Python plays the relay."""

import asyncio
import json
import os
import subprocess
import sys

from companion import limits, stream
from companion.limits import Limit
from companion.live import Displays
from companion.relay import Relay, parent_of


class FakeRelay:
    """Speaks as the relay of the kit does (runtime/relay.rs)."""

    @classmethod
    async def connect(cls, path):
        self = cls()
        self.reader, self.writer = await asyncio.open_unix_connection(path)
        self.tell(event="hello", pid=os.getpid())
        return self

    def tell(self, **event):
        self.writer.write(json.dumps(event).encode() + b"\n")

    async def told(self):
        return json.loads(await asyncio.wait_for(self.reader.readline(), 10))

    async def is_refused(self):
        try:
            return await asyncio.wait_for(self.reader.read(), 10) == b""
        except ConnectionResetError:
            return True


def with_relay(folder, check, belongs=lambda pid: True):
    """Runs a check against a listening companion; returns the events it has heard."""

    async def run():
        heard, lost = [], asyncio.Event()
        relay = Relay(heard.append, lost.set, belongs)
        await relay.listen(folder / "socket")
        await check(relay, folder / "socket", lost)
        relay.server.close()
        return heard

    return asyncio.run(run())


async def until(true):
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def test_events_are_heard_before_the_pong(tmp_path):
    picture = "A" * 4_000_000

    async def check(relay, path, lost):
        assert not relay.alive and await relay.ping(1) is None
        fake = await FakeRelay.connect(path)
        await until(lambda: relay.alive)
        ping = asyncio.create_task(relay.ping(10))
        asked = await fake.told()
        fake.tell(event="complete")
        fake.tell(event="live", id="a", data={"image/png": picture})
        fake.writer.write(b"not json\n[1]\n")
        fake.tell(event="pong", number=asked["number"], waiting=True)
        assert (await ping)["waiting"] is True
        relay.send(do="stop")
        assert await fake.told() == {"do": "stop"}

    heard = with_relay(tmp_path, check)
    assert [event["event"] for event in heard] == ["complete", "live"]
    assert heard[1]["data"]["image/png"] == picture


def test_a_relay_that_closes_its_socket_is_lost(tmp_path):
    async def check(relay, path, lost):
        fake = await FakeRelay.connect(path)
        await until(lambda: relay.alive)
        ping = asyncio.create_task(relay.ping(10))
        await fake.told()
        fake.writer.close()
        assert await ping is None
        await asyncio.wait_for(lost.wait(), 10)
        await relay.wait_for_loss(10)
        assert not relay.alive and not relay.process_ended
        # Another process takes its place.
        fake = await FakeRelay.connect(path)
        await until(lambda: relay.alive)

    with_relay(tmp_path, check)


def test_a_relay_that_is_silent_is_given_up(tmp_path):
    async def check(relay, path, lost):
        fake = await FakeRelay.connect(path)
        await until(lambda: relay.alive)
        assert await relay.ping(0.01) is None

    with_relay(tmp_path, check)


def test_nobody_else_speaks_in_the_relays_name(tmp_path):
    async def check(relay, path, lost):
        first = await FakeRelay.connect(path)
        await until(lambda: relay.alive)
        second = await FakeRelay.connect(path)
        second.tell(event="complete")
        assert await second.is_refused()
        first.tell(event="run")
        ping = asyncio.create_task(relay.ping(10))
        first.tell(event="pong", number=(await first.told())["number"])
        assert await ping

    assert [event["event"] for event in with_relay(tmp_path, check)] == ["run"]

    async def refused(relay, path, lost):
        stranger = await FakeRelay.connect(path)
        assert await stranger.is_refused()
        assert not relay.alive

    with_relay(tmp_path, refused, belongs=lambda pid: False)


def test_the_parent_of_a_process():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert parent_of(child.pid) == os.getpid()
    assert parent_of(child.pid) is None


def test_a_live_message_is_shown_once_and_then_replaced():
    cell, again = Displays(), Displays()
    kind, first = cell.message({"id": "fit", "text": "1 of 2"})
    assert kind == "display_data" and first["data"] == {"text/plain": "1 of 2"}
    kind, second = cell.message({"id": "fit", "text": "x", "data": {"text/html": "<b>2</b>"}})
    assert kind == "update_display_data" and second["data"] == {"text/html": "<b>2</b>"}
    assert first["transient"] == second["transient"]
    assert cell.message({"id": "curve"})[0] == "display_data"
    # Another run of the cell leaves the displays of this one alone.
    kind, other = again.message({"id": "fit", "text": "1 of 2"})
    assert kind == "display_data" and other["transient"] != first["transient"]


def test_output_is_limited_and_that_is_said_once():
    limit, size = Limit(), limits.MOST // 10
    assert all(limit.admit(size) for _ in range(10))
    assert limit.note() is None and not limit.reached
    # The relay may know before the text comes.
    limit.report(limits.MOST + 1)
    assert limit.note() is None and not limit.reached
    assert not limit.admit(1) and limit.reached
    assert "10 MB" in limit.note() and limit.note() is None
    assert not limit.endless
    limit.report(2 * limits.MOST + 1)
    assert limit.endless


def test_the_relays_marks_are_removed():
    assert stream.clean("50 %\x1e\n") == "50 %"
    assert stream.clean("line\n") == "line\n"
    assert stream.is_place(stream.PLACE) and not stream.is_place(f"x{stream.PLACE}")


def test_lines_that_come_together_are_one_message():
    published, one, two = [], {}, {}
    text = stream.Text(lambda *message: published.append(message))
    for name, line, parent in (
        ("stdout", "a\n", one),
        ("stdout", "b\n", one),
        ("stderr", "c\n", one),
        ("stderr", "d\n", two),
    ):
        text.add(name, line, parent)
    text.flush()
    text.flush()
    assert [(c["name"], c["text"]) for _, c, _ in published] == [
        ("stdout", "a\nb\n"),
        ("stderr", "c\n"),
        ("stderr", "d\n"),
    ]
