"""`make hub`: starts JupyterHub for a class, in an installation made by `make install`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import environments
import project

SERVER = project.ROOT / "tools" / "server"
PROXY = project.BUILD / "proxy"


def main() -> None:
    """Installs JupyterHub and its proxy when they are missing, then becomes JupyterHub."""
    if not (project.ROOT / "rust").exists():
        raise project.Problem("A server needs an installation that others can read: see `make install`.")
    os.umask(0o022)
    environments.SERVER.install()
    install_proxy()
    if sys.argv[1:2] == ["--install"]:
        return
    # Secrets and the list of users are for the owner alone.
    state = Path(os.environ.get("MNIST_KIT_HUB_STATE") or "/var/lib/mnist_kit_hub")
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chdir(state)
    hub = environments.SERVER.folder / "bin" / "jupyterhub"
    os.execv(hub, [str(hub), "--config", str(SERVER / "jupyterhub_config.py"), *sys.argv[1:]])


def install_proxy() -> None:
    """Installs configurable-http-proxy at the versions and hashes of package-lock.json."""
    wanted = (SERVER / "package-lock.json").read_text()
    if (PROXY / "package-lock.json").exists() and (PROXY / "package-lock.json").read_text() == wanted:
        if (PROXY / "node_modules").exists():
            return
    if not shutil.which("npm"):
        raise project.Problem("JupyterHub's proxy needs Node.js. Install it with `sudo apt-get install npm`.")
    PROXY.mkdir(parents=True, exist_ok=True)
    shutil.copy(SERVER / "package.json", PROXY)
    shutil.copy(SERVER / "package-lock.json", PROXY)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=PROXY, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    project.main(main)
