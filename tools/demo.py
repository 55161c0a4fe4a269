"""`make demo`: runs a lesson headless and says where its results are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat

import project


def main() -> int:
    """demo.py NOTEBOOK FOLDER"""
    notebook, out = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    if not notebook.exists():
        raise project.Problem(f"There is no {notebook}.")
    executed, page = out / notebook.name, out / f"{notebook.stem}.html"
    out.mkdir(parents=True, exist_ok=True)
    runner = project.ROOT / "tools" / "run_notebook.py"
    command = [sys.executable, runner, notebook, "--output", executed, "--html", page]
    code = subprocess.run(command, env=os.environ | {"MNIST_KIT_OUT": str(out)}, stdin=subprocess.DEVNULL).returncode
    if code:
        print(f"How far it came: {page}", file=sys.stderr)
        return code
    percent = accuracy(executed)
    if percent is None:
        raise project.Problem(f"{notebook} ran, but no cell printed a line `Final test accuracy: …%`.")
    print(f"\nTest accuracy: {percent}")
    print(f"Notebook:      {executed}")
    print(f"Report:        {page}")
    for figure in sorted((out / "figures").glob("*")):
        print(f"Figure:        {figure}")
    return 0


def accuracy(notebook: Path) -> str | None:
    """The number on the last line `Final test accuracy: …` that a cell printed."""
    found = None
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            for match in re.finditer(r"Final test accuracy:\s*([\d.]+\s*%)", text):
                found = match[1]
    return found


if __name__ == "__main__":
    project.main(main)
