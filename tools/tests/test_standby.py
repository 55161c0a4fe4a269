"""Standby kernels: taken once, by a kernel that would be the same, and gone with their owner."""

import os
import socket
import subprocess
import time

import pytest

import kernels
import project
import standby
import template


@pytest.fixture
def lab(monkeypatch):
    """Stands for JupyterLab; standbys end with it."""
    process = subprocess.Popen(["sleep", "3600"])
    monkeypatch.setenv(standby.OWNER, str(process.pid))
    monkeypatch.delenv("MNIST_KIT_STANDBY", raising=False)
    monkeypatch.setenv("MNIST_KIT_TEST", f"{os.getpid()}-{time.monotonic_ns()}")
    monkeypatch.chdir(project.ROOT / "notebooks")
    yield process
    process.kill()
    process.wait()


def test_the_key_tells_what_a_kernel_is_started_with(lab, monkeypatch, tmp_path):
    key = standby.key()
    monkeypatch.setenv("JPY_SESSION_NAME", "another notebook")
    assert standby.key() == key
    monkeypatch.setenv("MNIST_KIT_QUICK", "1")
    assert standby.key() != key
    monkeypatch.delenv("MNIST_KIT_QUICK")
    monkeypatch.chdir(tmp_path)
    assert standby.key() != key
    monkeypatch.chdir(project.ROOT / "notebooks")
    monkeypatch.setattr(template, "wanted_fingerprint", lambda: {"kit": "changed"})
    assert standby.key() != key


def test_there_is_no_standby_without_jupyterlab_or_against_the_users_will(lab, monkeypatch):
    monkeypatch.setenv("MNIST_KIT_STANDBY", "0")
    assert standby.key() is None
    monkeypatch.delenv("MNIST_KIT_STANDBY")
    lab.kill()
    lab.wait()
    assert standby.key() is None


def test_little_memory_means_no_standby(lab, monkeypatch):
    monkeypatch.setattr(standby, "available_memory", lambda: 1 << 30)
    monkeypatch.setattr(subprocess, "Popen", lambda *_args, **_options: pytest.fail("started"))
    standby.prepare(standby.key())


def test_a_place_whose_standby_was_killed_is_cleared(lab):
    key = standby.key()
    place = standby.address(key)
    place.parent.mkdir(parents=True, exist_ok=True)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(place))
    dead.close()
    assert standby.take(key, "connection.json") is None
    assert not place.exists()


def test_a_standby_serves_the_next_kernel_and_ends_with_its_owner(lab):
    key = standby.key()
    place = standby.address(key)
    standby.prepare(key)
    assert kernels.wait_until(place.exists)
    kernel = kernels.Kernel()
    try:
        assert kernel.ok("1 + 1").value == "2"
        # The next one waits already.
        assert kernels.wait_until(place.exists)
    finally:
        kernel.close()
    lab.kill()
    lab.wait()
    assert kernels.wait_until(lambda: not place.exists())
