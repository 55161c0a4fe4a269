"""Paths, versions and the Python environment of the project.

Imports the standard library only, because it runs before anything is installed.
"""

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
# The packages that the project uses directly, and everything that they bring along, with hashes.
DIRECT_REQUIREMENTS = ROOT / "tools" / "requirements.in"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
# Settings of JupyterLab for the lessons, such as no pop-up that asks to fetch news.
JUPYTER_CONFIG = ROOT / "tools" / "jupyter"
EVCXR_VERSION = "0.22.0"
UV_VERSION = "0.13.9"
KERNEL_NAME = "mnist_kit"
KERNEL_TITLE = "Rust (mnist_kit)"
# The inputs of the tests that MNIST_KIT_SKIP may name.
SKIPPABLE = ("mnist", "python", "weights", "gpu")


class Problem(Exception):
    """An error that the user can fix. It is printed without a traceback."""


def output_of(*command: str | Path, **options) -> str | None:
    """Returns the standard output of a command, or None if it is missing or fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            **options,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def save(path: Path, text: str) -> None:
    """Writes a file under a temporary name and renames it, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def program() -> Path:
    """Returns the path of the release build of the program `mnist`, which may not exist yet."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release" / "mnist"


def pins() -> dict[str, str]:
    """Reads the direct Python dependencies: package name → exact version."""
    lines = (line.split("#")[0].strip() for line in DIRECT_REQUIREMENTS.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def unmet_pins(python: Path) -> dict[str, str | None]:
    """Finds the direct dependencies that an interpreter lacks or has at another version.

    Maps the name of each such package to the installed version, or to None if it is missing.
    """
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
    # The local part of a version (2.13.0+cu130) tells how the package was built.
    return {
        name: version
        for name, version in found.items()
        if (version or "").split("+")[0] != wanted[name]
    }


@functools.cache
def environment() -> Path:
    """Chooses the environment: the active conda environment if it has the pins, else `.venv`."""
    conda = os.environ.get("CONDA_PREFIX")
    if conda and not unmet_pins(Path(conda) / "bin" / "python"):
        return Path(conda)
    return ROOT / ".venv"


def python() -> Path:
    """Returns the interpreter of the environment."""
    return environment() / "bin" / "python"


def torch_folder() -> Path | None:
    """Finds the folder of the torch package in the environment."""
    ask = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    found = output_of(python(), "-c", ask)
    return Path(found) if found else None


def torch_version() -> str | None:
    """Reads the version of the libtorch that `.libtorch` links to."""
    try:
        text = (LIBTORCH / "version.py").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("__version__"):
            return line.split("'")[1]
    return None


def rust_version_needed() -> str:
    """Reads the oldest supported Rust version: `rust-version` in the workspace's Cargo.toml."""
    lines = (ROOT / "Cargo.toml").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("rust-version"))


def rust_version_found(tool: str = "rustc") -> str | None:
    """Asks rustc or cargo for its version, such as `1.95.0`; None if it cannot be run."""
    answer = output_of(tool, "--version", cwd=ROOT)
    return answer.split()[1] if answer else None


def rust_remedy() -> str:
    """Tells the user how to get a recent Rust."""
    if shutil.which("rustup"):
        return "run `rustup update stable`"
    return "install Rust with rustup (https://rustup.rs) and open a new shell"


def rust_problem() -> str | None:
    """Returns the message for a missing or outdated Rust, or None if Rust is recent enough."""
    needed, found = rust_version_needed(), rust_version_found()
    if at_least(found, needed):
        return None
    return (
        f"Rust {needed} or newer is needed. Found: {f'Rust {found}' if found else 'no Rust'}.\n"
        f"To continue, {rust_remedy()}, then repeat the command."
    )


def at_least(found: str | None, needed: str) -> bool:
    """Compares two versions by their leading numbers: 1.95.0-nightly counts as 1.95.0."""

    def numbers(version: str) -> list[int]:
        release = version.split("-")[0].split("+")[0]
        return [int(part) for part in release.split(".") if part.isdigit()]

    return found is not None and numbers(found) >= numbers(needed)


@functools.cache
def toolchain_bin() -> Path | None:
    """Finds the folder of the real rustc and cargo.

    Calling them there is faster than through rustup's proxies, which choose a toolchain each time.
    """
    sysroot = output_of("rustc", "--print", "sysroot", cwd=ROOT)
    return Path(sysroot) / "bin" if sysroot else None


@functools.cache
def rustc_version() -> str | None:
    """Returns the output of `rustc -vV`: release, commit and host."""
    folder = toolchain_bin()
    return output_of(folder / "rustc", "-vV") if folder else None


def host() -> str:
    """Returns the target triple of this machine."""
    lines = (rustc_version() or "").splitlines()
    return next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))


@functools.cache
def evcxr() -> Path | None:
    """Finds evcxr_jupyter, if `cargo install` has installed the pinned version."""
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    listed = output_of("cargo", "install", "--list", cwd=ROOT) or ""
    binary = cargo_home / "bin" / "evcxr_jupyter"
    return binary if f"evcxr_jupyter v{EVCXR_VERSION}:" in listed and binary.exists() else None


def rust_library() -> Path | None:
    """Finds the sources of the standard library, if the component rust-src is installed."""
    folder = toolchain_bin()
    if folder is None:
        return None
    library = folder.parent / "lib" / "rustlib" / "src" / "rust" / "library"
    return library if (library / "Cargo.toml").exists() else None


def kernelspec() -> Path:
    """Returns the folder of the kernelspec in the environment."""
    return environment() / "share" / "jupyter" / "kernels" / KERNEL_NAME


def skipped() -> set[str]:
    """Reads MNIST_KIT_SKIP, the comma-separated list of inputs that tests may do without."""
    listed = os.environ.get("MNIST_KIT_SKIP", "").split(",")
    names = {name.strip() for name in listed if name.strip()}
    unknown = names.difference(SKIPPABLE)
    if unknown:
        raise Problem(
            f"MNIST_KIT_SKIP names {', '.join(sorted(unknown))}. "
            f"It can name {', '.join(SKIPPABLE)}, separated by commas."
        )
    return names


def missing_inputs() -> dict[str, str]:
    """Finds the inputs of the tests that are missing: name → how to provide it."""
    remedies = {}
    if not os.environ.get("MNIST_KIT_DATA"):
        remedies["mnist"] = "set MNIST_KIT_DATA to a folder with the four files of MNIST"
    if not os.environ.get("MNIST_KIT_WEIGHTS"):
        remedies["weights"] = "set MNIST_KIT_WEIGHTS to a folder with ImageNet weights"
    if not python().exists():
        remedies["python"] = "run `make setup`"
    return remedies


def main(action) -> None:
    """Runs a tool's main function and exits with its code, or with the message of a Problem."""
    try:
        sys.exit(action())
    except Problem as problem:
        sys.exit(f"\n{problem}")
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as failed:
        command = shutil.which(failed.cmd[0]) or failed.cmd[0]
        sys.exit(f"\n{command} failed with exit code {failed.returncode}.")


if __name__ == "__main__":
    # The Makefile asks for the interpreter.
    print(python())
