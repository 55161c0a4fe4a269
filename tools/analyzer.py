"""The packages that rust-analyzer reads in a kernel: those whose types a cell can meet.

evcxr has rust-analyzer in it, which finds the types of a cell's variables. It asks
`cargo metadata` for all packages and reads them: with 150 packages that takes a gigabyte of memory,
and half of the time of a cell. Nearly all of them are hidden inside mnist_kit. So rust-analyzer is
given a toolchain (toolchain.py) whose cargo leaves them out of that answer; cells are compiled with
all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys

KIT = "mnist_kit"
# The crates that are visible through mnist_kit: its re-exports, and the crates that their types
# come from.
SHOWN = {KIT, "anyhow", "image", "plotters", "plotters-backend", "serde_json", "tch"}


def pruned(metadata: dict) -> dict:
    """Leaves out the packages that only mnist_kit's own code uses.

    Whatever else a notebook depends on stays, with everything below it.
    """
    names = {package["id"]: package["name"] for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    kept, waiting = set(), [metadata["resolve"]["root"]]
    while waiting:
        package = waiting.pop()
        if package in kept:
            continue
        kept.add(package)
        below = nodes[package]["dependencies"]
        if names[package] in SHOWN:
            below = [dependency for dependency in below if names[dependency] in SHOWN]
        waiting += below
    for node in metadata["resolve"]["nodes"]:
        node["dependencies"] = [each for each in node["dependencies"] if each in kept]
        node["deps"] = [each for each in node["deps"] if each["pkg"] in kept]
    metadata["resolve"]["nodes"] = [node for id, node in nodes.items() if id in kept]
    metadata["packages"] = [each for each in metadata["packages"] if each["id"] in kept]
    return metadata


def main() -> int:
    """Runs `CARGO metadata …` and prints its answer without the hidden packages."""
    done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)
    if done.returncode:
        return done.returncode
    metadata = json.loads(done.stdout)
    print(json.dumps(pruned(metadata) if metadata["resolve"] else metadata))
    return 0


if __name__ == "__main__":
    sys.exit(main())
