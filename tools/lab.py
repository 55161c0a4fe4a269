"""`make lab`: opens the lessons in JupyterLab, and starts a standby kernel in the background."""

from __future__ import annotations

import os
import sys

import lab_server
import project
import standby


def main() -> None:
    """Starts the standby, then JupyterLab in this process."""
    notebooks = project.ROOT / "notebooks"
    os.environ[standby.OWNER] = str(os.getpid())
    paths = [str(project.JUPYTER_CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    os.chdir(notebooks)
    key = standby.key()
    if key:
        standby.prepare(key)
    lab_server.start(sys.argv[1:])


if __name__ == "__main__":
    project.main(main)
