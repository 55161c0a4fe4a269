"""Tries a server for a class: several users of this machine run lesson 1 at once through JupyterHub.

Run it as root in an installation, with the names of users that exist:

    PREFIX/build/server/bin/python PREFIX/tools/server/trial.py ann bob eve

Each user gets a server and a kernel, and runs all cells of the lesson on a slice of the data. Then
each kernel tries to read the work of the others and to write into the installation. Prints what
the lesson has shown, the seconds, and the memory of each user's processes at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import secrets
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

ROOT = Path(__file__).resolve().parent.parent.parent
LESSON = "01_mlp.ipynb"
ADDRESS = "127.0.0.1:18734"
TOKEN = secrets.token_hex(16)
# Added to the configuration of the installation. Nobody logs in by hand.
CONFIG = f"""
load_subconfig({str(Path(__file__).with_name("jupyterhub_config.py"))!r})
c.JupyterHub.bind_url = "http://{ADDRESS}"
c.JupyterHub.hub_port = 18735
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:18736"
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.services = [{{"name": "trial", "api_token": "{TOKEN}"}}]
scopes = ["admin:users", "admin:servers", "access:servers"]
c.JupyterHub.load_roles = [{{"name": "trial", "scopes": scopes, "services": ["trial"]}}]
c.Spawner.environment["MNIST_KIT_QUICK"] = "1"
"""
# A program for each kernel: what it can read of others, and whether it can write to the kit.
LOOK = """
for place in [{places}] {{
    println!("{{place}}: {{}}", if std::fs::read_dir(place).is_ok() {{ "readable" }} else {{ "closed" }});
}}
println!("kit: {{}}", if std::fs::write("{kit}/Cargo.toml", "").is_ok() {{ "writable" }} else {{ "read-only" }});
"""


async def main(users: list[str]) -> int:
    """Starts the hub, lets all users work at once, and reports."""
    with tempfile.TemporaryDirectory() as state:
        config = Path(state) / "trial_config.py"
        config.write_text(CONFIG)
        program = ROOT / "build" / "server" / "bin" / "jupyterhub"
        log = open(Path(tempfile.gettempdir()) / "mnist_kit_trial.log", "w")
        hub = subprocess.Popen([program, "--config", config], cwd=state, stdout=log, stderr=log)
        try:
            await until(lambda: ask("GET", "hub/api"), 60)
            return report(await asyncio.gather(*(work(user, users) for user in users)))
        finally:
            for user in users:
                await ask("DELETE", f"hub/api/users/{user}/server")
            hub.terminate()
            hub.wait(30)


async def ask(method: str, path: str, /, **content):
    """Sends a request to the hub or a user's server; None if it is refused."""
    body = json.dumps(content) if method in ("POST", "PUT") else None
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    request = HTTPRequest(f"http://{ADDRESS}/{path}", method, headers, body, request_timeout=120)
    try:
        answer = await AsyncHTTPClient().fetch(request)
    except (HTTPClientError, OSError) as error:
        return None if not isinstance(error, HTTPClientError) or error.code != 403 else error_of(error)
    return json.loads(answer.body or b"{}")


def error_of(error: HTTPClientError):
    """Ends the trial where the hub does not know us."""
    raise SystemExit(f"the hub refuses the trial: {error}")


async def until(attempt, seconds: float):
    """Repeats an attempt until it succeeds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = await attempt()
        if answer:
            return answer
        await asyncio.sleep(0.5)
    raise SystemExit(f"no answer within {seconds} s; see the log")


async def work(user: str, users: list[str]) -> dict:
    """Runs the lesson as one user."""
    started = time.monotonic()
    await ask("POST", "hub/api/users", usernames=[user])
    await ask("POST", f"hub/api/users/{user}/server")

    async def ready():
        about = await ask("GET", f"hub/api/users/{user}")
        return about and about["servers"].get("", {}).get("ready")

    await until(ready, 180)
    base = f"user/{user}/api"
    kernel = await until(lambda: ask("POST", f"{base}/kernels", name="mnist_kit", path="notebooks"), 180)
    file = await ask("GET", f"{base}/contents/notebooks/{LESSON}")
    sources = [
        "".join(cell["source"]) for cell in file["content"]["cells"] if cell["cell_type"] == "code"
    ]
    request = HTTPRequest(
        f"ws://{ADDRESS}/{base}/kernels/{kernel['id']}/channels", headers={"Authorization": f"token {TOKEN}"}
    )
    socket = await websocket_connect(request, max_message_size=1 << 28)
    texts, failed, first = [], [], None
    for source in filter(str.strip, sources):
        text, problem = await run(socket, source)
        texts.append(text)
        first = first or time.monotonic() - started
        if problem:
            failed.append(problem)
    seconds = time.monotonic() - started
    places = ", ".join(f'"{pwd.getpwnam(other).pw_dir}/mnist_kit"' for other in users if other != user)
    look, _ = await run(socket, LOOK.format(places=places, kit=ROOT / "mnist_kit"))
    return {
        "user": user,
        "cells": len(texts),
        "failed": failed,
        "accuracy": [line.strip() for text in texts for line in text.splitlines() if line.startswith("Final test accuracy")],
        "first": first,
        "seconds": seconds,
        "look": look.split("\n"),
        "memory": memory_of(user),
    }


async def run(socket, source: str) -> tuple[str, str | None]:
    """Runs a cell; returns what it prints, and its error if it has one."""
    own = uuid.uuid4().hex
    header = {"msg_id": own, "msg_type": "execute_request", "username": "", "session": own, "version": "5.3"}
    content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}
    await socket.write_message(json.dumps(message))
    texts, problem = [], None
    while True:
        answer = await asyncio.wait_for(socket.read_message(), 900)
        if answer is None:
            raise SystemExit("the connection to a kernel was closed")
        if isinstance(answer, bytes):
            continue
        answer = json.loads(answer)
        if answer["parent_header"].get("msg_id") != own:
            continue
        kind, content = answer["header"]["msg_type"], answer["content"]
        if kind == "stream":
            texts.append(content["text"])
        elif kind == "error":
            problem = content.get("evalue", "")[:200]
        elif kind == "status" and content["execution_state"] == "idle":
            return "".join(texts), problem


def memory_of(user: str) -> float:
    """Sums up the memory of a user's processes in GB; what several share counts in parts (PSS)."""
    uid, total = pwd.getpwnam(user).pw_uid, 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == uid:
                text = (folder / "smaps_rollup").read_text()
                total += int(text.split("Pss:")[1].split()[0])
        except (OSError, IndexError):
            continue  # It has ended.
    return total / 1e6


def report(found: list[dict]) -> int:
    """Prints a line for each user; returns 1 if something is wrong."""
    wrong = []
    for user in found:
        print(
            f"{user['user']}: {user['cells']} cells in {user['seconds']:.0f} s, the first after {user['first']:.0f} s, "
            f"{len(user['failed'])} failed, {user['memory']:.2f} GB; {'; '.join(user['accuracy'])}"
        )
        print("    " + ", ".join(filter(None, user["look"])))
        wrong += user["failed"]
        looks = [line for line in user["look"] if line]
        if len(looks) != len(found) or any(line.endswith((": readable", ": writable")) for line in looks):
            wrong.append(f"{user['user']} can read or write what is not theirs")
    if len({tuple(user["accuracy"]) for user in found}) != 1 or not found[0]["accuracy"]:
        wrong.append("the users have different results")
    print("\n".join(wrong) or "All users have the same results, and none reads another's files.")
    return 1 if wrong else 0


if __name__ == "__main__":
    if os.geteuid() != 0 or len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1:])))
