"""`make lab`: opens the lessons in JupyterLab, and starts a standby kernel in the background."""

from __future__ import annotations

import os
import sys

import project
import standby


def main() -> None:
    """Starts the standby, and becomes JupyterLab."""
    notebooks = project.ROOT / "notebooks"
    os.environ[standby.OWNER] = str(os.getpid())
    paths = [str(project.JUPYTER_CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    os.chdir(notebooks)
    key = standby.key()
    if key:
        standby.prepare(key)
    arguments = [sys.executable, "-m", "jupyterlab"]
    # JupyterLab refuses an option that is given twice.
    if not any(argument.startswith("--ServerApp.root_dir") for argument in sys.argv):
        arguments.append(f"--ServerApp.root_dir={notebooks}")
    if os.geteuid() == 0:
        arguments.append("--allow-root")
    os.execv(sys.executable, [*arguments, *sys.argv[1:]])


if __name__ == "__main__":
    project.main(main)
