"""Lets programs fail, or kills them, at each system call that changes files.

For every part and every step n: the n-th call fails with ENOSPC, EIO, EROFS or EDQUOT, or the
program is killed there, or the power is cut and what was not synced is lost. Afterwards each file is
whole or absent, and the next start works and leaves what an undisturbed one leaves, nothing else.

Prints one line of JSON for each part: attempts, survived, lost, seconds.
"""

from __future__ import annotations

import argparse
import errno
import json
import sys
import tempfile
import time
from pathlib import Path

import parts
import supervisor
from disk import Disk
from parts import Part
from supervisor import Fault, Unsupported

ERRORS = ("ENOSPC", "EIO", "EROFS", "EDQUOT")
# A power cut may keep the names of files whose content is lost, or lose them, too.
KILLS = ("SIGKILL", "power cut", "power cut, names lost")
# Signs of a crash in an error message.
CRASHES = ("panicked at", "Traceback (most recent call last)")


class Lost(Exception):
    """A file is damaged, or the next start does not work."""


def main() -> int:
    """Disturbs the parts and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts to disturb; all by default")
    add = parser.add_argument
    add("--limit", type=int, help="most attempts for a part, evenly spread; all by default")
    arguments = parser.parse_args()
    known = {part.name: part for part in parts.PARTS}
    unknown = [name for name in arguments.parts if name not in known]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(known)}")
    lost = 0
    for name in arguments.parts or known:
        remedy = known[name].missing()
        if remedy:
            print(f"SKIPPED: {name} ({remedy})", file=sys.stderr, flush=True)
            continue
        try:
            figures = disturb(known[name], arguments.limit)
        except Unsupported as reason:
            print(f"SKIPPED: faults ({reason})", file=sys.stderr, flush=True)
            return 0
        print(json.dumps(figures), flush=True)
        lost += figures["lost"]
    return 1 if lost else 0


def disturb(part: Part, limit: int | None = None) -> dict:
    """Makes the attempts of a part; tells of losses on standard error."""
    started = time.monotonic()
    attempts = survived = 0
    with part.serving():
        steps, expected = undisturbed(part)
        faults = list(spread(planned(steps), limit))
        for kind, step in faults:
            attempts += 1
            try:
                attempt(part, kind, step, expected)
                survived += 1
            except Lost as loss:
                what = steps[step - 1] if step <= len(steps) else "end"
                print(f"LOST: {part.name}, {kind} at step {step} ({what}): {loss}", file=sys.stderr, flush=True)
    return {
        "part": f"faults: {part.name}",
        "attempts": attempts,
        "survived": survived,
        "lost": attempts - survived,
        "seconds": round(time.monotonic() - started, 1),
    }


def planned(steps: list[str]) -> list[tuple[str, int]]:
    """Every fault at every step, and a power cut after the last one."""
    faults = [(kind, step) for kind in ERRORS + KILLS for step in range(1, len(steps) + 1)]
    return faults + [(kind, len(steps) + 1) for kind in KILLS[1:]]


def spread(faults: list, limit: int | None) -> list:
    """At most `limit` of the faults, evenly spread, the last one included."""
    if limit is None or limit >= len(faults):
        return faults
    return [faults[(index + 1) * len(faults) // limit - 1] for index in range(limit)]


def undisturbed(part: Part) -> tuple[list[str], dict[str, str]]:
    """Runs a part without a fault, twice in one folder; returns its steps and what it leaves."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        part.prepare(folder)
        outcome = start(part, folder)
        expected = part.result(folder)
        again = start(part, folder)
        if outcome.code != 0 or again.code != 0 or part.result(folder) != expected or part.broken(folder):
            raise SystemExit(f"{part.name} does not work without a fault:\n{outcome.said}\n{again.said}")
        return outcome.steps, expected


def start(part: Part, folder: Path, fault: Fault | None = None, disk: Disk | None = None):
    """Runs the program of a part in its folder."""
    watched = [folder / name for name in part.watched]
    return supervisor.run(
        part.command(folder),
        watched,
        fault,
        disk.record if disk else None,
        cwd=folder,
        env=part.variables(folder),
    )


def attempt(part: Part, kind: str, step: int, expected: dict[str, str]) -> None:
    """Disturbs a part once; raises Lost if something is lost."""
    with tempfile.TemporaryDirectory() as name:
        folder, shelter = Path(name).resolve() / "work", Path(name).resolve() / "shelter"
        folder.mkdir()
        shelter.mkdir()
        part.prepare(folder)
        disk = Disk(folder, shelter) if kind.startswith("power cut") else None
        error = getattr(errno, kind) if kind in ERRORS else 0
        outcome = start(part, folder, Fault(step, error), disk)
        if disk:
            disk.cut_power(names_too=kind.endswith("names lost"))
        broken = part.broken(folder)
        if broken:
            raise Lost(f"{broken} is neither whole nor absent")
        if kind in ERRORS:
            expect_message(outcome)
        if outcome.code == 0 and disk and part.lasting:
            found = part.result(folder)
            # Lock files come and go, and their content does not matter.
            lasting = {name: found.get(name) for name in expected if not name.endswith(".lock")}
            compare(lasting, {name: expected[name] for name in lasting}, "after a successful run")
        again = start(part, folder)
        if again.code != 0:
            raise Lost(f"the next start ends with {again.code}: {again.said}")
        compare(part.result(folder), expected, "after the next start")


def expect_message(outcome) -> None:
    """Raises Lost unless a program has ended by itself, with a message if it has failed."""
    crash = next((crash for crash in CRASHES if crash in outcome.output), None)
    if outcome.code is None or outcome.code < 0 or crash or not (outcome.code == 0 or outcome.said):
        raise Lost(f"the program ends with {outcome.code}: {outcome.said}")


def compare(found: dict[str, str], expected: dict[str, str], when: str) -> None:
    """Raises Lost unless both are the same."""
    for name in sorted(found.keys() | expected.keys()):
        if name not in expected:
            raise Lost(f"{when}, {name} is left over")
        if not found.get(name):
            raise Lost(f"{when}, {name} is missing")
        if found[name] != expected[name]:
            raise Lost(f"{when}, {name} has another content")


if __name__ == "__main__":
    sys.exit(main())
