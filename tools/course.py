"""The command of an installation, `bin/mnist_kit`: puts the lessons into their home, opens JupyterLab.

Lessons are copied to `~/mnist_kit/notebooks`; what is there already is left alone, so that nobody
loses work. With `--hub`, continues as the server that JupyterHub starts for a user; with `--copy`,
only copies.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import project

# Not for students, who have no rights to change the installation.
SHOWN = shutil.ignore_patterns("source", "submitted", "nbgrader_config.py", "corpus.toml", ".ipynb_checkpoints", "out")


def main() -> None:
    """Copies the lessons and starts JupyterLab or the user's part of JupyterHub."""
    # Files of users are private, also where homes are open to others.
    os.umask(0o077)
    course = Path.home() / "mnist_kit"
    bring(course)
    if sys.argv[1:2] == ["--copy"]:
        return
    os.chdir(course)
    environment = Path(sys.prefix)
    os.environ.update(variables())
    if sys.argv[1:2] == ["--hub"]:
        program = environment / "bin" / "jupyterhub-singleuser"
        os.execv(program, [str(program), *sys.argv[2:]])
    program = environment / "bin" / "jupyter-lab"
    os.execv(program, [str(program), "notebooks", *sys.argv[1:]])


def bring(course: Path) -> None:
    """Copies the lessons that are missing, and links the kit, which the first cells name."""
    course.mkdir(exist_ok=True)
    course.chmod(0o700)
    kit = course / "mnist_kit"
    if kit.is_symlink():
        kit.unlink()
    kit.symlink_to(project.KIT)

    def copy(source: str, target: str) -> None:
        if not os.path.exists(target):
            shutil.copyfile(source, target)

    shutil.copytree(
        project.ROOT / "notebooks", course / "notebooks", ignore=SHOWN, copy_function=copy, dirs_exist_ok=True
    )


def variables() -> dict[str, str]:
    """Lets Jupyter find the kernel and the project's settings."""
    kernels = project.ROOT / ".venv" / "share" / "jupyter"
    ours = {"JUPYTER_PATH": kernels, "JUPYTER_CONFIG_PATH": project.JUPYTER_CONFIG}
    return {
        name: os.pathsep.join(filter(None, [str(path), os.environ.get(name, "")])) for name, path in ours.items()
    }


if __name__ == "__main__":
    project.main(main)
