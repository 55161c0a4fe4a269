"""Checks of the assignments themselves: their stubs fail, their solutions pass."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import project
import template

from classroom import cells, course, grading, sandbox, scoring

# Seconds that the cells of a solution may take, times SLOW on a busy machine.
SECONDS = 60
SEED = 7
# A cell is formatted as the body of a function, four columns to the right.
WIDTH = "max_width=104,use_small_heuristics=Max"
LINTS = "#![allow(dead_code, unused, clippy::no_effect, clippy::items_after_test_module)]\n"


def verify(names: list[str]) -> list[str]:
    """Checks assignments; returns what is wrong."""
    unsafe = bool(sandbox.unavailable())
    if unsafe:
        print("No sandbox here: the solutions, which are ours, run without one.", flush=True)
    with template.locked():
        template.ensure()
    course.release(names, gradebook=False)
    problems = []
    for name in names:
        source, release = course.source(name), course.released(name)
        found = [*structure(source), *formatting(source), *lints(name, source)]
        found += solution(source, release, unsafe) or stub(source, release, unsafe)
        print(f"{name}: {'; '.join(found) or 'ready'}", flush=True)
        problems += [f"{name}: {problem}" for problem in found]
    return problems


def structure(source) -> list[str]:
    """Every test has a solution before it, a visible part and a hidden one; names are unique."""
    found, solutions, names = [], 0, []
    for cell in source.cells:
        name = cells.grade_id(cell)
        if cell.cell_type == "code" and not name:
            found.append(f"a code cell has no grade_id: {cell.source[:40]!r}")
        if name in names:
            found.append(f"`{name}` occurs twice")
        names.append(name) if name else None
        if cells.is_solution(cell):
            solutions += 1
            if "BEGIN SOLUTION" not in cell.source:
                found.append(f"`{name}` has no solution")
            if cells.is_written(cell) and "Rubric" not in cell.source:
                found.append(f"`{name}` has no rubric")
        if cells.is_test(cell):
            if not solutions:
                found.append(f"`{name}` comes before any solution")
            if "assert" not in cells.visible_part(cell.source):
                found.append(f"`{name}` has no visible test")
            if cells.hidden_part(cell.source) is None:
                found.append(f"`{name}` has no hidden test")
    return found


def formatting(source) -> list[str]:
    """Each code cell is as rustfmt would write it."""
    found = []
    for cell in source.cells:
        if cell.cell_type != "code":
            continue
        wrapped = f"fn cell() {{\n{indented(cell.source)}}}\n"
        options = ["--edition", "2024", "--check", "--config", WIDTH]
        done = subprocess.run(
            ["rustfmt", *options], input=wrapped, text=True, capture_output=True, cwd=project.ROOT
        )
        if done.returncode:
            why = (done.stdout + done.stderr).strip()
            found.append(f"`{cells.grade_id(cell)}` is not formatted: {why[:400]}")
    return found


def indented(code: str) -> str:
    """Code as it stands in a function."""
    return "".join(f"    {line}\n" if line.strip() else "\n" for line in code.splitlines())


def lints(name: str, source) -> list[str]:
    """The solution, as one program, passes clippy."""
    code = "\n".join(cell.source for cell in source.cells if cell.cell_type == "code")
    program = (
        f"{LINTS}pub fn notebook() -> std::result::Result<(), Box<dyn std::error::Error>> {{\n"
        f"{indented(code)}    Ok(())\n}}\n"
    )
    with tempfile.TemporaryDirectory(dir=template.FOLDER) as place:
        folder = Path(place)
        with template.locked():
            template.copy_to(folder)
        (folder / "src" / "lib.rs").write_text(program)
        variables = template.environment_variables() | {
            "CARGO_TARGET_DIR": "target",
            "CARGO_BUILD_BUILD_DIR": "target",
            "CARGO_NET_OFFLINE": "true",
        }
        variables["RUSTFLAGS"] = template.rustflags(variables["PATH"])
        command = [project.toolchain_bin() / "cargo", "clippy", "--quiet", "--target", project.host()]
        done = subprocess.run(
            [*command, "--no-deps", "--", "-D", "warnings"],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    return [f"clippy: {done.stderr.strip()[:3000]}"] if done.returncode else []


def solution(source, release, unsafe: bool) -> list[str]:
    """The solution earns every point, in time."""
    notebook = grading.solved(source, release)
    try:
        result = scoring.run(source, notebook, [], SEED, unsafe=unsafe)
    except AssertionError as failed:
        return [str(failed)]
    found = [
        f"the solution fails `{name}`: {score.lines}"
        for name, score in result.scores.items()
        if score.points < score.possible
    ]
    allowed = SECONDS * sandbox.patience()
    if result.seconds > allowed:
        found.append(f"the solution takes {result.seconds:.0f} s, more than {allowed:.0f} s")
    print(f"  solution: {result.seconds:.0f} s", flush=True)
    return [*found, *result.remarks]


def stub(source, release, unsafe: bool) -> list[str]:
    """The student version compiles, and earns nothing."""
    notebook, remarks = cells.assemble(release, release.cells)
    result = scoring.run(source, notebook, remarks, SEED, {}, unsafe=unsafe)
    found = [f"the stub passes `{name}`" for name, score in result.scores.items() if score.points]
    for cell in result.notebook.cells:
        failed = any(output.output_type == "error" for output in cell.get("outputs", []))
        if failed and not cells.is_test(cell):
            found.append(f"the stub's cell `{cells.grade_id(cell)}` does not compile")
    return [*found, *result.remarks]
