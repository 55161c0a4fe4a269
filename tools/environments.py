"""Python environments of their own, for what most learners do not need: grading, reports, a server.

Each is installed when a command first needs it. Imports the standard library only, because it runs
before anything is installed.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import project
import setup_project


@dataclasses.dataclass(frozen=True)
class Environment:
    """A folder in `build/` with the packages of `tools/PACKAGES.txt`."""

    packages: str
    folder: Path
    # The size of the download, for the message before it.
    size: str

    @property
    def python(self) -> Path:
        """The interpreter that has the packages."""
        return self.folder / "bin" / "python"

    def install(self) -> None:
        """Installs the packages, unless they are there."""
        if not project.unmet_pins(self.python, self.packages):
            return
        uv = setup_project.find_uv()
        if not self.python.exists():
            setup_project.run(uv, "venv", "--quiet", "--python", sys.executable, self.folder)
        file = project.lock_file(self.packages)
        print(f"installing the packages of tools/{file.name} (a download of {self.size})", flush=True)
        into = ["--quiet", "--python", self.python, "--require-hashes"]
        setup_project.run(uv, "pip", "install", *into, "-r", file)

    def enter(self) -> None:
        """Continues in the environment: runs the program again with its interpreter, if need be."""
        # Packages call their programs by name, as nbgrader calls `alembic`.
        programs = str(self.folder / "bin")
        if programs not in os.environ["PATH"].split(":"):
            os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
        if Path(sys.prefix).resolve() == self.folder.resolve():
            return
        self.install()
        os.execv(self.python, [str(self.python), *sys.argv])


# nbgrader, for teachers.
CLASSROOM = Environment("requirements-classroom", project.BUILD / "classroom", "60 MB")
# pandoc and Typst, for PDF.
REPORT = Environment("requirements-report", project.BUILD / "report", "70 MB")
# JupyterHub, for a server that a class shares.
SERVER = Environment("requirements-server", project.BUILD / "server", "70 MB")
ALL = (CLASSROOM, REPORT, SERVER)
