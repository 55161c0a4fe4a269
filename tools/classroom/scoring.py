"""Runs a notebook in the sandbox, and gives its test cells points."""

from __future__ import annotations

import dataclasses
import secrets

from classroom import cells
from classroom.sandbox import Limits, Sandbox, SandboxEnded


@dataclasses.dataclass
class Score:
    """The result of one graded cell."""

    points: float
    possible: float
    # For the student: what passed and what failed, without the hidden tests' code.
    lines: list[str]


@dataclasses.dataclass
class Result:
    """A submission after its run."""

    notebook: object
    scores: dict[str, Score]
    remarks: list[str]
    # The hidden values by cell, for the run of the solution.
    values: dict[str, dict[str, str]]
    seconds: float = 0.0


def run(source, notebook, remarks: list[str], seed: int, expected=None, limits=None, unsafe=False) -> Result:
    """Runs a notebook and then the hidden tests of `source`, the teacher's notebook.

    `expected` are the values of the solution's run; without them, nothing is compared.
    """
    limits = limits or Limits()
    statuses: dict[str, dict] = {}
    values: dict[str, dict[str, str]] = {}
    hidden_statuses: dict[str, str] = {}
    seconds, ended = 0.0, None
    hidden = {cells.grade_id(cell): cells.hidden_part(cell.source) for cell in source.cells if cells.is_test(cell)}
    given = cells.helpers(source)
    try:
        with Sandbox(limits, unsafe) as sandbox:
            for cell in notebook.cells:
                if cell.cell_type != "code" or not cell.source.strip():
                    continue
                code = cells.with_std_macros(cell.source) if cells.is_test(cell) else cell.source
                answer = sandbox.run(code)
                answer["outputs"] = cells.safe_outputs(answer["outputs"])
                cell.outputs = nodes(answer["outputs"])
                seconds += answer["seconds"]
                if cells.is_test(cell):
                    statuses[cells.grade_id(cell)] = answer
            # Last, so that no code of the submission runs after it could read a hidden test.
            for name, code in hidden.items():
                if code is None:
                    continue
                mark = f"@{secrets.token_hex(8)} "
                answer = sandbox.run(cells.hidden_cell(given, code, seed, mark))
                seconds += answer["seconds"]
                values[name] = cells.answers_of(answer["outputs"], mark)
                hidden_statuses[name] = answer["status"]
                if expected is None and answer["status"] != "ok":
                    said = [output for output in answer["outputs"] if output["output_type"] == "error"]
                    raise AssertionError(f"the hidden tests of `{name}` fail for the solution: {said}")
    except SandboxEnded as end:
        ended = str(end)
        remarks = [*remarks, f"{ended} What came after it was not run."]
    scores = {}
    for cell in notebook.cells:
        if cells.is_test(cell):
            name = cells.grade_id(cell)
            wanted = (expected or values).get(name, {})
            partial = cells.PARTIAL in cell.source
            possible = float(cells.about(cell)["points"])
            visible = statuses.get(name, {"status": "not run", "outputs": []})
            scores[name] = score(possible, partial, visible, values.get(name, {}), wanted, ended)
            show(cell, scores[name])
    return Result(notebook, scores, remarks, values, seconds)


def score(possible: float, partial: bool, visible: dict, found: dict, wanted: dict, ended: str | None) -> Score:
    """Gives a cell its points."""
    lines = []
    passed = visible["status"] == "ok"
    if not passed:
        lines.append(f"✗ visible test: {reason(visible, ended)}")
    else:
        lines.append("✓ visible test")
    right = 0
    for name, value in wanted.items():
        agrees = name in found and cells.agree(found[name], value)
        right += agrees
        what = "" if agrees else ("another value was expected" if name in found else "there was no answer")
        lines.append(f"{'✓' if agrees else '✗'} hidden test “{name}”" + (f": {what}" if what else ""))
    total = 1 + len(wanted)
    # A submission that fails all hidden tests has hard-wired the visible one.
    fraction = (passed + right) / total if not wanted or right else 0.0
    if not partial:
        fraction = float(fraction == 1.0)
    return Score(round(possible * fraction, 2), possible, lines)


def reason(visible: dict, ended: str | None) -> str:
    """Tells why a visible test has failed."""
    if visible["status"] == "not run":
        return f"not run. {ended or ''}".strip()
    if visible["status"] == "timeout":
        return "it took too long and was stopped"
    for output in visible["outputs"]:
        if output["output_type"] == "error":
            return output["evalue"].strip()
    return visible["status"]


def show(cell, found: Score) -> None:
    """Replaces the outputs of a test cell by its verdict, in the form that nbgrader reads points from."""
    from nbformat.v4 import new_output

    text = "\n".join(found.lines)
    outputs = [new_output("stream", name="stdout", text=text + "\n")]
    if found.points == 0 and found.possible > 0:
        outputs.append(new_output("error", ename="NoPoints", evalue="0 points", traceback=["0 points"]))
    elif found.points < found.possible:
        data = {"text/plain": f"{found.points}"}
        outputs.append(new_output("execute_result", data=data, execution_count=None))
    cell.outputs = outputs


def nodes(outputs: list[dict]) -> list:
    """Outputs as nbformat's objects."""
    import nbformat

    return [nbformat.from_dict(output) for output in outputs]
