"""`make test`: runs all checks and tests, from formatting to notebooks in the real kernel.

Tests fail if MNIST, the ImageNet weights or the Python environment are missing. MNIST_KIT_SKIP, a
comma-separated list of `mnist`, `weights`, `python` and `gpu`, names those that may be missing.
"""

from __future__ import annotations

import os
import subprocess

import project

WORKSPACE = ["--release", "--locked", "--workspace", "--all-features"]


def main() -> int:
    """Runs the checks in order and stops at the first failure."""
    missing = check_inputs()
    for step in steps("python" not in missing):
        print("\n$ " + " ".join(step), flush=True)
        done = subprocess.run(
            step, cwd=project.ROOT, env=variables(), stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            return done.returncode
    report_skipped(missing)
    return 0


def check_inputs() -> dict[str, str]:
    """Returns the missing inputs that may be skipped; raises a Problem if others are missing.

    Checking this first saves a long compilation before the first test fails.
    """
    missing, skipped = project.missing_inputs(), project.skipped()
    required = [name for name in missing if name not in skipped]
    if required:
        lines = [f"  {name}: {missing[name]}" for name in required]
        names = ",".join(sorted({*required, *skipped}))
        raise project.Problem(
            "Inputs of the tests are missing.\n"
            + "\n".join(lines)
            + f"\nTo run only the tests that need none of them, set MNIST_KIT_SKIP={names}."
        )
    report_skipped(missing)
    return missing


def report_skipped(missing: dict[str, str]) -> None:
    """Prints which tests are left out."""
    for name, remedy in missing.items():
        print(f"SKIPPED: tests that need {name} (to run them, {remedy})", flush=True)


def steps(with_python: bool) -> list[list[str]]:
    """Lists the commands to run."""
    nextest = project.output_of("cargo", "nextest", "--version", cwd=project.ROOT) is not None
    # Skipped tests give the reason on stderr, which test runners hide by default if a test passes.
    tests = (
        ["cargo", "nextest", "run", *WORKSPACE, "--success-output", "final"]
        if nextest
        else ["cargo", "test", *WORKSPACE, "--lib", "--bins", "--tests", "--", "--show-output"]
    )
    commands = [
        ["cargo", "fmt", "--all", "--check"],
        ["cargo", "clippy", *WORKSPACE, "--all-targets", "--", "-D", "warnings"],
        ["cargo", "doc", *WORKSPACE, "--no-deps"],
        tests,
        ["cargo", "test", *WORKSPACE, "--doc"],
    ]
    if with_python:
        commands.append([str(project.python()), "tools/check_notebooks.py"])
        commands.append([str(project.python()), "-m", "pytest", "tools/tests", "-ra", "-q"])
    return commands


def variables() -> dict[str, str]:
    """Returns the environment variables of all commands."""
    # Doctests are linked without the run path that programs and other tests get.
    libraries = [str(project.LIBTORCH / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        "MNIST_KIT_PYTHON": str(project.python()),
        **os.environ,
        "RUSTDOCFLAGS": "-D warnings",
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
    }


if __name__ == "__main__":
    project.main(main)
