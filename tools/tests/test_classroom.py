"""Tests of grading that need no kernel: what is taken from a submission, points, pages."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from classroom import cells, pages, sandbox, scoring

SETUP = 'use mnist_kit::prelude::*;\nconst SEED: i64 = 1;\nconst MARK: &str = "";\nfn answer() {}'


def named(cell, name, **more):
    cell.metadata["nbgrader"] = {"grade_id": name, "grade": False, "solution": False, **more}
    return cell


@pytest.fixture
def release():
    """A notebook with one question, as students get it."""
    return new_notebook(
        cells=[
            named(new_code_cell(SETUP), "setup"),
            named(new_code_cell("fn f() -> i64 { todo!() }"), "f", solution=True),
            named(new_code_cell("assert!(f() == 1);"), "f_test", grade=True, points=4),
            named(new_markdown_cell("*Write*"), "w", grade=True, solution=True, points=2),
        ]
    )


def handed_in(release, **sources):
    return [
        {**cell, "source": sources.get(cells.grade_id(cell), cell.source)} for cell in release.cells
    ]


def sources(notebook):
    return {cells.grade_id(cell): cell.source for cell in notebook.cells}


def test_only_answers_come_from_a_submission(release):
    made = handed_in(release, f="fn f() -> i64 { 1 }", f_test="();", setup="//", w="Because.")
    notebook, remarks = cells.assemble(release, made)
    assert sources(notebook) == {
        "setup": SETUP,
        "f": "fn f() -> i64 { 1 }",
        "f_test": "assert!(f() == 1);",
        "w": "Because.",
    }
    assert [remark.split("`")[1] for remark in remarks] == ["setup", "f_test"]


def test_deleted_and_renamed_tests_are_run_all_the_same(release):
    for made in (
        [cell for cell in handed_in(release) if cells.grade_id(cell) != "f_test"],
        [{**cell, "metadata": {}} if cells.is_test(cell) else cell for cell in handed_in(release)],
    ):
        notebook, remarks = cells.assemble(release, made)
        assert sources(notebook)["f_test"] == "assert!(f() == 1);"
        assert any("`f_test` was missing" in remark for remark in remarks)


def test_changed_points_and_roles_have_no_effect(release):
    made = json.loads(json.dumps(handed_in(release)))
    for cell in made:
        cell["metadata"]["nbgrader"] |= {"points": 1000, "solution": True, "grade": False}
    notebook, _ = cells.assemble(release, made)
    assert [cells.about(cell) for cell in notebook.cells] == [cells.about(c) for c in release.cells]


def test_cells_of_the_student_stay_in_their_places(release):
    helper = {"cell_type": "code", "metadata": {}, "source": "fn helper() {}"}
    made = handed_in(release)
    notebook, _ = cells.assemble(release, [helper, *made[:2], helper, *made[2:]])
    found = [cell.source == "fn helper() {}" for cell in notebook.cells]
    assert found == [True, False, False, True, False, False]


def test_of_two_answers_the_first_counts(release):
    second = {**handed_in(release)[1], "source": "fn f() -> i64 { 2 }"}
    made = [*handed_in(release, f="fn f() -> i64 { 1 }"), second]
    assert sources(cells.assemble(release, made)[0])["f"] == "fn f() -> i64 { 1 }"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"cells": 3}', "\0\1", "[" * 100_000, '{"cells": null}', "\ud800".encode("utf-8", "surrogatepass")],
)
def test_a_file_that_is_no_notebook_is_an_error_for_its_student(tmp_path, text):
    path = tmp_path / "n.ipynb"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match="notebook"):
        cells.read_submission(path)


def test_odd_cells_are_left_out(tmp_path):
    odd = [3, None, {}, {"cell_type": "raw"}, {"cell_type": "code", "source": 3}]
    good = {"cell_type": "code", "source": ["a", "b"], "metadata": "x"}
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": [*odd, good, {**good, "metadata": {"nbgrader": []}}]}))
    assert [cell["source"] for cell in cells.read_submission(path)] == ["ab", "ab"]
    assert [cells.grade_id(cell) for cell in cells.read_submission(path)] == [None, None]


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text('{"cells": []}')
    (tmp_path / "n.ipynb").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="plain file"):
        cells.read_submission(tmp_path / "n.ipynb")


def test_hidden_tests_are_taken_out_and_run_with_another_seed():
    source = "// partial credit\nassert!(true);\n// BEGIN HIDDEN TESTS\nanswer(SEED);\n// END HIDDEN TESTS\n"
    assert cells.visible_part(source) == "// partial credit\nassert!(true);\n"
    notebook = new_notebook(cells=[named(new_code_cell(SETUP), "setup")])
    code = cells.hidden_cell(cells.helpers(notebook), cells.hidden_part(source), 9, "@x ")
    assert "answer(SEED);" in code and "const SEED: i64 = 9;" in code
    assert 'const MARK: &str = "@x ";' in code and cells.hidden_part("assert!(true);") is None


def test_macros_of_a_submission_are_not_used():
    code = cells.with_std_macros('assert!(x); my_assert!(x); ::std::assert!(x); assert_eq!(a, b);')
    assert code == '::std::assert!(x); my_assert!(x); ::std::assert!(x); ::std::assert_eq!(a, b);'


def test_values_are_read_behind_the_mark():
    text = "noise\n@a first: [1.0]\nx @a second: true\nfirst: 2\n@a twice: 1\n@a twice: 1\n"
    found = cells.answers_of([{"output_type": "stream", "name": "stdout", "text": text}], "@a ")
    assert found == {"first": "[1.0]", "second": "true", "twice": "printed twice"}


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [
        ("[1.0, 2.0]", "[1.0001, 2.0]", True),
        ("[1.0, 2.0]", "[1.1, 2.0]", False),
        ("[1.0]", "[1.0, 2.0]", False),
        ("3", "3", True),
        ("3", "4", False),
        ("1000000", "1000001", False),
        ("true", "false", False),
        ("NaN", "0.5", False),
        ("inf", "0.5", False),
        ("NaN", "NaN", True),
        ("1.0", "1", False),
        ('["fc.bias"]', '["fc.weight"]', False),
        ("1e-5", "0.0", True),
    ],
)
def test_numbers_may_differ_by_rounding_only(value, expected, same):
    assert cells.agree(value, expected) is same


OK, ERROR = {"status": "ok", "outputs": []}, {"status": "error", "outputs": []}


@pytest.mark.parametrize(
    ("visible", "found", "partial", "points"),
    [
        (OK, {"a": "1", "b": "2"}, False, 4),
        (OK, {"a": "1"}, False, 0),
        (OK, {"a": "1"}, True, 2.67),
        (ERROR, {"a": "1", "b": "2"}, True, 2.67),
        (ERROR, {"a": "1", "b": "2"}, False, 0),
        (OK, {}, True, 0),  # It knows only the numbers of the visible test.
        (OK, {"a": "2", "b": "1"}, True, 0),
    ],
)
def test_points(visible, found, partial, points):
    assert scoring.score(4, partial, visible, found, {"a": "1", "b": "2"}, None).points == points


def test_feedback_has_no_script_and_no_html_of_the_student():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)><iframe src=//x></iframe>"
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>{evil}</svg>"
    cell = named(new_code_cell(f'println!("{evil}");'), evil, grade=True, points=1)
    cell.outputs = [
        new_output("stream", name="stdout", text=evil),
        new_output("display_data", data={"image/svg+xml": svg, "text/plain": evil}),
        new_output("display_data", data={"image/png": '"><script>', "text/plain": ""}),
        new_output("display_data", data={"text/html": evil, "text/plain": evil}),
        new_output("error", ename=evil, evalue=evil, traceback=[evil]),
    ]
    answer = new_markdown_cell(f"{evil}\n\n[x](javascript:alert(1)) ![y](https://x/y.png)")
    notebook = new_notebook(cells=[cell, answer], metadata={"mnist_kit": {"remarks": [evil]}})
    marks = [pages.Mark(evil, 0.5, 1, False, evil)]
    page = pages.page(nbformat.from_dict(notebook), evil, evil, marks)
    for forbidden in ("<script", "<iframe", "<img src=x", "onload='", "javascript:", "https://x"):
        assert forbidden not in page, forbidden
    assert "&lt;script&gt;" in page and "default-src 'none'" in page


def test_answers_and_outputs_cannot_act_in_the_teachers_browser(release):
    evil = "a < b <script>x</script> <!-- -->"
    notebook, _ = cells.assemble(release, handed_in(release, w=evil, f=f"// {evil}"))
    assert sources(notebook)["w"] == r"a < b \<script>x\</script> \<!-- -->"
    assert sources(notebook)["f"] == f"// {evil}"
    picture = {"image/png": "iVBORw0KGgo=", "text/plain": "p", "text/html": evil, "image/svg+xml": evil}
    outputs = [
        {"output_type": "display_data", "data": picture},
        {"output_type": "display_data", "data": {"image/png": '"><script>'}},
        {"output_type": "update_display_data", "data": picture},
        {"output_type": "stream", "name": evil, "text": 3},
    ]
    assert cells.safe_outputs(outputs) == [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0KGgo=", "text/plain": "p"}},
        {"output_type": "display_data", "metadata": {}, "data": {"text/plain": ""}},
        {"output_type": "stream", "name": "stdout", "text": "3"},
    ]


def test_scores_as_csv():
    marks = {"ann": [pages.Mark("a_test", 1.5, 2, False, ""), pages.Mark("w", 0, 3, True, "")]}
    assert pages.table(marks).splitlines() == [
        "student,points,possible,waiting for a person,a_test,w",
        "ann,1.5,5,3,1.5,",
    ]


def test_without_bubblewrap_grading_refuses(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    assert "apt-get install bubblewrap" in sandbox.unavailable() and "UNSAFE=1" in sandbox.unavailable()


def test_a_busy_machine_gets_more_time(monkeypatch):
    monkeypatch.setenv("SLOW", "3")
    assert sandbox.patience() == 3 and sandbox.Limits().of_process()["CPU"] == 1800
    for wrong in ("fast", "0.5", "nan", "1000"):
        monkeypatch.setenv("SLOW", wrong)
        with pytest.raises(sandbox.project.Problem, match="SLOW is"):
            sandbox.patience()


def test_the_sandbox_shows_the_kit_and_not_the_course():
    command = sandbox.command(sandbox.Limits())
    shown = [command[i + 1] for i, option in enumerate(command) if option in ("--bind", "--ro-bind")]
    root = sandbox.project.ROOT
    assert str(root / "mnist_kit") in shown
    for hidden in (root / "notebooks" / "assignments", root / "out", root / ".git"):
        for place in shown:
            assert not hidden.is_relative_to(place), f"{place} shows {hidden}"
    assert "--bind" not in command and "--unshare-net" in command and "--clearenv" in command
