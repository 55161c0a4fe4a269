"""The files written after grading: scores as CSV, feedback for each student, a picture of the class."""

from __future__ import annotations

import base64
import csv
import dataclasses
import html
import io
import re

import bleach
import project
from nbconvert.filters import ansi, markdown2html

from classroom import cells, course

AUTOGRADED = course.GRADING / "autograded"
FEEDBACK = course.GRADING / "feedback"
TAGS = {
    *("p br hr h1 h2 h3 h4 em strong del code pre blockquote ul ol li table thead tbody tr th td".split()),
    *("details summary kbd sub sup span div".split()),
}
# Second line of defense: a page that got a script past the cleaning would not run it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
pre { background: #f6f6f6; padding: .6rem; overflow-x: auto; font-size: 14px; white-space: pre-wrap }
pre.output { background: #fff; border-left: 3px solid #ccc }
.score { float: right; font-weight: bold; padding: .1rem .5rem; background: #ddd; border-radius: 4px }
.full { background: #bfe3d0 } .none { background: #f3c7b5 } .part { background: #f7e6a6 }
img { max-width: 100% } table { border-collapse: collapse } td, th { padding: .2rem .6rem; text-align: left }
.comment { border-left: 3px solid #0072b2; padding-left: .6rem }
"""


@dataclasses.dataclass
class Mark:
    """A grade in the gradebook."""

    cell: str
    points: float
    possible: float
    waits: bool
    comment: str


def write(assignment: str) -> None:
    """Writes everything about an assignment."""
    marks = marks_of(assignment)
    if not marks:
        return
    project.save(course.GRADING / f"{assignment}.csv", table(marks))
    for student, found in marks.items():
        path = AUTOGRADED / student / assignment / f"{assignment}.ipynb"
        if path.exists():
            text = page(cells.read(path), assignment, student, found)
            project.save(FEEDBACK / student / f"{assignment}.html", text)
    project.save(course.GRADING / f"{assignment}.svg", picture(assignment, marks))


def marks_of(assignment: str) -> dict[str, list[Mark]]:
    """Reads the gradebook: student → grades in the order of the notebook."""
    from nbgrader.api import Gradebook

    order = [cells.grade_id(cell) for cell in course.source(assignment).cells]
    found = {}
    if not (course.GRADING / "gradebook.db").exists():
        raise project.Problem("There are no grades yet: run `make grade`.")
    with Gradebook(course.config().CourseDirectory.db_url, "mnist_kit") as book:
        if assignment not in [known.name for known in book.assignments]:
            return {}
        for submission in book.assignment_submissions(assignment):
            notebook = submission.notebooks[0]
            comments = {comment.name: comment.comment or "" for comment in notebook.comments}
            marks = []
            for grade in notebook.grades:
                waits = bool(grade.needs_manual_grade and grade.manual_score is None)
                comment = comments.get(grade.name, "")
                marks.append(Mark(grade.name, grade.score, grade.max_score, waits, comment))
            found[submission.student.id] = sorted(marks, key=lambda mark: order.index(mark.cell))
    return dict(sorted(found.items()))


def table(marks: dict[str, list[Mark]]) -> str:
    """The scores as CSV: a row for each student, a column for each question."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    questions = [mark.cell for mark in next(iter(marks.values()), [])]
    writer.writerow(["student", "points", "possible", "waiting for a person", *questions])
    for student, found in marks.items():
        waits = sum(mark.possible for mark in found if mark.waits)
        total, possible = sum(mark.points for mark in found), sum(mark.possible for mark in found)
        shown = ["" if mark.waits else f"{mark.points:g}" for mark in found]
        writer.writerow([student, f"{total:g}", f"{possible:g}", f"{waits:g}", *shown])
    return text.getvalue()


def page(notebook, assignment: str, student: str, marks: list[Mark]) -> str:
    """A student's feedback as a page without scripts. It has no hidden test in it."""
    by_cell = {mark.cell: mark for mark in marks}
    total, possible = sum(mark.points for mark in marks), sum(mark.possible for mark in marks)
    waiting = sum(mark.possible for mark in marks if mark.waits)
    note = f" {waiting:g} more wait for a person." if waiting else ""
    parts = [
        f"<h1>{html.escape(assignment)}: {html.escape(student)}</h1>",
        f"<p><b>{total:g} of {possible:g} points.</b>{note}</p>",
    ]
    remarks = notebook.metadata.get("mnist_kit", {}).get("remarks", [])
    if remarks:
        listed = "".join(f"<li>{html.escape(remark)}</li>" for remark in remarks)
        parts.append(f"<ul>{listed}</ul>")
    for cell in notebook.cells:
        mark = by_cell.get(cells.grade_id(cell))
        if mark:
            parts.append(score_of(mark))
        parts.append(prose(cell.source) if cell.cell_type == "markdown" else code(cell))
        if mark and mark.comment:
            parts.append(f'<p class="comment">{html.escape(mark.comment)}</p>')
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{html.escape(assignment)}</title><style>{STYLE}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def score_of(mark: Mark) -> str:
    """The points of a cell."""
    if mark.waits:
        return f'<span class="score">of {mark.possible:g}, not read yet</span>'
    kind = "full" if mark.points == mark.possible else "part" if mark.points else "none"
    return f'<span class="score {kind}">{mark.points:g} of {mark.possible:g}</span>'


def prose(text: str) -> str:
    """Markdown as HTML without anything that could act."""
    page = bleach.clean(markdown2html(text), tags=TAGS, attributes={}, strip=True)
    # The text of the links beside headings.
    return page.replace("¶</h", "</h")


def code(cell) -> str:
    """A code cell and its outputs."""
    shown = [f"<pre>{html.escape(cell.source)}</pre>"]
    for output in cell.outputs:
        if output.output_type == "stream":
            shown.append(plain(output.text))
        elif output.output_type == "error":
            if output.ename != "NoPoints":
                shown.append(plain("\n".join(output.traceback)))
        else:
            shown.append(result(output.get("data", {}), graded=cells.is_test(cell)))
    return "\n".join(shown)


def plain(text: str) -> str:
    """Text as it is."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", ansi.strip_ansi(text))
    return f'<pre class="output">{html.escape(text)}</pre>'


def result(data: dict, graded: bool) -> str:
    """A picture, or text."""
    if "image/png" in data:
        try:
            raw = base64.b64decode("".join(data["image/png"].split()), validate=True)
            return f'<img src="data:image/png;base64,{base64.b64encode(raw).decode()}" alt="output">'
        except ValueError:
            return plain("a damaged picture")
    # In a test cell, the result is only nbgrader's way to note points.
    return "" if graded else plain(data.get("text/plain", ""))


def picture(assignment: str, marks: dict[str, list[Mark]]) -> str:
    """The class at a glance, as SVG: for each question, everybody's fraction of the points."""
    questions = [mark.cell for mark in next(iter(marks.values()), [])]
    left, width, row = 250, 460, 30
    height = 70 + row * len(questions)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height}" '
        'font-family="DejaVu Sans, sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="24" font-size="15">{html.escape(assignment)}: '
        f"{len(marks)} submissions, mean by question</text>",
    ]
    for number, question in enumerate(questions):
        top = 44 + row * number
        graded = [found[number] for found in marks.values() if not found[number].waits]
        name = html.escape(question.removesuffix("_test").replace("_", " "))
        parts.append(f'<text x="{left - 10}" y="{top + 15}" text-anchor="end">{name}</text>')
        parts.append(f'<rect x="{left}" y="{top}" width="{width}" height="20" fill="#eeeeee"/>')
        if not graded:
            parts.append(f'<text x="{left + 8}" y="{top + 15}" fill="#555555">not read yet</text>')
            continue
        fractions = [mark.points / mark.possible if mark.possible else 0 for mark in graded]
        mean = sum(fractions) / len(fractions)
        parts.append(f'<rect x="{left}" y="{top}" width="{width * mean:.1f}" height="20" fill="#56b4e9"/>')
        counts = {value: fractions.count(value) for value in set(fractions)}
        for value, count in counts.items():
            # A dot's area is the number of students.
            radius = 2 + 6 * (count / len(fractions)) ** 0.5
            place = left + width * value
            parts.append(f'<circle cx="{place:.1f}" cy="{top + 10}" r="{radius:.1f}" fill="#d55e00"/>')
        parts.append(f'<text x="{left + width + 12}" y="{top + 15}">{100 * mean:.0f} %</text>')
        unread = len(marks) - len(graded)
        if unread:
            note = f"{unread} not read yet"
            parts.append(f'<text x="{left + 14}" y="{top + 15}" fill="#555555">{note}</text>')
    note = "Bar: mean fraction of the points. Dot: students with this fraction."
    parts.append(f'<text x="{left}" y="{height - 8}" font-size="11" fill="#555555">{note}</text></svg>')
    return "\n".join(parts) + "\n"
