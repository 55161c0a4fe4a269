"""Paths, versions and the Python environment of the project.

Imports the standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
KIT = ROOT / "mnist_kit"
LIBTORCH = ROOT / ".libtorch"
# Settings of JupyterLab for the lessons, such as no pop-up that asks to fetch news.
JUPYTER_CONFIG = ROOT / "tools" / "jupyter"
# Sets of Python packages. `tools/NAME.in` lists the packages that the project uses directly,
# `tools/NAME.txt` these and everything that they need, with hashes.
LEARNER = "requirements"
LIBTORCH_CPU = "requirements-libtorch-cpu"
LIBTORCH_CUDA = "requirements-libtorch-cuda"
DEV = "requirements-dev"
# Files that exist where an NVIDIA driver is loaded; the last one belongs to WSL.
NVIDIA_DRIVER = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1")
EVCXR_VERSION = "0.22.0"
UV_VERSION = "0.13.9"
KERNEL_NAME = "mnist_kit"
KERNEL_TITLE = "Rust (mnist_kit)"
# The inputs of the tests that MNIST_KIT_SKIP may name.
SKIPPABLE = ("mnist", "python", "weights", "gpu")

LINKER_REMEDY = (
    "the linker cannot link programs, because it looks for all of CUDA's libraries. "
    "Notebooks work. For the program `mnist`, use lld, Rust's default linker, or run `MNIST_KIT_CUDA=1 make setup`"
)

# The beginning of the name of a file that is being written, also in the crate's files.rs.
PARTIAL = ".partial-"
# Errors of a disk that is full, read-only or damaged.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


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
    """Writes a file as a whole or not at all, even if the process is killed or the power fails.

    Removes what a writer that was killed has left in the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=PARTIAL, dir=path.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            # Tells others that the writer lives; some file systems have no locks.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Temporary files are private by default.
            os.fchmod(descriptor, 0o666 & ~umask())
            file.write(text)
            file.flush()
            os.fsync(descriptor)
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Removes the unfinished files of writers that have ended, as far as that is possible."""
    for path in folder.glob(PARTIAL + "*"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Waits until the names of the files in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def umask() -> int:
    """Returns the permissions that new files do not get."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def program() -> Path:
    """Returns the path of the release build of the program `mnist`, which may not exist yet."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release" / "mnist"


def built(name: str, command: str, *options: str) -> str:
    """Builds a benchmark or a test of the crate with cargo, and returns the path of its program."""
    build = ["cargo", command, "--locked", "-p", "mnist_kit", "--no-run", *options]
    # cargo's progress goes to stderr, where the user sees it.
    done = subprocess.run(
        [*build, "--message-format", "json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return message["executable"]
    raise Problem(f"cargo has built no program named {name}: see mnist_kit/Cargo.toml")


def lock_file(packages: str) -> Path:
    """Returns the file that lists a set of Python packages with versions and hashes."""
    return ROOT / "tools" / f"{packages}.txt"


def pins(packages: str) -> dict[str, str]:
    """Reads the direct dependencies of a set of packages: name → exact version."""
    found = {}
    for line in (ROOT / "tools" / f"{packages}.in").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            found |= pins(line.removeprefix("-r ").removesuffix(".in"))
        elif line:
            name, version = line.split("==")
            found[name] = version
    return found


def unmet_pins(python: Path, packages: str) -> dict[str, str | None]:
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
    wanted = pins(packages)
    answer = output_of(python, "-c", ask, *wanted)
    found = json.loads(answer) if answer else dict.fromkeys(wanted)
    # The local part of a version (2.13.0+cu130) tells how the package was built.
    return {
        name: version
        for name, version in found.items()
        if (version or "").split("+")[0] != wanted[name]
    }


def wants_cuda() -> bool:
    """Decides whether libtorch comes with CUDA: MNIST_KIT_CUDA, else whether there is a driver."""
    chosen = os.environ.get("MNIST_KIT_CUDA", "")
    if chosen not in ("", "0", "1"):
        raise Problem(f"MNIST_KIT_CUDA is {chosen}. Set it to 0 or 1, or unset it.")
    return chosen == "1" or not chosen and any(Path(file).exists() for file in NVIDIA_DRIVER)


def libtorch_variant() -> str | None:
    """Tells which libtorch is in the environment: LIBTORCH_CUDA, LIBTORCH_CPU or None."""
    variants = (LIBTORCH_CUDA, LIBTORCH_CPU)
    return next((name for name in variants if not unmet_pins(python(), name)), None)


@functools.cache
def links_programs() -> bool:
    """Tests whether the linker can link programs, and not only cells, to the installed libtorch.

    GNU ld looks for everything that libtorch_cuda.so needs, which is left out without a GPU. lld,
    the default linker of Rust on x86-64, does not.
    """
    linked = ["-Wl,--no-as-needed", "-ltorch_cuda", "-ltorch_cpu", "-lc10"]
    flags = [f"-Clink-arg=-L{LIBTORCH / 'lib'}", *(f"-Clink-arg={flag}" for flag in linked)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "program.rs"
        source.write_text("fn main() {}")
        flags += shlex.split(os.environ.get("RUSTFLAGS", ""))
        return output_of("rustc", source, *flags, "--out-dir", folder, cwd=ROOT) is not None


@functools.cache
def environment() -> Path:
    """Chooses the environment: the active conda environment if it has the learner's pins, else `.venv`."""
    conda = os.environ.get("CONDA_PREFIX")
    if conda and not unmet_pins(Path(conda) / "bin" / "python", LEARNER):
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
    """Finds evcxr_jupyter at the pinned version, on PATH or where cargo installs programs.

    The program does not tell its version; cargo and cargo-binstall note it beside the bin folder.
    """
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    on_path = shutil.which("evcxr_jupyter")
    binaries = [Path(on_path)] if on_path else []
    binaries.append(cargo_home / "bin" / "evcxr_jupyter")
    for binary in binaries:
        try:
            installed = (binary.parent.parent / ".crates.toml").read_text()
        except OSError:
            continue
        if f'"evcxr_jupyter {EVCXR_VERSION} (' in installed and os.access(binary, os.X_OK):
            return binary
    return None


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


