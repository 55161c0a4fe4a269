"""Tests of the server that `make lab` starts: nobody else gets in, whatever the user configured."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

import lab_server
import project


def test_the_settings_name_address_token_and_no_news(monkeypatch, capsys):
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    first, second = lab_server.options(), lab_server.options()
    assert "--ServerApp.ip=127.0.0.1" in first and "--LabApp.news_url=None" in first
    assert "--allow-root" not in first and not capsys.readouterr().err
    tokens = {option for options in (first, second) for option in options if "token=" in option}
    assert len(tokens) == 2 and all(len(token.split("=")[1]) == 48 for token in tokens)
    monkeypatch.setenv("JUPYTER_TOKEN", "chosen")
    assert "--IdentityProvider.token=chosen" in lab_server.options()


def test_root_is_warned(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--allow-root" in lab_server.options()
    assert "runs as root" in capsys.readouterr().err


@pytest.fixture
def server(tmp_path):
    """A server of a user whose own configuration is open to everybody: address and token."""
    config = tmp_path / "jupyter_server_config.json"
    config.write_text(
        json.dumps({"ServerApp": {"ip": "0.0.0.0"}, "IdentityProvider": {"token": ""}})
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = os.environ | {
        "JUPYTER_CONFIG_DIR": str(tmp_path),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "run"),
    }
    variables["MNIST_KIT_STANDBY"] = "0"
    variables.pop("JUPYTER_TOKEN", None)
    program = [sys.executable, project.ROOT / "tools" / "lab.py"]
    process = subprocess.Popen(
        [*program, "--no-browser", f"--ServerApp.port={port}"],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not (files := list((tmp_path / "run").glob("jpserver-*.json"))):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        yield process, json.loads(files[0].read_text())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def status(url, token=None):
    """Asks the server for its list of kernels; returns the HTTP status."""
    headers = {"Authorization": f"token {token}"} if token else {}
    deadline = time.monotonic() + 60
    while True:
        try:
            request = urllib.request.Request(url + "api/kernels", headers=headers)
            return urllib.request.urlopen(request, timeout=60).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            # The file is written before the server listens.
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_the_server_wants_its_token_and_listens_here_only(server):
    process, info = server
    token = info["token"]
    assert status(info["url"], token) == 200
    assert status(info["url"]) == 403 and status(info["url"], "0" * 48) == 403
    # Anywhere else than on 127.0.0.1, nobody listens on the port.
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", info["port"]))
    shown = open(f"/proc/{process.pid}/cmdline").read()
    assert token not in shown
    # What the page reads at its start: no news.
    request = urllib.request.Request(
        info["url"] + "lab", headers={"Authorization": f"token {token}"}
    )
    page = urllib.request.urlopen(request, timeout=60).read().decode()
    assert '"news": {"disabled": true}' in page
