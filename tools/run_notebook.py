"""Runs a notebook from first to last cell, and stops with an error when a cell fails.

The kernel reports every failure as an error (companion/), so any of Jupyter's runners would do.
This one shows its progress, and writes notebooks that hold nothing of the machine they ran on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

import project
from terminal import COLOUR, OVERWRITTEN


class CellFailed(Exception):
    """A cell did not do what it should."""

    def __init__(self, number: int, source: str, message: str) -> None:
        self.number, self.source, self.message = number, source, message
        super().__init__(message)

    def __str__(self) -> str:
        lines = [line for line in self.source.splitlines() if line.strip()]
        quoted = "\n".join(f"    | {line}" for line in lines[:3] + (["…"] if len(lines) > 3 else []))
        message = "\n".join(f"    {line}" for line in self.message.strip().splitlines())
        return f"cell {self.number} failed\n{quoted}\n{message}"


class Runner(NotebookClient):
    """nbclient that shows its progress and stops with `CellFailed`."""

    async def async_execute_cell(self, cell, cell_index, execution_count=None, store_history=True):
        """Runs one cell; numbers in messages count code cells from 1, as the report does."""
        if cell.cell_type != "code" or not cell.source.strip():
            return cell
        number = count_of_code(self.nb.cells[: cell_index + 1])
        title = next(line.strip() for line in cell.source.splitlines() if line.strip())
        print(f"[{number}/{count_of_code(self.nb.cells)}] {title[:70]}", end="", flush=True)
        started = time.monotonic()
        try:
            await super().async_execute_cell(cell, cell_index, number, store_history)
        except CellTimeoutError:
            message = f"still running after its time limit of {self.timeout} s"
            raise CellFailed(number, cell.source, message) from None
        except DeadKernelError:
            raise CellFailed(number, cell.source, "the kernel died") from None
        except CellExecutionError:
            raise CellFailed(number, cell.source, error_of(cell)) from None
        finally:
            print(f"  {time.monotonic() - started:.1f} s", flush=True)
            tidy(cell)
        return cell


def count_of_code(cells) -> int:
    """Counts the cells that are run."""
    return sum(1 for cell in cells if cell.cell_type == "code" and cell.source.strip())


def error_of(cell) -> str:
    """The errors that the kernel reported for a cell, without colours."""
    errors = []
    for output in cell.outputs:
        if output.output_type == "error":
            text = "\n".join(output.traceback) or output.evalue
            errors.append(COLOUR.sub("", text if output.evalue in text else f"{output.evalue}\n{text}"))
    return "\n".join(errors) or "the kernel reported an error without a message"


def tidy(cell) -> None:
    """Joins pieces of text that follow one another, and keeps the last state of each line."""
    joined = []
    for output in cell.outputs:
        last = joined[-1] if joined else None
        streams = last and output.output_type == last.output_type == "stream"
        if streams and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":
            output.text = OVERWRITTEN.sub("", output.text)
    cell.outputs = joined


def without_traces(notebook, folders: dict[str, str]) -> None:
    """Takes out what differs from machine to machine: the folders named, and the times of execution."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = shortened(output.text, folders)
            for kind, value in output.get("data", {}).items():
                if isinstance(value, str) and kind.startswith("text/"):
                    output.data[kind] = shortened(value, folders)
            if output.output_type == "error":
                output.evalue = shortened(output.evalue, folders)
                output.traceback = [shortened(line, folders) for line in output.traceback]
    # Widgets and the interpreter's version belong to the run as well.
    notebook.metadata.pop("widgets", None)


def shortened(text: str, folders: dict[str, str]) -> str:
    """A text with each folder's path replaced by its name, longest path first."""
    for path in sorted(folders, key=len, reverse=True):
        text = text.replace(path, folders[path])
    return text


def known_folders() -> dict[str, str]:
    """Paths that no committed notebook should show."""
    folders = {str(project.ROOT): ".", str(Path.home()): "~"}
    data = os.environ.get("MNIST_KIT_DATA")
    if data:
        folders[data] = folders[os.path.realpath(data)] = "$MNIST_KIT_DATA"
    out = os.environ.get("MNIST_KIT_OUT")
    if out:
        folders[out] = folders[os.path.realpath(out)] = "$MNIST_KIT_OUT"
    return {path: name for path, name in folders.items() if len(path) > 1}


def html_of(notebook, failure: CellFailed | None) -> str:
    """A page with the notebook's texts, code and outputs, under the failure if there was one."""
    from nbconvert import HTMLExporter

    page = nbformat.from_dict(notebook)
    if failure:
        banner = nbformat.v4.new_markdown_cell(f"**This run failed.**\n\n```\n{failure}\n```")
        page.cells = [banner, *notebook.cells]
    return HTMLExporter().from_notebook_node(page)[0]


def run(source: Path, kernel: str, folder: Path, limit: int):
    """Runs a notebook; returns it with its outputs, and the failure that ended the run, if any."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = Runner(
        notebook,
        kernel_name=kernel,
        timeout=limit,
        # The first start after a change may compile.
        startup_timeout=1800,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    failure = None
    try:
        client.execute()
    except CellFailed as failed:
        failure = failed
    except (DeadKernelError, RuntimeError, TimeoutError) as error:
        failure = CellFailed(0, "", f"the kernel did not start, or died between two cells: {error}")
    without_traces(notebook, known_folders())
    return notebook, failure


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--kernel", default=project.KERNEL_NAME, help="name of the kernel (default: %(default)s)")
    parser.add_argument("--cwd", type=Path, help="folder to run in (default: the notebook's)")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds a cell may take (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="where to write the executed notebook")
    parser.add_argument("--html", type=Path, help="where to write a report as a web page")
    arguments = parser.parse_args()
    source = arguments.notebook.resolve()
    folder = (arguments.cwd or source.parent).resolve()
    if arguments.output and arguments.output.resolve() == source:
        raise project.Problem(f"{source.name} cannot be its own output. `make record NB=…` records a lesson.")
    executed, failure = run(source, arguments.kernel, folder, arguments.timeout)
    if arguments.html:
        project.save(arguments.html, html_of(executed, failure))
    if arguments.output:
        project.save(arguments.output, nbformat.writes(executed) + "\n")
    if failure:
        print(f"\n{source.name}: {failure}", file=sys.stderr)
        return 1
    print(f"{source.name}: all cells passed")
    return 0


if __name__ == "__main__":
    project.main(main)
