"""`make install PREFIX=/opt/mnist_kit`: an installation that many users share.

PREFIX gets the kit and its tools, the Python environment, the Rust toolchain (`rust/`), the crates
(`cargo/`), the compiled kernel template and the kernelspec. Its owner writes there, all others only
read: their kernels work in their own homes. Solutions of assignments are not copied.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import project

# Left out: what the set-up makes anew, files of one user, and solutions.
LEFT_OUT = (".git", ".venv", ".libtorch", "build", "target", "out", "data", "source", "submitted", "corpus.toml")
CACHES = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".ipynb_checkpoints", "node_modules")
# Variables by which a network that needs them reaches the registries.
NETWORK = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CARGO_HTTP_CAINFO", "PIP_INDEX_URL", "UV_DEFAULT_INDEX")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main() -> None:
    """Copies the checkout and the toolchain, then runs the set-up in the copy."""
    if len(sys.argv) != 2 or not sys.argv[1]:
        raise project.Problem("Name a folder, as in `sudo make install PREFIX=/opt/mnist_kit`.")
    prefix = Path(sys.argv[1]).resolve()
    check(prefix)
    os.umask(0o022)
    print(f"copying the kit to {prefix}", flush=True)
    copy_checkout(prefix)
    copy_toolchain(prefix)
    copy_programs(prefix)
    setup = [sys.executable, str(prefix / "tools" / "setup_project.py")]
    subprocess.run(setup, check=True, cwd=prefix, env=variables(prefix), stdin=subprocess.DEVNULL)
    open_for_all(prefix)
    print(
        f"Installed in {prefix}. `{prefix}/bin/mnist_kit` opens the lessons for whoever runs it; "
        f"`make -C {prefix} hub` starts a server for a class (docs/TEACHING.md)."
    )


def check(prefix: Path) -> None:
    """Refuses what other users could not read.

    # Errors
    Problem if Rust is missing, the folder belongs to something else, or a folder above it or the
    interpreter is closed to others.
    """
    problem = project.rust_problem()
    if problem:
        raise project.Problem(problem)
    if prefix == project.ROOT or project.ROOT.is_relative_to(prefix) or prefix.is_relative_to(project.ROOT):
        raise project.Problem(f"{prefix} overlaps with this checkout. Name another folder.")
    if prefix.exists() and any(prefix.iterdir()) and not (prefix / "rust").exists():
        raise project.Problem(f"{prefix} is not empty and no earlier installation. Name another folder.")
    closed = closed_to_others(prefix.parent)
    if closed:
        raise project.Problem(f"Other users cannot enter {closed}, so they could not use {prefix}. Name another folder.")
    interpreter = Path(sys.executable).resolve()
    closed = closed_to_others(interpreter)
    if closed:
        raise project.Problem(
            f"Other users cannot read {closed}, and Python is {interpreter}. "
            f"Use one of the system: `make install PYTHON=/usr/bin/python3 PREFIX={prefix}`."
        )


def closed_to_others(path: Path) -> Path | None:
    """Returns the first folder above a path, or the path itself, that others cannot enter or read."""
    for part in (*reversed(path.parents), path):
        if part.exists() and not part.stat().st_mode & stat.S_IXOTH:
            return part
    return None


def copy_checkout(prefix: Path) -> None:
    """Copies the sources with their times, which cargo goes by."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        here = Path(folder)
        out = CACHES(folder, names)
        if here in (project.ROOT, project.ROOT / "notebooks" / "assignments"):
            out |= set(LEFT_OUT) & set(names)
        return out

    shutil.copytree(project.ROOT, prefix, ignore=ignored, symlinks=True, dirs_exist_ok=True)
    launcher = prefix / "bin" / "mnist_kit"
    project.save(launcher, f'#!/bin/sh\nexec "{prefix}/.venv/bin/python" "{prefix}/tools/course.py" "$@"\n')
    launcher.chmod(0o755)


def copy_toolchain(prefix: Path) -> None:
    """Copies Rust without its documentation: other users cannot read the home of who installs."""
    source = project.toolchain_bin().parent
    target = prefix / "rust"
    version = project.output_of(target / "bin" / "rustc", "-vV")
    if version == project.rustc_version():
        return
    print(f"copying the Rust toolchain {source}", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("share"), symlinks=True)


def copy_programs(prefix: Path) -> None:
    """Takes evcxr and uv along where they are compiled or downloaded already."""
    evcxr = project.evcxr()
    if evcxr:
        (prefix / "cargo" / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy2(evcxr, prefix / "cargo" / "bin")
        # cargo's list of what it has installed, by which the set-up knows the version.
        shutil.copy2(evcxr.parent.parent / ".crates.toml", prefix / "cargo")
    uv = project.BUILD / "uv" / "bin" / "uv"
    if uv.exists():
        (prefix / "build" / "uv" / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy2(uv, prefix / "build" / "uv" / "bin")


def variables(prefix: Path) -> dict[str, str]:
    """The environment of the set-up: nothing from the home of who installs but its caches."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("HOME", "LANG", "TERM") or name.lower().endswith("_proxy") or name in NETWORK
    }
    path = f"{prefix}/rust/bin:{prefix}/cargo/bin:{SYSTEM_PATH}"
    cuda = {"MNIST_KIT_CUDA": os.environ.get("MNIST_KIT_CUDA", "")}
    return {**kept, **cuda, "PATH": path, "CARGO_HOME": str(prefix / "cargo")}


def open_for_all(prefix: Path) -> None:
    """Lets every user read, and nobody but the owner write."""
    for folder, folders, files in os.walk(prefix):
        for name in (*folders, *files, "."):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            mode = os.stat(path).st_mode
            executable = stat.S_ISDIR(mode) or mode & stat.S_IXUSR
            wanted = 0o755 if executable else 0o644
            if stat.S_IMODE(mode) != wanted:
                os.chmod(path, wanted)


if __name__ == "__main__":
    project.main(main)
