"""`make setup`: prepares a fresh clone for the notebooks. Steps that are done are skipped."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import project
import template
from project import Problem


@dataclasses.dataclass
class Step:
    """One step of the set-up."""

    name: str
    action: Callable[[], str]
    # Time on two cores when nothing has been done yet; 0 for steps that take seconds.
    minutes: int = 0


# `announce` adds this to the first line of a step that has work to do.
estimate = ""


def estimate_for(planned: list[Step], number: int) -> str:
    """Tells how long a step can take, and all steps from it to the last."""
    step, left = planned[number], sum(step.minutes for step in planned[number:])
    if not step.minutes:
        return ""
    unit = "minute" if step.minutes == 1 else "minutes"
    rest = f"; the whole set-up, {left} at most" if left > step.minutes else ""
    return f" (about {step.minutes} {unit}{rest})"


def steps(with_tests: bool = False) -> list[Step]:
    """Lists the steps in order."""
    tests = [Step("packages for tests", test_packages, minutes=3)] if with_tests else []
    return [
        Step("Rust", rust),
        Step("system packages", system),
        Step("Python packages", python_environment, minutes=1),
        Step("libtorch", libtorch_package, minutes=2),
        *tests,
        Step("link to libtorch", libtorch),
        Step("Rust sources", rust_sources, minutes=1),
        Step("crates", crates, minutes=1),
        Step("evcxr", evcxr, minutes=6),
        Step("kernel template", kernel_template, minutes=4),
        Step("kernelspec", kernelspec),
    ]


def main() -> None:
    """Runs all steps in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", action="store_true", help="install what tests need as well")
    # Other users of a shared checkout can read what is installed, and nobody else writes to it.
    os.umask(0o022)
    started = time.monotonic()
    planned = steps(parser.parse_args().tests)
    for number, step in enumerate(planned):
        begun = time.monotonic()
        global estimate
        estimate = estimate_for(planned, number)
        print(f"[{number + 1}/{len(planned)}] {step.name}: ", end="", flush=True)
        result = step.action()
        print(f"{result} ({time.monotonic() - begun:.1f} s)", flush=True)
    print(f"Set-up finished in {time.monotonic() - started:.1f} s.")


def announce(text: str) -> None:
    """Prints what a step is about to do, the first time with the estimated time."""
    global estimate
    print(text + estimate, flush=True)
    estimate = ""


def run(*command: str | Path, **options) -> None:
    """Prints a command and runs it with its output visible; a failure ends the set-up."""
    print("    $ " + " ".join(str(part) for part in command), flush=True)
    subprocess.run(
        [str(part) for part in command],
        check=True,
        stdin=subprocess.DEVNULL,
        cwd=project.ROOT,
        **options,
    )


def rust() -> str:
    """Checks that Rust is installed and recent enough."""
    problem = project.rust_problem()
    if problem:
        raise Problem(problem)
    return f"{project.rust_version_found()} ({project.rust_version_needed()} or newer is needed)"


def system() -> str:
    """Checks the parts that only an administrator can install."""
    if sys.version_info < (3, 11):
        raise Problem(
            f"Python 3.11 or newer is needed. Found: {sys.version.split()[0]}.\n"
            "Name a newer interpreter, as in `make PYTHON=python3.12 setup`."
        )
    missing = missing_packages()
    if missing:
        raise Problem(
            "System packages are missing. Install them with\n"
            f"    sudo apt-get install -y {' '.join(missing)}"
        )
    return "complete"


def missing_packages() -> list[str]:
    """Lists the missing system packages by their Debian names."""
    missing = []
    if not shutil.which("c++") or not shutil.which("cc"):
        missing.append("build-essential")
    # uv makes environments without the venv module.
    if not environment_exists() and not is_pinned_uv(shutil.which("uv")):
        if project.output_of(sys.executable, "-c", "import venv, ensurepip") is None:
            missing.append("python3-venv")
    return missing


def environment_exists() -> bool:
    """Checks whether the chosen environment has an interpreter."""
    return project.python().exists()


def python_environment() -> str:
    """Installs JupyterLab and the notebook tools at the pinned versions."""
    conda = os.environ.get("CONDA_PREFIX")
    folder = project.environment()
    if not project.unmet_pins(project.python(), project.LEARNER):
        return f"complete in {folder}"
    if conda:
        announce(
            f"the active conda environment {conda} lacks packages of environment.yml; "
            f"using {folder} instead"
        )
    if not environment_exists():
        announce(f"creating {folder}")
        run(find_uv(), "venv", "--quiet", "--python", sys.executable, folder)
    install(project.LEARNER, "60 MB")
    return f"installed in {folder}"


def libtorch_package() -> str:
    """Installs libtorch: with CUDA if there is an NVIDIA driver, else its CPU part."""
    present = project.libtorch_variant()
    if project.wants_cuda():
        if present != project.LIBTORCH_CUDA:
            install(project.LIBTORCH_CUDA, "2.7 GB")
        return "with CUDA"
    if present is None:
        install(project.LIBTORCH_CPU, "0.5 GB", "--no-deps")
    # A complete libtorch stays: it works without a GPU as well, and tests need it.
    return "with CUDA" if present == project.LIBTORCH_CUDA else "CPU part of the CUDA wheel"


def test_packages() -> str:
    """Installs what tests and benchmarks compare with: PyTorch and its relatives."""
    if not project.unmet_pins(project.python(), project.DEV):
        return "complete"
    install(project.DEV, "up to 3 GB")
    return "installed"


def install(packages: str, size: str, *options: str) -> None:
    """Installs a set of packages into the environment; every file must have a known hash."""
    file = project.lock_file(packages)
    announce(f"installing the packages of tools/{file.name} (a download of {size})")
    into = ["--python", project.python(), "--require-hashes", *options]
    run(find_uv(), "pip", "install", *into, "-r", file)


