"""`make demo`: runs a lesson without a browser and lists its results."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat

import project


def main() -> int:
    """Runs `demo.py NOTEBOOK FOLDER`."""
    if len(sys.argv) != 3:
        raise project.Problem("usage: demo.py NOTEBOOK FOLDER")
    notebook, out = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    if not notebook.exists():
        raise project.Problem(f"{notebook} does not exist. Name one of the files in notebooks/.")
    executed, page = out / notebook.name, out / f"{notebook.stem}.html"
    out.mkdir(parents=True, exist_ok=True)
    runner = project.ROOT / "tools" / "run_notebook.py"
    command = [sys.executable, runner, notebook, "--output", executed, "--html", page]
    variables = os.environ | {"MNIST_KIT_OUT": str(out)}
    done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        print(f"Cells up to the failure: {page}", file=sys.stderr)
        return done.returncode
    percent = accuracy(executed)
    if percent is None:
        raise project.Problem(
            f"{notebook} ran, but no cell printed the line `Final test accuracy: … %` or a table "
            "with the row `test accuracy`."
        )
    print(f"\nTest accuracy: {percent}")
    print(f"Notebook:      {executed}")
    print(f"Report:        {page}")
    for figure in sorted((out / "figures").glob("*")):
        print(f"Figure:        {figure}")
    return 0


def accuracy(notebook: Path) -> str | None:
    """Finds the test accuracy in a notebook's outputs.

    It is in the last line `Final test accuracy: …`, or else in the last column of the row
    `test accuracy` of a table of results.
    """
    for line in (r"Final test accuracy:\s*([\d.]+\s*%)", r"^test accuracy .*?([\d.]+\s*%)$"):
        found = None
        for cell in nbformat.read(notebook, as_version=4).cells:
            for output in cell.get("outputs", []):
                text = output.get("text") or output.get("data", {}).get("text/plain", "")
                for match in re.finditer(line, text, re.MULTILINE):
                    found = match[1]
        if found:
            return found
    return None


if __name__ == "__main__":
    project.main(main)
