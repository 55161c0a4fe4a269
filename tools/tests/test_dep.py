"""Tests of `:dep` for other crates: offline by default, with a hint, and with locked versions."""

import re
import tomllib
from pathlib import Path

import pytest

import hints


def refused(kernel, code):
    """Runs a cell; returns the text of its error, or nothing if it has none."""
    errors = kernel.run(code).contents("error")
    return "\n".join("\n".join([error["evalue"], *error["traceback"]]) for error in errors)


def versions(lock):
    return {(package["name"], package["version"]) for package in tomllib.loads(lock)["package"]}


def assert_locked(kernel):
    """Checks that every crate of the kit still has the version that was compiled."""
    folder = Path(kernel.folder)
    before = versions((folder / "kit.lock").read_text()) - {("ctx", "1.0.0")}
    assert before <= versions((folder / "Cargo.lock").read_text())


def test_another_crate_is_added_offline_and_versions_stay(kernel):
    done = kernel.ok(':dep itoa = "1"\nprintln!("{}", itoa::Buffer::new().format(42));')
    assert done.text().strip() == "42"
    assert_locked(kernel)


def test_a_crate_that_is_not_there_leads_to_the_hint_and_can_be_downloaded(kernel):
    error = refused(kernel, ':dep no-such-crate-of-mnist-kit = "1"')
    assert "`:offline 0`" in error, error
    kernel.ok(":offline 0")
    use = "use numtoa::NumToA;\nprintln!(\"{}\", 7u8.numtoa_str(10, &mut [0u8; 8]));"
    error = refused(kernel, ':dep numtoa = "0.2"')
    if re.search(r"resolve host|timed out|failed to download|[Cc]ould not connect", error):
        pytest.skip(f"crates cannot be downloaded here: {error[:300]}")
    assert not error
    assert kernel.ok(use).text().strip() == "7"
    assert_locked(kernel)


def test_hints_are_for_the_offline_mode_only():
    said = (
        "error: no matching package named `abc` found\nAs a reminder, you're using offline mode "
        "(--offline) which can sometimes cause surprising resolution failures"
    )
    assert ":offline 0" in hints.hint_for(said)
    said = "attempting to make an HTTP request, but --offline was specified"
    assert ":offline 0" in hints.hint_for(said)
    assert hints.hint_for("error[E0308]: mismatched types") is None
