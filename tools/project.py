"""The project's places, versions and environment. Standard library only: runs before anything is installed."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
KIT = ROOT / "mnist_kit"
LIBTORCH = ROOT / ".libtorch"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
EVCXR_VERSION = "0.22.0"
KERNEL_NAME = "mnist_kit"
KERNEL_TITLE = "Rust (mnist_kit)"


class Problem(Exception):
    """Something that the reader of the message can put right; printed without a traceback."""


def output_of(*command: str | Path, **options) -> str | None:
    """The standard output of a command, or None when it is missing or fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def save(path: Path, text: str) -> None:
    """Writes aside and renames: nobody sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def program() -> Path:
    """Where cargo puts the release build of `mnist`."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release" / "mnist"


def pins() -> dict[str, str]:
    """The Python packages that the project needs, name → exact version."""
    lines = (line.split("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def unmet_pins(python: Path) -> dict[str, str | None]:
    """The pinned packages that an interpreter lacks or has at another version: name → what it has."""
    ask = (
        "import importlib.metadata as m, json, sys\n"
        "def version(name):\n"
        "    try: return m.version(name)\n"
        "    except m.PackageNotFoundError: return None\n"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    wanted = pins()
    answer = output_of(python, "-c", ask, *wanted)
    found = json.loads(answer) if answer else dict.fromkeys(wanted)
    # A local part (2.13.0+cu130) says how a package was built, not which version it is.
    return {name: have for name, have in found.items() if (have or "").split("+")[0] != wanted[name]}


@functools.cache
def environment() -> Path:
    """The Python environment in use: the activated conda environment if it has the pins, else `.venv`."""
    conda = os.environ.get("CONDA_PREFIX")
    if conda and not unmet_pins(Path(conda) / "bin" / "python"):
        return Path(conda)
    return ROOT / ".venv"


def python() -> Path:
    """The environment's interpreter."""
    return environment() / "bin" / "python"


def torch_folder() -> Path | None:
    """The folder of the environment's torch package."""
    ask = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    found = output_of(python(), "-c", ask)
    return Path(found) if found else None


def torch_version() -> str | None:
    """The version of the libtorch that `.libtorch` links to."""
    try:
        text = (LIBTORCH / "version.py").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("__version__"):
            return line.split("'")[1]
    return None


@functools.cache
def toolchain_bin() -> Path | None:
    """The folder of the real rustc and cargo: rustup's stand-ins look the toolchain up at every call."""
    sysroot = output_of("rustc", "--print", "sysroot", cwd=ROOT)
    return Path(sysroot) / "bin" if sysroot else None


@functools.cache
def rustc_version() -> str | None:
    """`rustc -vV`: release, commit and host."""
    folder = toolchain_bin()
    return output_of(folder / "rustc", "-vV") if folder else None


def host() -> str:
    """The target triple that this machine compiles for."""
    lines = (rustc_version() or "").splitlines()
    return next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))


@functools.cache
def evcxr() -> Path | None:
    """evcxr_jupyter at the wanted version, as `cargo install` recorded it."""
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    listed = output_of("cargo", "install", "--list", cwd=ROOT) or ""
    binary = cargo_home / "bin" / "evcxr_jupyter"
    return binary if f"evcxr_jupyter v{EVCXR_VERSION}:" in listed and binary.exists() else None


def rust_library() -> Path | None:
    """The sources of the standard library, where rustup has installed them."""
    folder = toolchain_bin()
    library = folder.parent / "lib" / "rustlib" / "src" / "rust" / "library" if folder else None
    return library if library and (library / "Cargo.toml").exists() else None


def kernelspec() -> Path:
    """Where the environment keeps the description of the project's kernel."""
    return environment() / "share" / "jupyter" / "kernels" / KERNEL_NAME


def main(action) -> None:
    """Runs a tool's main function, and ends the process with its exit code or with a Problem's message."""
    try:
        sys.exit(action())
    except Problem as problem:
        sys.exit(f"\n{problem}")
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as failed:
        sys.exit(f"\n{shutil.which(failed.cmd[0]) or failed.cmd[0]} ended with exit code {failed.returncode}.")


if __name__ == "__main__":
    # For the Makefile.
    print(python())