def find_uv() -> Path | str:
    """Finds uv at the pinned version on PATH, or installs it into build/uv."""
    on_path = shutil.which("uv")
    if is_pinned_uv(on_path):
        return on_path
    folder = project.BUILD / "uv"
    uv = folder / "bin" / "uv"
    if not is_pinned_uv(uv):
        announce(f"installing uv {project.UV_VERSION} into {folder}")
        run(sys.executable, "-m", "venv", "--clear", folder)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
        run(*pip, "--disable-pip-version-check", f"uv=={project.UV_VERSION}")
    return uv


def is_pinned_uv(uv: Path | str | None) -> bool:
    """Checks that a path is a working uv at the pinned version.

    A `uv` on PATH can be the placeholder of a version manager that has no uv installed.
    """
    answer = project.output_of(uv, "--version") if uv else None
    return bool(answer) and answer.split()[1] == project.UV_VERSION


def libtorch() -> str:
    """Links `.libtorch`, where cargo and the kernel look, to the environment's torch package."""
    folder = project.torch_folder()
    if folder is None:
        raise Problem(
            f"The package torch is missing from {project.environment()}. "
            "Remove that folder and run `make setup` again."
        )
    link = project.LIBTORCH
    if link.resolve() == folder.resolve():
        return f"{project.torch_version()}, linked{linker_note()}"
    if link.exists() and not link.is_symlink():
        raise Problem(f"{link} is not a link. Remove it and run `make setup` again.")
    # Renaming replaces the link in one step, so a compiler at work never finds it missing.
    new = link.with_name(".libtorch.new")
    new.unlink(missing_ok=True)
    new.symlink_to(folder)
    new.replace(link)
    return f"{project.torch_version()}, linked to {folder}{linker_note()}"


def linker_note() -> str:
    """Warns if programs cannot be linked; cells are shared objects, for which every linker does."""
    return "" if project.links_programs() else f"\n    note: {project.LINKER_REMEDY}\n   "


def rust_sources() -> str:
    """Installs the sources of the standard library, from which evcxr infers types of variables.

    The set-up continues without them, because lessons write these types where they matter.
    """
    if project.rust_library():
        return "installed"
    announce("adding the component rust-src")
    if shutil.which("rustup"):
        command = ["rustup", "component", "add", "rust-src"]
        subprocess.run(command, stdin=subprocess.DEVNULL, cwd=project.ROOT, check=False)
    if project.rust_library():
        return "installed"
    return "not available; write the types of variables in cells, as in `let x: Tensor = …`"


def crates() -> str:
    """Downloads the crates of Cargo.lock for all platforms: evcxr resolves them offline."""
    fetch = ["cargo", "fetch", "--locked"]
    if project.output_of(*fetch, "--offline", cwd=project.ROOT) is not None:
        return "complete"
    announce("downloading crates")
    run(*fetch)
    return "downloaded"


def evcxr() -> str:
    """Installs evcxr_jupyter, the program of the kernel, at the pinned version.

    Where the user has cargo-binstall, it downloads the program, if a compiled one is offered.
    """
    if project.evcxr():
        return f"{project.EVCXR_VERSION}, installed"
    package = f"evcxr_jupyter@{project.EVCXR_VERSION}"
    if project.output_of("cargo", "binstall", "-V", cwd=project.ROOT) is not None:
        announce(f"looking for a compiled {package}")
        download = ["cargo", "binstall", "--no-confirm", "--disable-strategies", "compile"]
        project.output_of(*download, package, cwd=project.ROOT)
        project.evcxr.cache_clear()
    if not project.evcxr():
        announce(f"compiling {package}")
        # It is the longest step: level 1 took 336 s where level 3, on another machine, took 564 s.
        variables = {"CARGO_PROFILE_RELEASE_OPT_LEVEL": "1"} | os.environ
        run("cargo", "install", "--locked", package, env=variables)
        project.evcxr.cache_clear()
    if not project.evcxr():
        raise Problem(
            "cargo has installed evcxr_jupyter, but neither on PATH nor in the bin folder of "
            "CARGO_HOME. Unset CARGO_INSTALL_ROOT and run `make setup` again."
        )
    return f"{project.EVCXR_VERSION}, installed"


def kernel_template() -> str:
    """Compiles the build folder that every kernel starts from."""
    with template.locked():
        built = template.ensure(announce)
    return "built" if built else "up to date"


def kernelspec() -> str:
    """Registers the kernel with Jupyter: title, launcher, and evcxr's logos and editor mode."""
    folder = project.kernelspec()
    launcher = str(project.ROOT / "tools" / "kernel.py")
    wanted = {
        "argv": [str(project.python()), launcher, "{connection_file}"],
        "display_name": project.KERNEL_TITLE,
        "language": "rust",
        # evcxr handles interrupt messages; a signal would end it.
        "interrupt_mode": "message",
    } | project.installed_kernel()
    file = folder / "kernel.json"
    try:
        if json.loads(file.read_text()) == wanted:
            return f"{project.KERNEL_TITLE}, installed"
    except (OSError, ValueError):
        pass  # A missing or damaged file is written below.
    with tempfile.TemporaryDirectory() as stock:
        variables = os.environ | {"JUPYTER_PATH": stock}
        if project.output_of(project.evcxr(), "--install", env=variables) is not None:
            shutil.copytree(Path(stock) / "kernels" / "rust", folder, dirs_exist_ok=True)
    project.save(file, json.dumps(wanted, indent=2) + "\n")
    return f"{project.KERNEL_TITLE}, installed in {folder}"


if __name__ == "__main__":
    project.main(main)
