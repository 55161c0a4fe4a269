"""The digit pad: a page without network reads what is drawn as the kit does."""

from __future__ import annotations

import base64
import json
import math
import subprocess

import nbformat
import pytest
from playwright.sync_api import expect

import project
import run_notebook
from notebook import SCREENSHOTS

# Drawings as strokes through points, in fractions of the pad.
THREE = [
    [(0.32, 0.2), (0.5, 0.14), (0.66, 0.22), (0.64, 0.38), (0.46, 0.47)],
    [(0.46, 0.47), (0.68, 0.55), (0.7, 0.74), (0.52, 0.86), (0.3, 0.8)],
]
DRAWINGS = {
    "three": THREE,
    "one, small and in a corner": [[(0.1, 0.06), (0.08, 0.3)]],
    "seven, beyond the edge": [[(0.1, 0.1), (0.95, 0.08), (0.4, 1.1)]],
    "dot": [[(0.5, 0.5), (0.5, 0.51)]],
}
SURFACE = ".mnist-kit-pad canvas.drawing"
STATE = "document.querySelector('.mnist-kit-pad').digitPad"


@pytest.fixture(scope="module")
def program():
    """The kit's example that trains models, writes pages and computes logits."""
    build = ["cargo", "build", "--release", "--locked", "-p", "mnist_kit", "--example", "digit_pad"]
    subprocess.run(build, cwd=project.ROOT, check=True)
    return project.program().parent / "examples" / "digit_pad"


@pytest.fixture(scope="module", params=["mlp", "lenet", "cnn"])
def file(request, program, tmp_path_factory):
    """A page with the pad of a model."""
    file = tmp_path_factory.mktemp("pad") / f"{request.param}.html"
    subprocess.run([program, request.param, file], check=True)
    return file


@pytest.fixture
def pad(file, program, browser):
    """The page, opened without a network."""
    context = browser.new_context(
        viewport={"width": 1000, "height": 760}, offline=True, color_scheme="light"
    )
    yield Pad(context, program, file)
    context.close()


