"""The launcher: two kernels at once, and no trace of them however they end."""

import os
import signal
import time
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

import kernel
import project
import template


@pytest.fixture
def start():
    """Starts kernels; those that a test leaves running, because it failed, are ended after it."""
    managers = []

    def start_one():
        manager = KernelManager(kernel_name=project.KERNEL_NAME)
        managers.append(manager)
        manager.start_kernel(cwd=str(project.ROOT / "notebooks"), stdin=None)
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=900)
        return manager, client

    yield start_one
    for manager in managers:
        manager.shutdown_kernel(now=True)


def result(client, code):
    outputs = []
    client.execute_interactive(code, timeout=120, output_hook=outputs.append)
    return "".join(o["content"]["data"]["text/plain"] for o in outputs if o["msg_type"] == "execute_result")


def folder_of(manager):
    """The private folder of a running kernel, as its process knows it."""
    (mark,) = (v for v in kernel.environment_of(manager.provisioner.pid) if v.startswith(b"EVCXR_TMPDIR="))
    return mark.split(b"=", 1)[1].decode()


def wait_until(true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


def workers(folder):
    mark = f"EVCXR_TMPDIR={folder}".encode()
    return [pid for pid in kernel.processes() if mark in kernel.environment_of(pid)]


def pages(folder):
    """Minor page faults of a kernel's processes so far: field 10 of their `stat`, counted behind the name."""
    return sum(int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[7]) for pid in workers(folder))


def test_two_kernels_at_once_interrupt_and_shutdown(start):
    (one, first), (two, second) = start(), start()
    a, b = folder_of(one), folder_of(two)
    assert a != b
    result(first, "let number = 1;")
    result(second, "let number = 2;")
    assert (result(first, "number"), result(second, "number")) == ("1", "2")
    # An interrupt ends the process with the variables, and the kernel goes on.
    first.execute("loop { std::thread::sleep(std::time::Duration::from_millis(10)); }")
    time.sleep(3)
    one.interrupt_kernel()
    assert result(first, "3") == "3"
    one.shutdown_kernel()
    assert wait_until(lambda: not os.path.exists(a)) and os.path.exists(b)
    os.kill(two.provisioner.pid, signal.SIGTERM)
    assert wait_until(lambda: not os.path.exists(b))


def test_an_interrupted_training_goes_on_from_its_checkpoint(start, tmp_path):
    manager, client = start()
    checkpoint = tmp_path / "run"
    prepare = """
        let digits = Mnist::generated(1, 500, 100)?;
        let batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor());
        let vs = nn::VarStore::new(Device::Cpu);
        let model = Mlp::new(vs.root(), 20)?;
    """
    train = f'fit(&model, &vs, &batches).checkpoint("{checkpoint}").report(Silent)'
    result(client, ':dep mnist_kit = { path = "../mnist_kit" }\nuse mnist_kit::prelude::*;')
    result(client, prepare)
    client.execute(f"{train}.epochs(1_000_000).run()?;")
    assert wait_until(checkpoint.exists, seconds=60)
    manager.interrupt_kernel()
    # All variables are gone; the checkpoint is whole.
    result(client, "use mnist_kit::prelude::*;")
    result(client, prepare)
    before = int(result(client, f"let history = {train}.epochs(1).run()?;\nhistory.epochs().len()"))
    after = int(result(client, f"let history = {train}.epochs({before + 2}).run()?;\nhistory.epochs().len()"))
    assert before >= 1 and after == before + 2


def test_a_tensor_takes_the_memory_of_the_one_before(start):
    """Pages that the system clears anew at every step cost more time than the arithmetic on them."""
    manager, client = start()
    folder = folder_of(manager)

    def faults(code):
        before = pages(folder)
        client.execute_interactive(code, timeout=120)
        return pages(folder) - before

    client.execute_interactive(':dep mnist_kit = { path = "../mnist_kit" }\nuse mnist_kit::prelude::*;\nenvironment()', timeout=120)
    cell = "for _ in 0..10 { drop(Tensor::ones([64 << 20], (Kind::Uint8, Device::Cpu))); }"
    # The first tensors have to be given pages; compiling the cell takes some in every run.
    faults(cell)
    assert faults(cell) < 10 * (64 << 20) / 4096 / 4


def test_a_killed_kernel_leaves_neither_folder_nor_process(start):
    manager, client = start()
    folder = folder_of(manager)
    client.execute("loop {}")
    time.sleep(3)
    os.kill(manager.provisioner.pid, signal.SIGKILL)
    assert wait_until(lambda: not os.path.exists(folder)), os.listdir(template.LIVE)
    assert not workers(folder)


def test_a_folder_whose_guard_was_killed_too_is_swept_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(template, "LIVE", tmp_path)
    stale, living = tmp_path / "stale", tmp_path / "living"
    for folder in (stale, living):
        folder.mkdir()
        (folder / "alive").touch()
    import fcntl

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
        import shutil

        shutil.rmtree(copy, ignore_errors=True)


def test_the_template_becomes_stale_with_what_it_is_made_of(monkeypatch):
    fresh = template.wanted_fingerprint()
    monkeypatch.setattr(project, "torch_version", lambda: "2.14.0")
    assert template.wanted_fingerprint()["base"] != fresh["base"]
    monkeypatch.undo()
    source = project.KIT / "src" / "lib.rs"
    before = source.stat()
    try:
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        changed = template.wanted_fingerprint()
    finally:
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changed["kit"] != fresh["kit"] and changed["base"] == fresh["base"]
