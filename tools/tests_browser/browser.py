"""Chromium as the system provides it: Playwright's own browsers are not needed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

import project

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Starts a browser without a window, and closes it in the end."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise project.Problem("Chromium is missing. On Debian: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to work for root.
        browser = playwright.chromium.launch(
            executable_path=program, chromium_sandbox=os.geteuid() != 0, args=FLAGS
        )
        yield browser
        browser.close()
