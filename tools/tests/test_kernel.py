"""The launcher: two kernels at once, and no trace of them however they end."""

import fcntl
import os
import shutil
import signal
from pathlib import Path

import pytest

import kernel
import project
import template
from kernels import Kernel, is_gone, wait_until


@pytest.fixture
def start():
    """Starts kernels; those that a test leaves running, because it failed, are ended after it."""
    started = []

    def start_one():
        started.append(Kernel())
        return started[-1]

    yield start_one
    for each in started:
        each.close()


def test_two_kernels_at_once(start):
    one, two = start(), start()
    a, b = one.folder, two.folder
    assert a != b
    one.ok("let number: i64 = 1;")
    two.ok("let number: i64 = 2;")
    assert (one.ok("number").value, two.ok("number").value) == ("1", "2")
    one.manager.shutdown_kernel()
    assert is_gone(a) and os.path.exists(b)
    os.kill(two.manager.provisioner.pid, signal.SIGTERM)
    assert is_gone(b)


PREPARE = """
let digits = Mnist::generated(1, 500, 100)?;
let batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor());
let vs = nn::VarStore::new(Device::Cpu);
let model = Mlp::new(vs.root(), 20)?;
"""


def test_a_killed_training_goes_on_from_its_checkpoint(start, tmp_path):
    kernel = start()
    checkpoint = tmp_path / "run"
    train = f'fit(&model, &vs, &batches).checkpoint("{checkpoint}").report(Silent)'

    def epochs_after(epochs):
        kernel.ok(f"let history = {train}.epochs({epochs}).run()?;")
        return int(kernel.ok("history.epochs().len()").value)

    kernel.ok("use mnist_kit::prelude::*;")
    kernel.ok("let pid: u32 = std::process::id();")
    pid = int(kernel.ok("pid").value)
    kernel.ok(PREPARE)
    request = kernel.send(f"{train}.epochs(1_000_000).run()?;")
    assert wait_until(checkpoint.exists)
    os.kill(pid, signal.SIGKILL)
    assert kernel.finish(request).reply["ename"] == "ProcessEnded"
    # All variables are gone; the checkpoint is whole.
    kernel.ok(PREPARE)
    before = epochs_after(1)
    assert before >= 1 and epochs_after(before + 2) == before + 2


def pages(kernel):
    """Minor page faults of a kernel's processes so far: field 10 of `stat`, after the name."""
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in kernel.workers]
    return sum(int(stat.rpartition(")")[2].split()[7]) for stat in stats)


def test_a_tensor_takes_the_memory_of_the_one_before(start):
    """Pages that the system clears anew at every step cost more time than the arithmetic."""
    kernel = start()

    def faults(code):
        before = pages(kernel)
        kernel.ok(code)
        return pages(kernel) - before

    kernel.ok("use mnist_kit::prelude::*;\nenvironment()")
    cell = "for _ in 0..10 { drop(Tensor::ones([64 << 20], (Kind::Uint8, Device::Cpu))); }"
    # The first tensors have to be given pages; compiling the cell takes some in every run.
    faults(cell)
    assert faults(cell) < 10 * (64 << 20) / 4096 / 4


def test_a_killed_kernel_leaves_neither_folder_nor_process(start):
    kernel = start()
    folder = kernel.folder
    request = kernel.send('println!("started"); loop {}')
    kernel.until_printed("started", request)
    os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
    assert is_gone(folder), os.listdir(template.LIVE)


def test_a_process_that_a_cell_started_with_an_empty_environment_ends_too(start):
    kernel = start()
    folder = kernel.folder
    started = kernel.ok(
        'let child = std::process::Command::new("env").args(["-i", "sleep", "6000"]).spawn()?;\n'
        'println!("{}", child.id());'
    )
    child = int(started.text())
    os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
    assert is_gone(folder)
    assert wait_until(lambda: not Path(f"/proc/{child}").exists())


def test_a_folder_whose_guard_was_killed_too_is_swept_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(template, "LIVE", tmp_path)
    stale, living = tmp_path / "stale", tmp_path / "living"
    for folder in (stale, living):
        folder.mkdir()
        (folder / "alive").touch()
    with open(living / "alive") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kernel.sweep()
    assert living.exists() and not stale.exists()


def test_a_kernels_folder_shares_no_file_that_is_written_again(tmp_path, monkeypatch):
    if template.state() != "fresh":
        pytest.skip("the template is stale")
    copy = template.FOLDER / "copy-for-a-test"
    try:
        template.copy_to(copy)
        for path in copy.rglob("*"):
            original = template.TEMPLATE / path.relative_to(copy)
            if path.is_file() and path.samefile(original):
                assert path.suffix in (".rlib", ".so") and "mnist_kit" not in path.name and "ctx" not in path.name
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def test_the_template_becomes_stale_with_what_it_is_made_of(monkeypatch):
    fresh = template.wanted_fingerprint()
    monkeypatch.setattr(project, "torch_version", lambda: "2.14.0")
    assert template.wanted_fingerprint()["base"] != fresh["base"]
    monkeypatch.undo()
    source = project.KIT / "src" / "lib.rs"
    before = source.stat()
    try:
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
        changed = template.wanted_fingerprint()
    finally:
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changed["kit"] != fresh["kit"] and changed["base"] == fresh["base"]
