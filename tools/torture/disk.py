"""The disk after a power cut: writes that were not synced are lost.

A file keeps what it had at its last fsync. A name (of a new, renamed, linked or removed file) is
certain only once its folder was synced; file systems may keep it earlier, so both are tried.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

from supervisor import Call


@dataclasses.dataclass
class Change:
    """A change of names that is not on disk yet."""

    kind: str
    paths: list[str]
    # A second link to the file that lost its name.
    kept: str | None

    @property
    def folders(self) -> set[str]:
        """The folders that have to be synced for the change to last."""
        return {os.path.dirname(path) for path in self.paths}


class Disk:
    """Follows the steps of a program, and takes back what is not on disk."""

    def __init__(self, folder: Path, shelter: Path):
        self.folder, self.shelter = str(folder), shelter
        self.changes: list[Change] = []
        # Inode → size that is on disk, for files that were written since.
        self.unsynced: dict[int, int] = {}
        self.synced: dict[int, int] = {}

    def record(self, call: Call) -> None:
        """Notes a call that is about to be made, if it is about files of the folder."""
        if not any(path == self.folder or path.startswith(self.folder + "/") for path in call.paths):
            return
        match call.kind:
            case "write":
                self.unsynced.setdefault(call.inode, self.synced.get(call.inode, 0))
            case "truncate":
                self.unsynced[os.stat(call.paths[0]).st_ino] = 0
            case "fsync":
                self.sync(call)
            case "create" | "mkdir":
                if os.path.isdir(os.path.dirname(call.paths[0])) and not os.path.lexists(call.paths[0]):
                    self.changes.append(Change(call.kind, call.paths, None))
            case "link":
                if os.path.exists(call.paths[0]) and not os.path.lexists(call.paths[1]):
                    self.changes.append(Change("link", call.paths[1:], None))
            case "rename":
                if os.path.lexists(call.paths[0]) and not same(*call.paths):
                    self.changes.append(Change("rename", call.paths, self.keep(call.paths[1])))
            case "unlink":
                if os.path.isdir(call.paths[0]) and not os.listdir(call.paths[0]):
                    self.changes.append(Change("rmdir", call.paths, None))
                elif kept := self.keep(call.paths[0]):
                    self.changes.append(Change("unlink", call.paths, kept))

    def sync(self, call: Call) -> None:
        """Notes that a file's content, or the names in a folder, are on disk."""
        folder = call.paths[0]
        if os.path.isdir(folder):
            # A change between two folders lasts when both are synced; the second one is enough here,
            # because the programs move files within a folder.
            self.changes = [change for change in self.changes if folder not in change.folders]
        else:
            self.unsynced.pop(call.inode, None)
            self.synced[call.inode] = os.stat(folder).st_size

    def keep(self, path: str) -> str | None:
        """Keeps a file that is about to lose its name."""
        if not os.path.isfile(path):
            return None
        kept = self.shelter / str(len(list(self.shelter.iterdir())))
        os.link(path, kept)
        return str(kept)

    def cut_power(self, names_too: bool) -> None:
        """Takes back what was not synced: contents, and names if `names_too`."""
        for change in reversed(self.changes) if names_too else ():
            undo(change)
        for path in Path(self.folder).rglob("*"):
            size = self.unsynced.get(path.stat().st_ino) if path.is_file() else None
            if size is not None and size < path.stat().st_size:
                os.truncate(path, size)


def same(first: str, second: str) -> bool:
    """Returns whether both names belong to one file, so that a rename does nothing."""
    return os.path.exists(second) and os.path.samefile(first, second)


def undo(change: Change) -> None:
    """Takes a change of names back, if it was made."""
    last = change.paths[-1]
    match change.kind:
        case "create" | "link" if os.path.lexists(last):
            os.unlink(last)
        case "rmdir":
            os.makedirs(last, exist_ok=True)
        case "mkdir":
            shutil.rmtree(last, ignore_errors=True)
        case "rename" if not os.path.lexists(change.paths[0]) and os.path.lexists(last):
            os.rename(last, change.paths[0])
    if change.kept and not os.path.lexists(last):
        os.link(change.kept, last)
