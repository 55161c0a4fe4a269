"""The server, the browser and the open notebook of the tests."""

import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOOLS))

from playwright.sync_api import expect

from browser import chromium
from notebook import SCREENSHOTS, Notebook
from server import Server

# A loaded machine is slow, and waiting ends as soon as the awaited state is there.
SECONDS = 300


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """JupyterLab with a copy of the notebooks."""
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser():
    """Chromium, whose pages have as much time as they need."""
    expect.set_options(timeout=SECONDS * 1000)
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_notebook(server, browser, request):
    """Opens notebooks, by name or with the given cells, and waits for their kernels.

    Kernels end after the test.
    """
    pages = []

    def open_one(name=None, cells=(), wait=True):
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(SECONDS * 1000)
        pages.append(page)
        name = name or server.write(f"{request.node.name}.ipynb", list(cells))
        notebook = Notebook(page, server, name)
        if wait:
            notebook.wait_until_idle()
        return notebook

    yield open_one
    for page in pages:
        if getattr(request.node, "failed", False):
            page.screenshot(path=SCREENSHOTS / f"{request.node.name}-failed.png")
        page.close()
    server.end_kernels()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Tells the fixtures of a test whether it has failed."""
    report = yield
    if call.when == "call":
        item.failed = report.failed
    return report
