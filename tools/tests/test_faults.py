"""A slice of the faults of `make torture`, and tests that the faults find what is not whole."""

import errno
import sys

import pytest

import conftest

sys.path.insert(0, str(conftest.TOOLS / "torture"))

import faults
import parts
import supervisor

PARTS = {part.name: part for part in parts.PARTS}


@pytest.fixture(autouse=True)
def supported(tmp_path):
    """Skips the tests where the kernel reports no system calls."""
    try:
        supervisor.run(["true"], [tmp_path])
    except supervisor.Unsupported as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", PARTS)
def test_a_part_survives(name, capfd):
    if name == "download":
        conftest.require("mnist")
    missing = PARTS[name].missing()
    assert missing is None, missing
    # The program takes a second to start.
    limit = 8 if isinstance(PARTS[name], parts.Script) else 3
    figures = faults.disturb(PARTS[name], limit)
    assert (figures["attempts"], figures["lost"]) == (limit, 0), capfd.readouterr().err


class Writer(parts.Recorder):
    """A program that replaces a file in a way that some faults spoil."""

    def __init__(self, code):
        self.CODE = f"import os\nnew = {self.NEW!r}\nos.chdir('notebooks')\n{code}"


IN_PLACE = """
with open("lesson.ipynb", "w") as file:
    file.write(new)
"""
UNSYNCED = """
with open("new", "w") as file:
    file.write(new)
os.replace("new", "lesson.ipynb")
"""
LITTER = """
import uuid
name = str(uuid.uuid4())
with open(name, "w") as file:
    file.write(new)
    os.fsync(file.fileno())
os.replace(name, "lesson.ipynb")
os.fsync(os.open(".", os.O_RDONLY))
"""

def losses(code, capfd):
    """What is said about a writer."""
    faults.disturb(Writer(code))
    return capfd.readouterr().err


def test_a_file_that_is_written_in_place_is_lost(capfd):
    said = losses(IN_PLACE, capfd)
    for fault in ("ENOSPC at step 2 (write)", "SIGKILL at step 2 (write)"):
        assert f"{fault}: lesson.ipynb is neither whole nor absent" in said


def test_what_is_not_synced_is_lost_in_a_power_cut(capfd):
    said = losses(UNSYNCED, capfd)
    assert "power cut at step 4 (end): lesson.ipynb is neither whole nor absent" in said
    assert "names lost at step 4 (end): after a successful run, lesson.ipynb has another content" in said
    assert "SIGKILL" not in said


def test_what_a_dead_writer_leaves_is_found(capfd):
    said = losses(LITTER, capfd)
    assert "SIGKILL at step 3 (fsync): after the next start, " in said and "is left over" in said
    assert "power cut at step" in said and "neither whole nor absent" not in said


def test_a_crash_is_no_way_to_report_an_error(tmp_path):
    crash = ["sh", "-c", "mkdir folder || kill -ABRT $$"]
    outcome = supervisor.run(crash, [tmp_path], supervisor.Fault(1, errno.EROFS), cwd=tmp_path)
    with pytest.raises(faults.Lost, match="ends with -6"):
        faults.expect_message(outcome)
    assert outcome.steps == ["mkdir"] and "Read-only file system" in outcome.output


def test_a_full_disk_stays_full_and_a_bad_sector_fails_once(tmp_path):
    script = ["sh", "-c", "mkdir a; mkdir b; rmdir b; mkdir c"]
    for error, made in ((errno.ENOSPC, set()), (errno.EIO, {"c"})):
        folder = tmp_path / str(error)
        folder.mkdir()
        outcome = supervisor.run(script, [folder], supervisor.Fault(1, error), cwd=folder)
        assert {path.name for path in folder.iterdir()} == made
        assert outcome.steps[0] == "mkdir"


def test_attempts_are_spread_over_all_faults():
    planned = faults.planned(["write", "rename"])
    assert len(planned) == 7 * 2 + 2 and faults.spread(planned, None) == planned
    assert faults.spread(planned, 4) == [planned[3], planned[7], planned[11], planned[15]]
