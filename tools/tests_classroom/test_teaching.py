"""Follows docs/TEACHING.md: its commands run in their order, and leave what it says."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import project
from classroom import sandbox

SUBMITTED = project.ROOT / "notebooks" / "assignments" / "submitted"
GRADING = project.ROOT / "out" / "grading"


def commands():
    """The commands that the guide tells a teacher to type."""
    text = (project.ROOT / "docs" / "TEACHING.md").read_text()
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def graded():
    """What the commands print. Submissions of a teacher who works here are left alone."""
    if SUBMITTED.exists():
        pytest.skip(f"{SUBMITTED} exists")
    variables = dict(os.environ)
    if sandbox.unavailable():
        # The guide's submissions are our own notebooks.
        variables["UNSAFE"] = "1"
    try:
        yield [
            subprocess.run(
                ["bash", "-ec", block],
                cwd=project.ROOT,
                env=variables,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
            for block in commands()
        ]
    finally:
        for path in sorted(SUBMITTED.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        SUBMITTED.rmdir()


def test_the_commands_lead_to_grades(graded):
    for done in graded:
        assert done.returncode == 0, f"{done.args[2]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "[1/2] 01_mlp, ann: 0 of 40 points" in graded[-1].stdout
    assert "[2/2] 01_mlp, bob: 40 of 40 points" in graded[-1].stdout
    with (GRADING / "01_mlp.csv").open() as file:
        ann, bob = csv.DictReader(file)
    assert (ann["points"], ann["waiting for a person"], ann["softmax_test"]) == ("0", "0", "0")
    assert (bob["points"], bob["waiting for a person"], bob["softmax_test"]) == ("40", "6", "4")
    page = (GRADING / "feedback" / "bob" / "01_mlp.html").read_text()
    assert "40 of 46 points" in page and "6 more wait for a person" in page
    assert "HIDDEN" not in page and "three layers" in page
    assert (GRADING / "01_mlp.svg").read_text().startswith("<svg")
