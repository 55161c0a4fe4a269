"""`make test`: every check and test, from the format of the code to notebooks in the real kernel."""

from __future__ import annotations

import os
import subprocess

import project


def main() -> int:
    """Runs the checks in order, and stops at the first that fails."""
    nextest = project.output_of("cargo", "nextest", "--version", cwd=project.ROOT) is not None
    everything = ["--release", "--all-features"]
    # Tests that are skipped say why on stderr, which test runners show for failures alone.
    tests = (
        ["cargo", "nextest", "run", *everything, "--success-output", "final"]
        if nextest
        else ["cargo", "test", *everything, "--lib", "--bins", "--tests", "--", "--show-output"]
    )
    # Examples in the documentation are linked without the run path that programs and tests get.
    libraries = f"{project.LIBTORCH / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    variables = os.environ | {"RUSTDOCFLAGS": "-D warnings", "LD_LIBRARY_PATH": libraries}
    steps = [
        ["cargo", "fmt", "--check"],
        ["cargo", "clippy", *everything, "--all-targets", "--", "-D", "warnings"],
        ["cargo", "doc", *everything, "--no-deps"],
        tests,
        ["cargo", "test", *everything, "--doc"],
        [str(project.python()), "-m", "pytest", "tools/tests", "-ra", "-q"],
    ]
    for step in steps:
        print("\n$ " + " ".join(step), flush=True)
        code = subprocess.run(step, cwd=project.ROOT, env=variables, stdin=subprocess.DEVNULL).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    project.main(main)
