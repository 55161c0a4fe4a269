"""Standby kernels: started before they are needed, so that a notebook opens in seconds.

`make lab` starts one standby for the folder of the notebooks, and a kernel that takes it starts the
next. A standby is a kernel without a connection to Jupyter. It waits at a socket whose name is a
digest of what it was started with, and serves only a kernel that would start with the same.

A standby is not started without JupyterLab, on a machine with little memory, or where
MNIST_KIT_STANDBY is 0. It ends with the JupyterLab that it was started for.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import template

# Holds the process id of the JupyterLab that standbys are started for.
OWNER = "MNIST_KIT_STANDBY_OWNER"
# A kernel at rest takes 1.5 GB; the notebook that is open needs room as well.
LEAST_MEMORY = 5 << 30
# The system's limit for the path of a socket is 108 bytes.
LONGEST_PATH = 100
# Jupyter and the shell set these anew for each process; a kernel does not depend on them.
VOLATILE = ("JPY_", "JUPYTER_", "KERNEL_", "PYDEVD_", "MAKE", "MFLAGS", "_", "OLDPWD", "PWD", "SHLVL")


def key() -> str | None:
    """Returns the digest of what a kernel here would be started with; None if standbys are off."""
    if os.environ.get("MNIST_KIT_STANDBY") == "0" or owner() is None:
        return None
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(VOLATILE)
    }
    return template.digest([variables, os.getcwd(), template.wanted_fingerprint()])


def owner() -> int | None:
    """Returns the process id of the JupyterLab to start standbys for, if it lives."""
    with contextlib.suppress(KeyError, ValueError, OSError):
        pid = int(os.environ[OWNER])
        os.kill(pid, 0)
        return pid
    return None


def take(key: str, connection_file: str) -> socket.socket | None:
    """Hands Jupyter's connection file to a standby; returns None if there is none.

    The connection stays open as long as both sides live.
    """
    place = address(key)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(place))
        connection.sendall(json.dumps({"connection_file": connection_file}).encode() + b"\n")
        if connection.recv(1) == b"+":
            return connection
    except ConnectionRefusedError:
        # Its standby was killed.
        place.unlink(missing_ok=True)
    except OSError:
        pass
    connection.close()
    return None


def serve(connection: socket.socket) -> int:
    """Waits until the standby that was taken ends; returns its exit code."""
    answer = connection.recv(16)
    return int(answer) if answer.strip().isdigit() else 1


def prepare(key: str) -> None:
    """Starts a standby in the background, if there is none and the machine has room for it."""
    place = address(key)
    if place.exists() or len(str(place)) > LONGEST_PATH or available_memory() < LEAST_MEMORY:
        return
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(place.parent / "log", "w") as log:
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("kernel.py"), "--standby", place],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def address(key: str) -> Path:
    """Returns the path of the socket of the standby with this key."""
    return template.LIVE.parent / "standby" / key


def available_memory() -> int:
    """Returns the bytes of memory that are free or can be freed; 0 if unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 0
