"""Makes a report of a notebook with everything in it, and reads the PDF."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pypdf import PdfReader

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import everything
import project
from classroom import sandbox

REPORTS = project.ROOT / "out" / "reports"


def make(name, notebook, *around, **variables):
    """Runs `make report`, perhaps in a sandbox; returns what it prints and the folder."""
    path = REPORTS / f"{name}.ipynb"
    REPORTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook))
    try:
        done = subprocess.run(
            [*around, sys.executable, "tools/report.py", path],
            cwd=project.ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
        )
    finally:
        path.unlink()
    return done, REPORTS / name


@pytest.fixture(scope="module")
def report():
    done, folder = make("test_everything", everything.notebook())
    assert done.returncode == 0, done.stderr
    yield done.stdout, folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pages(report):
    return PdfReader(report[1] / "test_everything.pdf").pages


@pytest.fixture(scope="module")
def text(pages):
    return "\n".join(page.extract_text() for page in pages)


def test_the_title_page(pages):
    first = pages[0].extract_text()
    for part in ("손글씨 숫자 & more", "김민수", "Student ID 2026-0042", "Contents"):
        assert part in first
    assert "---" not in first


def test_pages_are_numbered(pages):
    for number, page in enumerate(pages, 1):
        assert f"{number} / {len(pages)}" in page.extract_text()


def test_nothing_is_cut_off(text, pages):
    joined = re.sub(r"[\s↪]", "", text)
    for word in ("END-OF-LONG-LINE", "number_23", "END-OF-WORD", "END-OF-MANY", "column13", "200013", "8900003"):
        assert word in joined, word
    assert "0123456789abcdef" * 20 in joined
    for page in pages:
        right = float(page.mediabox.width)
        places = []
        page.extract_text(visitor_text=lambda part, cm, tm, *_: places.append(cm[4] + tm[4]) if part.strip() else None)
        assert max(places) < right


def test_a_long_table_repeats_its_head(pages):
    assert sum("column3" in page.extract_text() for page in pages) >= 3


def test_texts_outputs_and_errors(text):
    for part in ("한국어", "이 보고서는", "Epoch 2", "colored", "Only HTML", "mismatched types", "Because of that"):
        assert part in text, part
    for part in ("Epoch 1", "\x1b", "[31m", "hidden output", "alert", "<div>", "pad</div>"):
        assert part not in text, part
    assert "needs a browser" in text and "https://example.org/x.png" in text


def test_figures_are_vectors_with_captions(pages, text):
    assert "Figure 1: Loss & 정확도" in text and "Figure 2" in text
    fonts = {str(font["/BaseFont"]) for page in pages for font in fonts_of(page["/Resources"])}
    for name in ("Libertinus", "DejaVuSansMono", "NotoSerifCJK", "DejaVuSans"):
        assert any(name in font for font in fonts), (name, fonts)
    # The pixels in the PDF are those of the red squares.
    sizes = {(image.image.width, image.image.height) for page in pages for image in page.images}
    assert sizes == {(8, 8)}


def fonts_of(resources):
    """The fonts of a page and of the drawings on it."""
    resources = resources.get_object()
    yield from (font.get_object() for font in resources.get("/Font", {}).values())
    for item in resources.get("/XObject", {}).values():
        if "/Resources" in item.get_object():
            yield from fonts_of(item.get_object()["/Resources"])


def test_each_figure_as_a_file(report):
    _, folder = report
    names = sorted(path.name for path in (folder / "figures").iterdir())
    assert names == [
        "01_loss_정확도.pdf",
        "01_loss_정확도.png",
        "01_loss_정확도.svg",
        "02_figure.pdf",
        "02_figure.png",
        "captions.txt",
    ]
    assert (folder / "figures" / "01_loss_정확도.svg").read_text() == everything.SVG
    page = PdfReader(folder / "figures" / "01_loss_정확도.pdf").pages[0]
    assert "정확도" in page.extract_text() and not page.images
    assert [round(float(side)) for side in page.mediabox[2:]] == [420, 202]
    assert "Figure 1: Loss & 정확도" in (folder / "figures" / "captions.txt").read_text()


def test_the_web_page_needs_nothing_else(report):
    page = (report[1] / "test_everything.html").read_text()
    for part in ("손글씨 숫자 &amp; more", "data:image/svg+xml", "<math", "한국어", "Only HTML"):
        assert part in page, part
    assert "<script" not in page and not re.search(r'src="(?!data:)', page)


def test_what_a_reader_should_know_is_printed(report):
    assert "cell 16 ended with an error: mismatched types" in report[0]
    assert "cell 15 has an output that only a browser can show" in report[0]


def test_code_can_be_left_out_and_the_command_names_the_student():
    name = 'Ann "A_n_n" #Lee \\ $x$'
    done, folder = make("test_hidden", everything.notebook(), CODE="0", NAME=name, DATE="1 May")
    assert done.returncode == 0, done.stderr
    pdf = PdfReader(folder / "test_hidden.pdf")
    assert pdf.metadata.author == name
    text = "\n".join(page.extract_text() for page in pdf.pages)
    assert name in text and "1 May" in text and "김민수" not in text
    assert "END-OF-LONG-LINE" not in text and "colored" in text
    shutil.rmtree(folder)


def test_a_damaged_picture_is_named():
    damaged = everything.code("x", everything.result(image_svg="<svg", text_plain="no"))
    done, folder = make("test_damaged", everything.notebook(damaged))
    assert done.returncode == 1 and "Typst could not set the page" in done.stderr
    assert "Traceback" not in done.stderr and "03_figure" in done.stderr
    shutil.rmtree(folder)


def test_letters_that_no_font_has_are_named():
    rare = everything.markdown("\U00010600")  # A sign of Linear A.
    done, folder = make("test_rare", everything.notebook(rare))
    assert done.returncode == 0 and "letters that no font here has are boxes" in done.stdout
    shutil.rmtree(folder)


def test_korean_without_a_korean_font_is_an_error_that_names_the_remedy():
    if sandbox.unavailable():
        pytest.skip("fonts can be hidden with bubblewrap only")
    hidden = ("bwrap", "--dev-bind", "/", "/", "--tmpfs", "/usr/share/fonts")
    done, folder = make("test_fonts", everything.notebook(), *hidden, XDG_DATA_HOME="/nowhere")
    assert done.returncode == 1 and "apt-get install fonts-noto-cjk" in done.stderr
    shutil.rmtree(folder)
