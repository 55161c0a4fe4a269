"""Tests of the parts of reports that need neither pandoc nor Typst."""

import base64

import pytest

import report
from reporting import cells, document, figures, pandoc, tables, title

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {W} {H}" x="y">\n'
    '<rect x="0" y="0" width="{W}" height="{H}" fill="#FFFFFF"/>\n'
    '<text x="{x}" y="{y}" font-size="{size}" text-anchor="middle" font-weight="bold" fill="#222222">{title}</text>\n'
    "</svg>\n"
)


def svg(text="Loss &amp; more", width=560, height=390, x=2240, y=207, size="128"):
    """A drawing that begins as the kit's do."""
    return SVG.format(w=width, h=height, W=4480, H=3120, x=x, y=y, size=size, title=text)


def figure(drawing, **data):
    output = {"data": {"image/svg+xml": drawing, **data}}
    return figures.of_output(output, 3)


def test_the_title_of_a_figure_becomes_its_caption():
    found = figure(svg())
    assert (found.title, found.name) == ("Loss & more", "03_loss_more")
    shown = found.on_page()
    assert "Loss" not in shown and 'viewBox="0 240 4480 2880"' in shown
    assert 'width="560" height="360"' in shown and found.svg == svg()
    assert found.size() == (560, 360)


@pytest.mark.parametrize("other", [{"x": 1120}, {"y": 150}, {"size": "104"}])
def test_the_title_of_a_panel_stays_in_the_drawing(other):
    found = figure(svg(**other))
    assert found.title == "" and found.on_page() == found.svg and found.name == "03_figure"


def test_korean_names_of_files_and_sizes_on_the_page():
    assert figure(svg("정확도 (%)")).name == "03_정확도"
    wide = figure(svg(width=1252))
    assert wide.percent() == 100
    assert figure(svg(width=313)).percent() == 50
    # 390 - 30 pixels shrink to 800 where the drawing is higher than the page.
    assert figure("<svg width='1' height='2'/>").percent() == 100
    high = figures.Figure(1, "", '<svg width="626" height="1600">', None, "png")
    assert high.percent() == 50


def test_a_bitmap_keeps_its_size_on_paper():
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (384).to_bytes(4, "big") + (192).to_bytes(4, "big")
    png = header + bytes(9) + b"\0\0\0\tpHYs" + (7559).to_bytes(4, "big") * 2 + b"\1"
    output = {"data": {"image/png": base64.b64encode(png).decode()}}
    found = figures.of_output(output, 1)
    assert found.svg is None and found.size() == pytest.approx((192, 96), rel=1e-3)


def cell(text):
    return [["", [], []], {"t": "AlignDefault"}, 1, 1, [{"t": "Plain", "c": pandoc.words(text)}]]


def table(rows):
    columns = [[{"t": "AlignDefault"}, {"t": "ColWidthDefault"}] for _ in rows[0]]
    made = [[["", [], []], [cell(text) for text in row]] for row in rows]
    nothing = ["", [], []]
    body = [[nothing, 0, [], made[1:]]]
    return {"t": "Table", "c": [nothing, [None, []], columns, [nothing, made[:1]], body, [nothing, []]]}


def widths(made):
    """The settings of the block around a table, and the columns' widths."""
    (_, _, settings), (inner,) = made["c"]
    return dict(settings), [width.get("c") for _, width in inner["c"][2]]


def test_a_small_table_is_left_as_it_is():
    settings, columns = widths(tables.fit(table([["a", "b"], ["1", "2"]])))
    assert columns == [None, None] and settings["typst:text:size"] == "9.30pt"
    assert settings["typst:breakable"] == "false"


def test_a_long_table_may_continue_on_the_next_page():
    assert "typst:breakable" not in widths(tables.fit(table([["a"]] * 30)))[0]


