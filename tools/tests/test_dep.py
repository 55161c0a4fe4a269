"""Tests of `:dep` for other crates: offline by default, with a hint, and with locked versions."""

import re
import tomllib
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

import hints
import kernel
import project

KIT = ':dep mnist_kit = { path = "../mnist_kit" }'


@pytest.fixture(scope="module")
def client():
    """A client of a kernel for all tests of this file, and the kernel's folder."""
    manager = KernelManager(kernel_name=project.KERNEL_NAME)
    manager.start_kernel(cwd=str(project.ROOT / "notebooks"), stdin=None)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=900)
        run(client, KIT)
        yield client, folder_of(manager.provisioner.pid)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def folder_of(pid):
    """The kernel's folder, as its process knows it."""
    variables = dict(v.split(b"=", 1) for v in kernel.environment_of(pid) if b"=" in v)
    return Path(variables[b"EVCXR_TMPDIR"].decode())


def run(client, code):
    """Runs a cell; returns its output and its error."""
    messages = []
    client.execute_interactive(code, timeout=600, output_hook=messages.append)
    contents = [message["content"] for message in messages]
    text = "".join(content.get("text", "") for content in contents)
    error = "\n".join(
        "\n".join([content["evalue"], *content["traceback"]])
        for content in contents
        if "traceback" in content
    )
    return text, error


def versions(lock):
    return {(package["name"], package["version"]) for package in tomllib.loads(lock)["package"]}


def test_another_crate_is_added_offline_and_versions_stay(client):
    client, folder = client
    text, error = run(client, ':dep itoa = "1"\nprintln!("{}", itoa::Buffer::new().format(42));')
    assert not error and text.strip() == "42"
    before = versions((folder / "kit.lock").read_text())
    assert versions((folder / "Cargo.lock").read_text()) >= before - {("ctx", "1.0.0")}


def test_a_crate_that_is_not_there_leads_to_the_hint_and_can_be_downloaded(client):
    client, folder = client
    _, error = run(client, ':dep no-such-crate-of-mnist-kit = "1"')
    assert error and "`:offline 0`" in hints.hint_for(error), error
    _, error = run(client, ":offline 0")
    assert not error
    text, error = run(client, ':dep numtoa = "0.2"\nuse numtoa::NumToA; println!("{}", 7u8.numtoa_str(10, &mut [0u8; 8]));')
    if re.search(r"resolve host|timed out|download|[Cc]ould not connect|[Nn]etwork", error):
        pytest.skip(f"crates cannot be downloaded here: {error[:300]}")
    assert not error and text.strip() == "7", error
    before = versions((folder / "kit.lock").read_text())
    assert versions((folder / "Cargo.lock").read_text()) >= before - {("ctx", "1.0.0")}


def test_hints_are_for_the_offline_mode_only():
    said = (
        "error: no matching package named `abc` found\nAs a reminder, you're using offline mode "
        "(--offline) which can sometimes cause surprising resolution failures"
    )
    assert ":offline 0" in hints.hint_for(said)
    said = "attempting to make an HTTP request, but --offline was specified"
    assert ":offline 0" in hints.hint_for(said)
    assert hints.hint_for("error[E0308]: mismatched types") is None
