"""Runs a notebook from first to last cell, and fails when a cell fails.

Jupyter's own runners believe the kernel's answer, and evcxr answers "ok" to a cell that panicked or whose `?` failed at
top level: the message goes to stderr. So here whatever a cell writes to stderr fails it (libtorch's warnings aside).

Tags of a cell: `raises-exception` lets it fail, `stderr-expected` lets it write to stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

import project

# As libtorch writes them: `[W1122 10:00:00.000 TensorShape.cpp:4450] Warning: …`.
WARNING = re.compile(r"\[W[\d .:-]+\S+\.(cpp|cu|h):\d+\]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# evcxr does not wait for what a cell wrote to stderr before it says that the cell has ended.
LATE = 0.3


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
    """nbclient that shows its progress and looks at stderr."""

    async def async_execute_cell(self, cell, cell_index, execution_count=None, store_history=True):
        """Runs one cell; numbers in messages count code cells from 1, as the report does."""
        if cell.cell_type != "code" or not cell.source.strip():
            return cell
        number = sum(1 for other in self.nb.cells[: cell_index + 1] if other.cell_type == "code" and other.source.strip())
        total = sum(1 for other in self.nb.cells if other.cell_type == "code" and other.source.strip())
        title = next(line.strip() for line in cell.source.splitlines() if line.strip())
        print(f"[{number}/{total}] {title[:70]}", end="", flush=True)
        started = time.monotonic()
        tags = cell.metadata.get("tags", [])
        # The kernel counts from 2.
        self.code_cells_executed = number - 1
        try:
            await super().async_execute_cell(cell, cell_index, execution_count=number, store_history=store_history)
        except CellTimeoutError:
            raise CellFailed(number, cell.source, f"still running after its time limit of {self.timeout} s") from None
        except DeadKernelError:
            raise CellFailed(number, cell.source, "the kernel died") from None
        except CellExecutionError:
            await self.take_late_messages(cell)
            raise CellFailed(number, cell.source, error_of(cell)) from None
        finally:
            print(f"  {time.monotonic() - started:.1f} s", flush=True)
        await self.take_late_messages(cell)
        tidy(cell)
        if "raises-exception" not in tags and "stderr-expected" not in tags:
            written = stderr_of(cell)
            if written:
                raise CellFailed(number, cell.source, written)
        return cell

    async def take_late_messages(self, cell) -> None:
        """Adds what arrives after the kernel said that the cell had ended."""
        while True:
            try:
                message = await self.kc.iopub_channel.get_msg(timeout=LATE)
            except (queue.Empty, asyncio.TimeoutError):
                return
            if message["msg_type"] == "stream":
                cell.outputs.append(nbformat.v4.output_from_msg(message))


def error_of(cell) -> str:
    """The errors that the kernel reported for a cell, without colours."""
    errors = []
    for output in cell.outputs:
        if output.output_type == "error":
            text = "\n".join(output.traceback) or output.evalue
            errors.append(COLOUR.sub("", text if output.evalue in text else f"{output.evalue}\n{text}"))
    return "\n".join(errors) or "the kernel reported an error without a message"


def stderr_of(cell) -> str:
    """What a cell wrote to stderr, without libtorch's warnings."""
    text = "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr")
    return "\n".join(line for line in text.splitlines() if line.strip() and not WARNING.match(line))


def tidy(cell) -> None:
    """Joins the lines of a stream, which arrive one by one, into one output; numbers results like their cell."""
    joined = []
    for output in cell.outputs:
        before = joined[-1] if joined else None
        if before and output.output_type == before.output_type == "stream" and output.name == before.name:
            before.text += output.text
        else:
            joined.append(output)
        if "execution_count" in output:
            output.execution_count = cell.execution_count
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
    parser.add_argument("--in-place", action="store_true", help="put the outputs into the notebook itself if all cells pass")
    arguments = parser.parse_args()
    source = arguments.notebook.resolve()
    folder = (arguments.cwd or source.parent).resolve()
    executed, failure = run(source, arguments.kernel, folder, arguments.timeout)
    if arguments.html:
        project.save(arguments.html, html_of(executed, failure))
    if arguments.output:
        project.save(arguments.output, nbformat.writes(executed) + "\n")
    if failure:
        print(f"\n{source.name}: {failure}", file=sys.stderr)
        return 1
    if arguments.in_place:
        project.save(source, nbformat.writes(executed) + "\n")
    print(f"{source.name}: all cells passed")
    return 0


if __name__ == "__main__":
    project.main(main)
