"""`make torture`: tries to break the kit, and prints how often that was survived.

Each part prints lines of JSON, one for each thing that it attacks. They become rows of the table in
docs/RELIABILITY.md if nothing was left out. `make torture CASES=0.01` runs a hundredth of the cases,
`make torture PARTS="idx pth"` some of the parts.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import project

REPORT = project.ROOT / "docs" / "RELIABILITY.md"
BEGIN, END = "<!-- made by make torture: begin -->\n", "<!-- end -->\n"
HEADER = (
    "| part | attempts | survived | lost | seconds | |",
    "|---|---:|---:|---:|---:|---|",
)
HERE = project.ROOT / "tools" / "torture"
Rows = Iterator[dict]


def reader(name: str, cases: int) -> Callable[[float], Rows]:
    """Files that are made to break a reader: see mnist_kit/tests/torture."""

    def run(fraction: float) -> Rows:
        options = ("--release", "--all-features", "--test", "torture")
        program = project.built("torture", "test", *options)
        asked = f"{name}:0:{max(1, round(cases * fraction))}"
        command = [program, "full", "--exact", "--ignored", "--nocapture"]
        yield from lines(command, MNIST_KIT_TORTURE=asked)

    return run


def network(_: float) -> Rows:
    """Bad servers, proxies and other processes: tests of downloads."""
    program = project.built("data", "test", "--release", "--all-features", "--test", "data")
    start = time.monotonic()
    done = subprocess.run(
        [program, "download::", "network::"], env=environment(), stdout=subprocess.PIPE, text=True
    )
    found = re.search(r"(\d+) passed; (\d+) failed", done.stdout)
    survived, lost = map(int, found.groups()) if found else (0, 1)
    if lost:
        print(done.stdout, file=sys.stderr)
    yield {
        "part": "downloads",
        "attempts": survived + lost,
        "survived": survived,
        "lost": lost,
        "seconds": round(time.monotonic() - start, 1),
        "note": "tests with servers of their own",
    }


def script(name: str, options: Callable[[float], list[str]]) -> Callable[[float], Rows]:
    """A script of tools/torture."""

    def run(fraction: float) -> Rows:
        yield from lines([sys.executable, str(HERE / name), *options(fraction)])

    return run


# Everything that `make torture` runs, in this order.
PARTS: dict[str, Callable[[float], Rows]] = {
    "idx": reader("idx", 1_000_000),
    "parquet": reader("parquet", 100_000),
    "safetensors": reader("safetensors", 100_000),
    "pth": reader("pth", 100_000),
    "pictures": reader("pictures", 100_000),
    "checkpoint": reader("checkpoint", 100_000),
    "json": reader("json", 100_000),
    "recipe": reader("recipe", 100_000),
    "network": network,
    "faults": script(
        "faults.py", lambda part: ["--limit", str(max(1, round(400 * part)))] if part < 1 else []
    ),
    "soak": script("soak.py", lambda part: ["--cells", str(max(1, round(100 * part)))]),
    "churn": script("churn.py", lambda part: ["--kernels", str(max(1, round(50 * part)))]),
    "crowd": script("crowd.py", lambda part: ["--kernels", str(max(2, round(8 * part)))]),
}


def main() -> int:
    """Runs the parts, prints the table, and writes it into the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--cases", type=float, default=1.0, help="fraction of the cases (default: all)")
    add("parts", nargs="*", help=f"parts to run (default: all): {' '.join(PARTS)}")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if not 0 < arguments.cases <= 1:
        parser.error(f"--cases {arguments.cases}: expected a fraction above 0, at most 1")
    rows = []
    for name in arguments.parts or PARTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += PARTS[name](arguments.cases)
    print("\n".join([*HEADER, *map(row, rows)]))
    if arguments.cases == 1:
        write(rows)
    return 1 if not rows or any(row["lost"] for row in rows) else 0


def lines(command: list[str], **variables: str) -> Rows:
    """Runs a program, and returns the lines of JSON that it prints."""
    done = subprocess.run(
        command, env=environment() | variables, stdout=subprocess.PIPE, text=True, check=False
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
    if done.returncode and not any(row["lost"] for row in rows):
        raise project.Problem(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return iter(rows)


def environment() -> dict[str, str]:
    """Returns the variables of the programs: one thread, and where libtorch lies."""
    libraries = [str(project.LIBTORCH / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return os.environ | {
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
        "OMP_NUM_THREADS": "1",
    }


def row(figures: dict) -> str:
    """Formats a row of the table."""
    counts = [f"{figures[name]:,}" for name in ("attempts", "survived", "lost")]
    seconds = f"{figures['seconds']:,.0f}"
    return f"| {' | '.join([figures['part'], *counts, seconds, figures.get('note', '')])} |"


def write(rows: list[dict], report: Path = REPORT) -> None:
    """Puts rows into the report, in place of those of the same parts."""
    text = report.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    kept = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("| ")}
    kept.pop("part", None)
    mark = provenance()
    for figures in rows:
        note = ", ".join(filter(None, [figures.get("note"), mark]))
        kept[figures["part"]] = row(figures | {"note": note})
    table = "\n".join([*HEADER, *kept.values()])
    new = f"{before}{BEGIN}{table}\n\n{machine()}\n{END}{after}"
    project.save(report, new)


def provenance() -> str:
    """Returns commit and date of a run."""
    commit = project.output_of("git", "rev-parse", "--short", "HEAD", cwd=project.ROOT) or "unknown"
    others = ("--", ".", f":!{REPORT.relative_to(project.ROOT)}")
    changed = project.output_of("git", "status", "--porcelain", "-uno", *others, cwd=project.ROOT)
    return f"{commit}{'+changes' if changed else ''}, {datetime.date.today()}"


def machine() -> str:
    """Describes machine and versions in a sentence."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    rust = project.rust_version_found()
    return (
        f"Machine: {processor}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
        f"Rust {rust}, libtorch {project.torch_version()}, Python {platform.python_version()}."
    )


if __name__ == "__main__":
    project.main(main)
