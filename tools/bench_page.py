"""`make bench-page`: times opening a notebook in a browser, with and without a standby kernel.

The clock starts when the page is opened. It is read when the kernel answers, and when a first cell,
which is run at once, has its output.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import project

sys.path.insert(0, str(Path(__file__).with_name("tests_browser")))

from browser import chromium
from notebook import Notebook
from playwright.sync_api import expect
from server import Server

CELL = ':dep mnist_kit = { path = "../mnist_kit" }\nmnist_kit::environment()'
KINDS = {"without a standby": False, "with a standby": True}
ROWS = ("page opened to kernel idle, s", "page opened to first output, s")
LIMIT = 300
# Seconds in which a standby gets ready: it waits at its socket before it is warm.
WARM_UP = 40


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    expect.set_options(timeout=LIMIT * 1000)
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with TemporaryDirectory() as folder, chromium() as browser:
        for number, (kind, standby) in enumerate(KINDS.items()):
            place = Path(folder) / str(number)
            place.mkdir()
            server = Server(place, standby)
            try:
                if standby:
                    # The first kernel starts a standby.
                    opened(browser, server, "first.ipynb")
                for round in range(rounds):
                    time.sleep(WARM_UP if standby else 0)
                    times[kind].append(opened(browser, server, f"round-{round}.ipynb"))
            finally:
                server.stop()
    print(table(times))


def opened(browser, server: Server, name: str) -> tuple[float, float]:
    """Opens a notebook; returns the seconds to an idle kernel and to the first output."""
    server.write(name, [CELL])
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(LIMIT * 1000)
    started = time.monotonic()
    notebook = Notebook(page, server, name)
    notebook.wait_until_idle()
    idle = time.monotonic() - started
    notebook.run_to_the_end(0)
    seconds = time.monotonic() - started
    page.close()
    server.end_kernels()
    return idle, seconds


def table(times: dict[str, list[tuple[float, float]]]) -> str:
    """Formats medians and ranges as a Markdown table."""
    lines = ["| median (range) | " + " | ".join(times) + " |", "|---|---:|---:|"]
    for row, title in enumerate(ROWS):
        columns = [sorted(pair[row] for pair in pairs) for pairs in times.values()]
        cells = [f"{statistics.median(c):.1f} ({c[0]:.1f}–{c[-1]:.1f})" for c in columns]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    project.main(main)
