"""`make record NB=notebooks/03_cnn.ipynb`: runs a lesson and puts the outputs into its notebook.

This is the only way for outputs to get there. The notebook's metadata then tell by what they were
made: `mnist_kit.record` has the SHA-256 of the code cells, the commit, device, threads, date,
seconds and where the images came from. tools/check_notebooks.py compares.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat

import check_notebooks
import project
import run_notebook

# The files that decide, besides the notebook's code, what a run shows.
SOURCES = ("mnist_kit", "Cargo.toml", "Cargo.lock")
# The line above the table of a data set, and the device in the table of the environment.
DATA_TABLE = re.compile(r"^(.+)\nsplit +images +shape ", re.MULTILINE)
DEVICE = re.compile(r"^device +(.+)$", re.MULTILINE)
CPU = re.compile(r"CPU, (\d+) threads?")


def main() -> int:
    """Parses the command line, runs the notebook and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("notebook", type=Path, help="a file in notebooks/")
    add("--timeout", type=int, default=3600, help="seconds a cell may take (default: %(default)s)")
    add("--html", type=Path, help="where to write a report as a web page")
    arguments = parser.parse_args()
    source = arguments.notebook.resolve()
    if not source.exists():
        raise project.Problem(f"{arguments.notebook} does not exist. Name one of notebooks/*.ipynb.")
    refuse_quick_mode()
    commit = committed(source)
    started = time.monotonic()
    executed, failure = run_notebook.run(
        source, project.KERNEL_NAME, source.parent, arguments.timeout
    )
    seconds = time.monotonic() - started
    if arguments.html:
        project.save(arguments.html, run_notebook.html_of(executed, failure))
    if failure:
        print(f"\n{source.name}: {failure}\nNothing was recorded.", file=sys.stderr)
        return 1
    executed.metadata["mnist_kit"] = {"record": record_of(executed, commit, seconds)}
    project.save(source, nbformat.writes(with_outputs_of(executed, source)) + "\n")
    print(f"{source.name}: recorded")
    for problem in check_notebooks.problems_of(source, source.stem in check_notebooks.TO_BE_RECORDED):
        print(problem)
    return 0


def refuse_quick_mode() -> None:
    """Raises a Problem in quick mode, whose results are those of a slice of the data."""
    quick = os.environ.get("MNIST_KIT_QUICK", "")
    if quick not in ("", "0"):
        raise project.Problem(
            f"MNIST_KIT_QUICK is {quick}, but a record is a whole run. Unset it, and repeat the command."
        )


def committed(source: Path) -> str:
    """Returns the short hash of the commit that holds the code as it is.

    Raises a Problem if the kit's sources or the notebook's code differ from the commit: nobody
    could look up what made the outputs.
    """
    commit = project.output_of("git", "rev-parse", "--short", "HEAD", cwd=project.ROOT)
    if commit is None:
        raise project.Problem(
            "A record names the commit of the code, but there is no git repository here, or no "
            "commit in it. Clone the project with git, and repeat the command."
        )
    status = ("git", "status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
    changed = project.output_of(*status, cwd=project.ROOT).splitlines()
    name = source.relative_to(project.ROOT).as_posix() if source.is_relative_to(project.ROOT) else None
    stored = project.output_of("git", "show", f"HEAD:{name}", cwd=project.ROOT)
    current = json.loads(source.read_text(encoding="utf-8"))
    if stored is None or code_differs(json.loads(stored), current):
        changed.append(f" M {source.name} (its code cells)")
    if changed:
        raise project.Problem(
            f"A record names the commit of the code, but these differ from commit {commit}:\n"
            + "\n".join(changed)
            + "\nCommit them or take the changes back, then repeat the command."
        )
    return commit


def code_differs(stored: dict, current: dict) -> bool:
    """Compares the code cells of two notebooks."""
    return check_notebooks.code_sha256(stored) != check_notebooks.code_sha256(current)


def record_of(executed, commit: str, seconds: float) -> dict:
    """Makes the record of a run, from what its cells have shown."""
    shown = [output for cell in executed.cells for output in cell.get("outputs", [])]
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in shown]
    data = [match[1].strip() for text in texts for match in DATA_TABLE.finditer(text)]
    devices = [match[1].strip() for text in texts for match in DEVICE.finditer(text)]
    if not data or not devices:
        missing = "where the images come from (`mnist`)" if not data else "the device (`environment()`)"
        raise project.Problem(f"Nothing was recorded: no cell shows {missing}. Add one that does.")
    for title in data:
        if "generated digits" in title or "quick mode" in title:
            raise project.Problem(
                f"Nothing was recorded: the images were “{title}”, and a record needs all of MNIST. "
                "Set MNIST_KIT_DATA to a folder with its four files, and repeat the command."
            )
    cpu = CPU.fullmatch(devices[0])
    return {
        "code_sha256": check_notebooks.code_sha256(executed),
        "commit": commit,
        "device": "CPU" if cpu else devices[0],
        "threads": int(cpu[1]) if cpu else None,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "seconds": round(seconds),
        "data": data[0],
    }


def with_outputs_of(executed, source: Path):
    """Returns the notebook with the outputs; its Markdown may have been edited during the run."""
    notebook = nbformat.read(source, as_version=4)
    if code_differs(notebook, executed):
        raise project.Problem(
            f"Nothing was recorded: the code of {source.name} was edited during the run. "
            "Commit the changes, and repeat the command."
        )
    notebook.metadata = executed.metadata
    done = [cell for _, cell in check_notebooks.cells_of(executed, "code")]
    for (_, cell), run in zip(check_notebooks.cells_of(notebook, "code"), done):
        cell.outputs, cell.execution_count, cell.metadata = run.outputs, run.execution_count, run.metadata
    return notebook


if __name__ == "__main__":
    project.main(main)
