"""A notebook in a browser, as its user sees and handles it."""

from __future__ import annotations

import re

import nbformat
from playwright.sync_api import Locator, Page, expect

import project
from server import Server

SCREENSHOTS = project.ROOT / "out" / "screenshots"
DONE = re.compile(r"^\[\d+\]:$")


class Notebook:
    """A notebook that is open in the browser."""

    def __init__(self, page: Page, server: Server, name: str) -> None:
        """Opens the notebook and waits until it is on screen."""
        self.page, self.server, self.name = page, server, name
        # JupyterLab asks before a page with unsaved changes is left.
        page.on("dialog", lambda dialog: dialog.accept())
        # A workspace of its own: JupyterLab would open the notebooks of earlier tests again.
        workspace = name.removesuffix(".ipynb")
        url = f"{server.url}/lab/workspaces/{workspace}/tree/{name}?token={server.token}"
        page.goto(url)
        expect(self.cell(0)).to_be_visible()

    def wait_until_idle(self) -> None:
        """Waits until the kernel is idle."""
        expect(self.status()).to_contain_text("| Idle")

    def status(self) -> Locator:
        """Returns the line at the bottom, with `Rust (mnist_kit) | Idle` or another state."""
        return self.page.locator("#jp-main-statusbar")

    def press(self, button: str) -> None:
        """Clicks a button of the toolbar: `save`, `run`, `interrupt` or `restart`."""
        self.page.locator(f".jp-NotebookPanel-toolbar [data-jp-item-name={button}]").click()

    def run_all(self) -> None:
        """Chooses Run > Run All Cells."""
        self.page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        self.page.locator("[data-command='runmenu:run-all']").click()

    def run(self, index: int) -> None:
        """Selects a code cell and runs it, without waiting for its end."""
        self.prompt(index).click()
        self.press("run")

    def run_to_the_end(self, index: int) -> str:
        """Runs a code cell, waits for its end and returns the text of its output."""
        self.run(index)
        self.wait_for(index)
        return self.text(index)

    def restart(self) -> None:
        """Restarts the kernel and confirms that its variables may be lost."""
        self.press("restart")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        expect(self.page.locator(".jp-Dialog")).to_have_count(0)

    def reload(self) -> None:
        """Loads the page again, as after a lost connection."""
        self.page.reload()

    def save(self) -> nbformat.NotebookNode:
        """Saves the notebook and returns it as it is on disk."""
        self.press("save")
        expect(self.page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
        return nbformat.read(self.server.root / self.name, as_version=4)

    def cell(self, index: int) -> Locator:
        """Returns a code cell, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)

    def running(self) -> Locator:
        """Returns the prompts of the cells that run or wait for their turn."""
        return self.page.locator(".jp-CodeCell .jp-InputPrompt", has_text="[*]:")

    def prompt(self, index: int) -> Locator:
        """Returns the prompt of a cell: `[ ]:`, `[*]:` while it runs, then `[7]:`."""
        return self.cell(index).locator(".jp-InputPrompt")

    def output(self, index: int) -> Locator:
        """Returns the output area of a cell."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def text(self, index: int) -> str:
        """Returns the text of a cell's outputs."""
        return "".join(self.output(index).locator(".jp-OutputArea-output").all_text_contents())

    def wait_for(self, index: int) -> None:
        """Waits until a cell has ended."""
        expect(self.prompt(index)).to_have_text(DONE)

    def errors(self) -> list[str]:
        """Returns the texts of all error outputs."""
        kind = "application/vnd.jupyter.error"
        return self.page.locator(f"[data-mime-type='{kind}']").all_text_contents()

    def pictures(self) -> list[str]:
        """Waits until all pictures in outputs are decoded, and returns their sources."""
        images = self.page.locator(".jp-OutputArea-output img")
        for image in images.all():
            image.scroll_into_view_if_needed()
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.jp-OutputArea-output img')]"
            ".every(image => image.complete && image.naturalWidth > 0)"
        )
        return [image.get_attribute("src") for image in images.all()]

    def screenshot(self, name: str, index: int | None = None) -> None:
        """Saves a picture of the page, with the output of a cell in view."""
        if index is not None:
            self.output(index).scroll_into_view_if_needed()
            expect(self.output(index)).to_be_in_viewport()
            # JupyterLab draws what has come into view in the next frames.
            frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
            self.page.evaluate(f"async () => {{ await {frame}; await {frame}; }}")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
