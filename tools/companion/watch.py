"""The cell that runs: what the relay reports about it, and how it is stopped."""

from __future__ import annotations

import asyncio

from companion import judge
from companion.cell import Cell
from companion.evcxr import Evcxr
from companion.front import Front
from companion.judge import Evidence, Failure
from companion.relay import Relay, parent_of
from companion.wire import log

# Seconds between a request to stop and the end of the process, and for a cell that prints without
# end: all it prints is held in memory.
STOP_PATIENCE = 5
FLOOD_STOP_PATIENCE = 1
# Seconds that a cell has to end by itself once it cannot be watched any more.
BLIND_PATIENCE = 2


class Watch:
    """Watches one cell at a time, from its beginning until the next one."""

    def __init__(self, front: Front, evcxr: Evcxr) -> None:
        self.front, self.evcxr = front, evcxr
        self.loop = asyncio.get_running_loop()
        self.relay = Relay(self.on_event, self.on_lost, self.runs_cells)
        self.cell: Cell | None = None
        # What has become known about a cell after its end.
        self.complaint: Failure | None = None
        # Whether a cell waits for the user's input.
        self.input_wanted = False
        # Whether the companion itself ends the process of the cells.
        self.loss_expected = False

    @property
    def running(self) -> bool:
        """Whether there is a cell that has not been answered."""
        return self.cell is not None and not self.cell.ended

    def runs_cells(self, pid: int) -> bool:
        """Whether a process is evcxr's child."""
        return parent_of(pid) == self.evcxr.process.pid

    def interrupt(self) -> None:
        """Asks the running cell to stop; asked again, ends its process."""
        if not self.running:
            return
        if self.cell.evidence.stop is None:
            self.stop(self.cell, "Interrupted")
        else:
            self.kill(self.cell)

    def stop(self, cell: Cell, reason: str) -> None:
        """Asks a cell to stop at its next batch. It has some seconds for that."""
        cell.evidence.stop = reason
        self.relay.send(do="stop")
        if cell.evidence.running:
            self.wait_for_stop(cell)

    def wait_for_stop(self, cell: Cell) -> None:
        """Sets the time at which a cell that does not stop is killed."""
        if cell.due:
            cell.due.cancel()
        patience = STOP_PATIENCE if cell.evidence.stop == "Interrupted" else FLOOD_STOP_PATIENCE
        cell.due = self.loop.call_later(patience, self.kill, cell)

    def kill(self, cell: Cell) -> None:
        """Ends the process of the cells because a cell does not stop."""
        if not cell.ended and cell.sent:
            cell.evidence.killed = True
            self.kill_process()

    def kill_process(self) -> None:
        """Ends the process of the cells; evcxr notices, and starts another."""
        self.loss_expected = True
        self.evcxr.ask(self.evcxr.control, "interrupt_request")
        if self.input_wanted:
            # evcxr waits for it.
            self.input_wanted = False
            self.evcxr.ask(self.evcxr.stdin, "input_reply", {"value": ""})

    def on_event(self, event: dict) -> None:
        """Notes what the relay reports."""
        cell = self.cell
        if cell is None or not cell.sent:
            # It is about code of the companion's own.
            return
        if cell.ended:
            self.on_late_event(cell, event)
            return
        evidence = cell.evidence
        match event["event"]:
            case "run":
                evidence.runs += 1
                if evidence.stop:
                    # The request came while the cell was compiled.
                    self.relay.send(do="stop")
                    self.wait_for_stop(cell)
            case "complete":
                evidence.completions += 1
            case "panicked":
                evidence.panicked = True
            case "failed":
                evidence.failed = True
            case "question":
                evidence.question = event.get("message")
            case "panic":
                evidence.panics.append(event)
            case "descriptor":
                evidence.descriptors.append(event.get("name", "a standard stream"))
                # A cell without stdout cannot tell evcxr that it has ended.
                self.loop.call_later(BLIND_PATIENCE, self.end_blind, cell)
            case "limit":
                cell.limit.report(event.get("bytes", 0))
                self.check_limit(cell)
            case "live" | "stopped":
                cell.lives.append(event)

    def on_late_event(self, cell: Cell, event: dict) -> None:
        """Handles what comes after the end of a cell: from its threads, or it was not its end."""
        match event["event"]:
            case "live":
                self.front.publish(*cell.displays.message(event), cell.request)
            case "panic":
                self.complain(judge.late_panic(event, cell.evidence.code))
            case "descriptor":
                evidence = Evidence(descriptors=[event.get("name", "a standard stream")])
                self.complain(judge.descriptors(evidence))
            case "complete":
                if not self.loss_expected:
                    self.complain(judge.forged(Evidence(completions=1)))

    def complain(self, failure: Failure) -> None:
        """Reports an error of a cell that has ended: there, at the next cell and in the log."""
        log(f"After a cell had ended: {failure.ename}: {failure.evalue}")
        self.complaint = failure
        self.front.publish("error", failure.content(), self.cell.request)
        if failure.kill:
            self.kill_process()

    def on_lost(self) -> None:
        """The process of the cells has ended, or has closed the socket."""
        cell = self.cell
        if cell is None or self.loss_expected:
            return
        if cell.ended:
            ended = f"The process of the cells has ended. {judge.LOST}"
            self.complain(judge.failure("ProcessEnded", ended, kill=True))
        # If it lives on, evcxr may wait forever for its end.
        self.loop.call_later(BLIND_PATIENCE, self.end_unwatched, cell)

    def end_unwatched(self, cell: Cell) -> None:
        """Ends a process that has closed the relay's socket and runs on."""
        if not self.relay.alive and not cell.ended:
            self.relay.end_process()

    def end_blind(self, cell: Cell) -> None:
        """Ends a cell that has closed a standard stream and runs on."""
        if not cell.ended and not cell.replied.done():
            self.kill_process()

    def check_limit(self, cell: Cell) -> None:
        """Says once that a cell has printed too much, and stops one that goes on."""
        note = cell.limit.note()
        if note:
            self.front.publish("stream", {"name": "stderr", "text": note}, cell.request)
        if cell.limit.endless and not cell.ended and cell.evidence.stop is None:
            self.stop(cell, "OutputLimit")

    def show_live(self, cell: Cell, everything: bool = False) -> None:
        """Shows the live message that is due at this place of the text, or all that wait."""
        while cell.lives:
            event = cell.lives.popleft()
            # The kit itself says where it has stopped.
            if event["event"] == "live":
                self.front.publish(*cell.displays.message(event), cell.request)
            if not everything:
                return