def test_words_wrap_before_the_type_gets_smaller():
    settings, columns = widths(tables.fit(table([["name", "why"], ["rate", "many words " * 40]])))
    assert settings["typst:text:size"] == "9.30pt"
    assert sum(columns) == pytest.approx(1) and columns[0] < 0.1
    settings, columns = widths(tables.fit(table([["heading"] * 20, ["1"] * 20])))
    assert float(settings["typst:text:size"].removesuffix("pt")) == pytest.approx(9.3 * 50 / (20 * (7 * 0.56 + 0.9)), abs=0.01)
    assert columns == pytest.approx([1 / 20] * 20)


def test_korean_can_be_broken_anywhere():
    settings, _ = widths(tables.fit(table([["글" * 300, "b"], ["1", "2"]])))
    assert settings["typst:text:size"] == "9.30pt"


def test_long_words_are_broken_and_marked():
    assert document.broken("a" * 120) == "a" * 120
    assert document.broken("x " + "a" * 250) == "x " + "a" * 120 + "\n↪ " + "a" * 120 + "\n↪ " + "a" * 10


def notebook(*sources, **metadata):
    made = [{"cell_type": "raw", "source": source, "metadata": {}} for source in sources]
    return {"metadata": metadata, "cells": made}


def test_the_title_page_takes_the_command_before_the_cell_before_the_metadata(monkeypatch):
    monkeypatch.setenv("NAME", "Ann Lee")
    monkeypatch.setenv("DATE", "")
    header = "---\n# what the title page says\ntitle: Digits: a report\nname: someone\nstudent_id: '0042'\ncourse:\ndate: 2026-12-01\n---"
    found = title.page(notebook(header, title="x", authors=[{"name": "y"}]))
    assert found == {"title": "Digits: a report", "name": "Ann Lee", "student_id": "0042", "date": "2026-12-01"}
    monkeypatch.delenv("NAME")
    found = title.page(notebook("no header", title="x", authors=[{"name": "y"}, {"name": "z"}]))
    assert (found["title"], found["name"], len(found["date"])) == ("x", "y, z", 10)


@pytest.mark.parametrize("line", ["nmae: Ann", "Ann"])
def test_a_wrong_line_of_the_title_cell_is_named(line):
    with pytest.raises(report.project.Problem, match=f"“{line}”. Expected a line such as"):
        title.page(notebook(f"---\n{line}\n---"))


def test_code_can_be_hidden(monkeypatch):
    code = {"cell_type": "code", "source": "let x = 1;", "outputs": [], "execution_count": 1, "metadata": {}}
    made = {"metadata": {}, "cells": [code, {**code, "metadata": {"tags": ["remove-input"]}}]}
    assert [block["c"][1] for block in cells.Reader(True).read(made)] == ["let x = 1;"]
    assert cells.Reader(False).read(made) == []
    monkeypatch.setenv("CODE", "no")
    with pytest.raises(report.project.Problem, match="CODE is no"):
        report.shows_code()


def test_cells_that_were_not_run_are_named():
    code = {"cell_type": "code", "source": "x", "outputs": [], "execution_count": None, "metadata": {}}
    reader = cells.Reader(True)
    reader.read({"metadata": {}, "cells": [code]})
    assert reader.remarks == ["cell 1 was not run: the report has no output of it"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nbformat": 3, "cells": []}'])
def test_a_file_that_is_no_notebook_is_refused(tmp_path, text):
    path = tmp_path / "n.ipynb"
    path.write_text(text)
    with pytest.raises(report.project.Problem, match="cannot be read as a notebook"):
        report.read(path)


def test_anchors_are_unique_and_links_lead_somewhere():
    def heading(name):
        return {"t": "Header", "c": [1, [name, [], []], pandoc.words(name)]}

    def link(address):
        return {"t": "Link", "c": [["", [], []], pandoc.words("x"), [address, ""]]}

    links = [link("#The-End"), link("other.ipynb"), link("#nowhere"), link("https://x.org")]
    made = document.unique_anchors([heading("the-end"), heading("the-end"), {"t": "Para", "c": links}])
    assert [block["c"][1][0] for block in made[:2]] == ["the-end", ""]
    kept = [part["c"][2][0] for part in made[2]["c"] if part["t"] == "Link"]
    assert kept == ["#the-end", "https://x.org"] and len(made[2]["c"]) == 4