def installed_kernel() -> dict:
    """Returns what the kernelspec adds in an installation (install.py): its own Rust and crates.

    Jupyter replaces `${PATH}` when a kernel starts.
    """
    rust, cargo = ROOT / "rust", ROOT / "cargo"
    if not rust.exists():
        return {}
    return {"env": {"PATH": f"{rust}/bin:{cargo}/bin:${{PATH}}", "CARGO_HOME": str(cargo)}}


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


def disk_problem(error: OSError) -> str | None:
    """Returns the line that says what the disk refused, or None for another error."""
    # shutil collects the errors of a copied folder.
    several = isinstance(error, shutil.Error) and isinstance(error.args[0], list)
    causes = [str(reason) for *_, reason in error.args[0]] if several else [str(error)]
    marks = [f"[Errno {number}]" for number in DISK_ERRORS]
    return next((cause for cause in causes if any(mark in cause for mark in marks)), None)


def main(action) -> None:
    """Runs a tool's main function and exits with its code, or with the message of a Problem."""
    try:
        sys.exit(action())
    except Problem as problem:
        sys.exit(f"\n{problem}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        cause = disk_problem(error)
        if cause is None:
            raise
        sys.exit(f"\n{cause}\nMake room on the disk, or see that it can be written to. Then repeat the command.")
    except subprocess.CalledProcessError as failed:
        command = shutil.which(failed.cmd[0]) or failed.cmd[0]
        sys.exit(f"\n{command} failed with exit code {failed.returncode}.")


if __name__ == "__main__":
    # The Makefile asks for the interpreter.
    print(python())