class Pad:
    """A page with a pad."""

    def __init__(self, context, program, file):
        """Opens the page and listens for errors and requests."""
        self.program, self.model, self.file = program, file.stem, file
        self.page = context.new_page()
        self.complaints = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.note_request)
        self.page.goto(file.as_uri())

    def note_request(self, request):
        """Notes everything that is asked for, except for the page itself and what is in it."""
        if request.url != self.file.as_uri() and not request.url.startswith("data:"):
            self.complaints.append(request.url)

    def draw(self, strokes):
        """Draws with the mouse on an empty pad."""
        self.page.get_by_role("button", name="Clear").click()
        box = self.page.locator(SURFACE).bounding_box()
        for stroke in strokes:
            points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
            self.page.mouse.move(*points[0])
            self.page.mouse.down()
            for point in points[1:]:
                self.page.mouse.move(*point, steps=12)
            self.page.mouse.up()
        expect(self.page.locator(".mnist-kit-pad .answer")).to_contain_text("Prediction: ")

    def state(self):
        """Returns the pixels that the model received, and its logits."""
        state = self.page.evaluate(
            f"() => ({{ pixels: [...{STATE}.pixels], logits: [...{STATE}.logits] }})"
        )
        return state["pixels"], state["logits"]

    def canvas(self, selector, name):
        """Saves a canvas as a PNG file, pixel by pixel."""
        url = self.page.locator(selector).first.evaluate("canvas => canvas.toDataURL('image/png')")
        path = self.file.with_name(name)
        path.write_bytes(base64.b64decode(url.partition(",")[2]))
        return path

    def kit(self, *pictures):
        """Returns what the kit reads in pictures: pixels and logits of each."""
        done = subprocess.run(
            [self.program, self.model, self.file, *pictures],
            check=True,
            capture_output=True,
            text=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_page_reads_drawings_as_the_kit_does(pad):
    for name, strokes in DRAWINGS.items():
        pad.draw(strokes)
        pixels, logits = pad.state()
        drawing = pad.canvas(SURFACE, "drawing.png")
        seen = pad.canvas(".mnist-kit-pad canvas.pixels", "seen.png")
        of_drawing, of_pixels = pad.kit(drawing, seen)
        # The picture is cropped, scaled and centered as in the kit, up to the rounding of a level.
        assert len(pixels) == 784 and max(pixels) == 255
        difference = max(abs(a - b) for a, b in zip(pixels, of_drawing["pixels"], strict=True))
        assert difference <= 1, name
        # The same pixels give the same logits.
        assert of_pixels["pixels"] == pixels, name
        for ours, kits in zip(logits, of_pixels["logits"], strict=True):
            assert math.isclose(ours, kits, rel_tol=1e-4, abs_tol=1e-4), name
        best = max(range(10), key=logits.__getitem__)
        expect(pad.page.locator(".answer")).to_have_text(f"Prediction: {best}")
        percents = pad.page.locator(".percent").all_text_contents()
        assert abs(sum(float(text.split()[0]) for text in percents) - 100) < 0.6
    assert pad.complaints == []


def test_a_pad_is_cleared_and_shows_its_maps(pad):
    maps = {"mlp": 0, "lenet": 6, "cnn": 32}[pad.model]
    expect(pad.page.locator(".maps canvas")).to_have_count(maps)
    assert pad.page.evaluate(f"{STATE}.logits") is None
    pad.draw(THREE)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    pad.page.screenshot(path=SCREENSHOTS / f"pad-{pad.model}.png", full_page=True)
    pad.page.emulate_media(color_scheme="dark")
    pad.page.screenshot(path=SCREENSHOTS / f"pad-{pad.model}-dark.png", full_page=True)
    label = pad.page.locator(SURFACE).get_attribute("aria-label")
    assert label == "Drawing area: draw a digit with the mouse, a pen or a finger"
    # The button is reached and pressed by keyboard.
    pad.page.get_by_role("button", name="Clear").focus()
    pad.page.keyboard.press("Enter")
    expect(pad.page.locator(".answer")).to_be_empty()
    expect(pad.page.locator(".percent").first).to_have_text("–")
    assert pad.page.evaluate(f"{STATE}.pixels") is None
    assert pad.complaints == []


def test_a_finger_draws(file, browser):
    context = browser.new_context(
        viewport={"width": 400, "height": 800}, has_touch=True, offline=True
    )
    page = context.new_page()
    page.goto(file.as_uri())
    page.touchscreen.tap(100, 200)
    page.wait_for_function(f"() => {STATE}.logits !== null")
    page.screenshot(path=SCREENSHOTS / f"pad-{file.stem}-phone.png", full_page=True)
    # Nothing is wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    context.close()


def test_a_still_picture_stands_where_scripts_do_not_run(file, browser):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    picture = page.get_by_role("img", name="An example digit and what the model reads in it")
    expect(picture).to_be_visible()
    expect(page.get_by_text("Run this cell to draw a digit of your own here.")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / f"pad-{file.stem}-still.png")
    context.close()


def test_the_pad_works_in_an_exported_report(browser, tmp_path):
    lesson = nbformat.read(project.ROOT / "notebooks" / "01_mlp.ipynb", as_version=4)
    report = tmp_path / "report.html"
    report.write_text(run_notebook.html_of(lesson, None), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1000, "height": 760}, offline=True)
    page = context.new_page()
    page.goto(report.as_uri())
    page.locator(SURFACE).scroll_into_view_if_needed()
    box = page.locator(SURFACE).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 20, steps=12)
    page.mouse.up()
    expect(page.locator(".mnist-kit-pad .answer")).to_contain_text("Prediction: ")
    page.locator(".mnist-kit-pad").screenshot(path=SCREENSHOTS / "pad-report.png")
    context.close()
