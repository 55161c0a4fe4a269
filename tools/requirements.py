"""`make requirements`: pins all Python packages, with hashes, from `tools/*.in` to `tools/*.txt`."""

from __future__ import annotations

import environments
import project
from setup_project import find_uv, run

OPTIONS = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]


def main() -> None:
    """Compiles the set for tests first: it contains the others, which take its versions."""
    complete = project.lock_file(project.DEV).relative_to(project.ROOT)
    compile_set(project.DEV)
    compile_set(project.LEARNER, "-c", complete)
    compile_set(project.LIBTORCH_CUDA, "-c", complete)
    # Environments of their own, with the versions of the others where they need the same packages.
    for environment in environments.ALL:
        compile_set(environment.packages, "-c", complete)
    # Without its dependencies: see the comment in the file.
    compile_set(project.LIBTORCH_CPU, "--no-deps", "-c", complete)


def compile_set(packages: str, *options) -> None:
    """Writes the lock file of a set of packages."""
    target = project.lock_file(packages).relative_to(project.ROOT)
    command = [find_uv(), "pip", "compile", *OPTIONS, *options]
    run(*command, target.with_suffix(".in"), "--output-file", target)


if __name__ == "__main__":
    project.main(main)
