"""`make formgrader`: opens JupyterLab with nbgrader's formgrader in the course folder.

Arguments are handed on to JupyterLab.
"""

from __future__ import annotations

import os
import sys

import environments
import project


def main() -> None:
    """Becomes JupyterLab, with the project's kernel."""
    environments.CLASSROOM.enter()
    from classroom import course

    kernels = project.environment() / "share" / "jupyter"
    os.environ["JUPYTER_PATH"] = f"{kernels}:{os.environ.get('JUPYTER_PATH', '')}"
    # nbgrader reads its settings in the folder where the server starts.
    os.chdir(course.COURSE)
    lab = str(environments.CLASSROOM.folder / "bin" / "jupyter-lab")
    os.execv(lab, [lab, "--LabApp.default_url=/formgrader", *sys.argv[1:]])


if __name__ == "__main__":
    project.main(main)
