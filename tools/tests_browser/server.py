"""A JupyterLab server with its own settings and a copy of the notebooks."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat

import project

START_SECONDS = 300
NO_STANDBY = {"MNIST_KIT_STANDBY": "0"}


class Server:
    """JupyterLab on a free port, with its own settings and a copy of the notebooks."""

    def __init__(self, folder: Path, standby: bool = False) -> None:
        """Starts the server in an empty folder and waits until it answers.

        With `standby`, the kernel of a notebook starts the standby for the next one.
        """
        self.root = folder / "notebooks"
        shutil.copytree(
            project.ROOT / "notebooks",
            self.root,
            ignore=shutil.ignore_patterns("out", ".ipynb_checkpoints"),
        )
        # The lessons name the kit by a relative path.
        (folder / "mnist_kit").symlink_to(project.KIT)
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "server.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.command(),
                env=self.environment(folder) | ({} if standby else NO_STANDBY),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def command(self) -> list[str]:
        """Returns the command of `make lab`, without opening a browser."""
        return [
            sys.executable,
            str(project.ROOT / "tools" / "lab.py"),
            "--no-browser",
            f"--ServerApp.port={self.url.rpartition(':')[2]}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.root}",
        ]

    def environment(self, folder: Path) -> dict[str, str]:
        """Returns variables that keep the user's own settings out, and the lessons short."""
        return os.environ | {
            "JUPYTER_TOKEN": self.token,
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "MNIST_KIT_QUICK": "1",
            "MNIST_KIT_OUT": str(folder / "out"),
        }

    def wait_until_it_answers(self) -> None:
        """Waits for the first answer; raises if the server ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("GET", "/api/status")
                return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"JupyterLab does not answer:\n{self.log.read_text()}")

    def ask(self, method: str, path: str):
        """Sends a request to the server's REST interface and returns the decoded answer."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def end_kernels(self) -> None:
        """Shuts down all kernels, which hold a gigabyte each."""
        for session in self.ask("GET", "/api/sessions"):
            self.ask("DELETE", f"/api/sessions/{session['id']}")

    def stop(self) -> None:
        """Ends the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def write(self, name: str, cells: list[str]) -> str:
        """Writes a notebook with the given code cells and returns its name."""
        kernel = project.KERNEL_NAME
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={
                "kernelspec": {"name": kernel, "display_name": kernel, "language": "rust"}
            },
        )
        project.save(self.root / name, nbformat.writes(notebook))
        return name


def free_port() -> int:
    """Finds a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
