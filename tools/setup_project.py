"""`make setup`: from a fresh clone to a kernel that answers. Every step is skipped when its work is already done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import project
import template
from project import Problem


def main() -> None:
    """All steps in order."""
    started = time.monotonic()
    steps = [
        ("system", system),
        ("python environment", python_environment),
        ("libtorch", libtorch),
        ("rust sources", rust_sources),
        ("evcxr", evcxr),
        ("mnist_kit", kit),
        ("kernel template", kernel_template),
        ("kernelspec", kernelspec),
    ]
    for number, (name, step) in enumerate(steps, 1):
        begun = time.monotonic()
        print(f"[{number}/{len(steps)}] {name}: ", end="", flush=True)
        result = step()
        print(f"{result} ({time.monotonic() - begun:.1f} s)", flush=True)
    print(f"Set up in {time.monotonic() - started:.1f} s.")


def announce(text: str) -> None:
    """Says what a step is about to do, on a line of its own, before its progress."""
    print(text, flush=True)


def run(*command: str | Path, **options) -> None:
    """Runs a command whose output the reader sees, and ends the set-up when it fails."""
    print("    $ " + " ".join(str(part) for part in command), flush=True)
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL, cwd=project.ROOT, **options)


def system() -> str:
    """What only the machine's owner can install."""
    if sys.version_info < (3, 11):
        raise Problem(f"Python {sys.version.split()[0]} is too old: 3.11 or newer is needed (`make PYTHON=python3.12 setup`).")
    if project.toolchain_bin() is None:
        raise Problem("Rust is missing: install it with rustup, open a new shell and run `make setup` again.")
    missing = missing_packages()
    if missing:
        raise Problem(f"System packages are missing. Install them with\n    sudo apt-get install -y {' '.join(missing)}")
    return "complete"


def missing_packages() -> list[str]:
    """Debian's names of the system packages that are needed and not there."""
    missing = []
    if not shutil.which("c++") or not shutil.which("cc"):
        missing.append("build-essential")
    if not environment_exists() and not shutil.which("uv") and project.output_of(sys.executable, "-c", "import venv, ensurepip") is None:
        missing.append("python3-venv")
    return missing


def environment_exists() -> bool:
    """Whether the environment in use has an interpreter."""
    return project.python().exists()


def python_environment() -> str:
    """JupyterLab, the notebook tools and torch, at the pinned versions."""
    conda = os.environ.get("CONDA_PREFIX")
    where = project.environment()
    if not project.unmet_pins(project.python()):
        return f"complete in {where}"
    if conda:
        announce(f"the activated conda environment was not made from environment.yml ({conda}): using {where} instead.")
    uv = find_uv()
    if not environment_exists():
        announce(f"making {where}")
        run(uv, "venv", "--quiet", "--python", sys.executable, where)
    announce("installing the packages of tools/requirements.txt: some gigabytes the first time")
    run(uv, "pip", "install", "--python", project.python(), "-r", project.REQUIREMENTS)
    return f"installed in {where}"


def find_uv() -> Path | str:
    """uv from PATH, or from a small environment of its own under build/."""
    found = shutil.which("uv")
    # A name on PATH may be a version manager's stand-in that knows no uv.
    if found and project.output_of(found, "--version"):
        return found
    own = project.BUILD / "uv"
    if not (own / "bin" / "uv").exists():
        announce(f"installing uv in {own}")
        run(sys.executable, "-m", "venv", own)
        run(own / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    return own / "bin" / "uv"


def libtorch() -> str:
    """`.libtorch` links to the environment's torch package, where cargo and the kernel look for it."""
    folder = project.torch_folder()
    if folder is None:
        raise Problem(f"torch is missing from {project.environment()}: remove that folder and run `make setup` again.")
    link = project.LIBTORCH
    if link.resolve() == folder.resolve():
        return f"{project.torch_version()}, linked"
    if link.exists() and not link.is_symlink():
        raise Problem(f"{link} is in the way: remove it and run `make setup` again.")
    # Renamed into place: a compilation that runs meanwhile sees the old link or the new one.
    new = link.with_name(".libtorch.new")
    new.unlink(missing_ok=True)
    new.symlink_to(folder)
    new.replace(link)
    return f"{project.torch_version()}, linked to {folder}"


def rust_sources() -> str:
    """The standard library's sources, from which the kernel infers the types of variables.

    A machine that cannot get them is told and goes on: lessons say their types where it matters.
    """
    if project.rust_library():
        return "rust-src, installed"
    announce("adding rust-src, from which the kernel knows the types of variables")
    if shutil.which("rustup"):
        subprocess.run(["rustup", "component", "add", "rust-src"], stdin=subprocess.DEVNULL, check=False)
    if project.rust_library():
        return "rust-src installed"
    return "NOT available: a variable in a cell needs its type written, as in `let x: Tensor = …`"


def evcxr() -> str:
    """The kernel's program, from crates.io, with the versions its authors locked."""
    if project.evcxr():
        return f"{project.EVCXR_VERSION}, installed"
    announce(f"compiling evcxr_jupyter {project.EVCXR_VERSION}: some minutes")
    # The project's own target folder and flags are no business of this build.
    run("cargo", "install", "--locked", "evcxr_jupyter", "--version", project.EVCXR_VERSION)
    project.evcxr.cache_clear()
    if not project.evcxr():
        raise Problem("cargo installed evcxr_jupyter where it was not found again: is CARGO_INSTALL_ROOT set?")
    return f"{project.EVCXR_VERSION} installed"


def kit() -> str:
    """The crate and its program, in release; and all crates of the lock file, which evcxr asks for on every platform."""
    if project.output_of("cargo", "fetch", "--offline", cwd=project.ROOT) is None:
        announce("downloading crates")
        run("cargo", "fetch")
    announce("compiling what changed")
    run("cargo", "build", "--release")
    return "built"


def kernel_template() -> str:
    """The warmed build folder that every kernel starts from."""
    with template.locked():
        built = template.ensure(announce)
    return "built" if built else "fresh"


def kernelspec() -> str:
    """Tells Jupyter about the kernel: title, launcher and evcxr's pictures and editor mode."""
    folder = project.kernelspec()
    wanted = {
        "argv": [str(project.python()), str(project.ROOT / "tools" / "kernel.py"), "{connection_file}"],
        "display_name": project.KERNEL_TITLE,
        "language": "rust",
        # evcxr takes interrupts as messages; a signal would end it.
        "interrupt_mode": "message",
    }
    file = folder / "kernel.json"
    try:
        if json.loads(file.read_text()) == wanted:
            return f"{project.KERNEL_TITLE}, installed"
    except (OSError, ValueError):
        pass  # Missing or damaged: written anew.
    with tempfile.TemporaryDirectory() as stock:
        done = project.output_of(project.evcxr(), "--install", env=os.environ | {"JUPYTER_PATH": stock})
        if done is not None:
            shutil.copytree(Path(stock) / "kernels" / "rust", folder, dirs_exist_ok=True)
    project.save(file, json.dumps(wanted, indent=2) + "\n")
    return f"{project.KERNEL_TITLE}, installed in {folder}"


if __name__ == "__main__":
    project.main(main)
