"""`make doctor`: lists what is installed, what is needed and how to fix it.

Exits with 1 if something that the project needs is missing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

import project
import template


@dataclasses.dataclass
class Part:
    """One line of the report."""

    name: str
    found: str | None
    needed: str
    remedy: str = "run `make setup`"
    good: bool = True
    required: bool = True

    def line(self) -> str:
        """Formats the part as `ok`, `note` (optional) or `MISSING`, with the remedy if needed."""
        good = self.good and self.found is not None
        mark = "ok" if good else "MISSING" if self.required else "note"
        need = f"{'needed' if self.required else 'optional'}: {self.needed}"
        line = f"{mark:8}{self.name:22}{self.found or 'not found'} ({need})"
        return line if good else f"{line} -> {self.remedy}"

    def is_broken(self) -> bool:
        """Returns True if the project cannot work until this part is fixed."""
        return self.required and not (self.good and self.found is not None)


def main() -> int:
    """Prints the report."""
    parts = report()
    for part in parts:
        print(part.line())
    broken = [part.name for part in parts if part.is_broken()]
    print(f"\nTo fix: {', '.join(broken)}." if broken else "\nEverything needed is installed.")
    return 1 if broken else 0


def report() -> list[Part]:
    """Collects all parts, from Rust to the data."""
    return [*toolchain(), *python_side(), *libtorch(), *kernel(), program(), data()]


def toolchain() -> list[Part]:
    """Checks rustc, cargo, the standard library's sources and the C++ compiler."""
    version = project.rust_version_needed()
    parts = []
    for tool in ("rustc", "cargo"):
        found = project.rust_version_found(tool)
        good = project.at_least(found, version)
        parts.append(Part(tool, found, f"{version} or newer", project.rust_remedy(), good))
    sources = "installed" if project.rust_library() else None
    compiler = project.output_of("c++", "--version")
    install = "run `sudo apt-get install -y build-essential`"
    return [
        *parts,
        Part("rust-src", sources, "standard library sources", required=False),
        Part("C++ compiler", first_line(compiler), "any with C++17", install),
    ]


def python_side() -> list[Part]:
    """Checks the interpreter and the packages of the Python environment."""
    ask = "import platform; print(platform.python_version())"
    version = project.output_of(project.python(), "-c", ask)
    found = version and f"{version} in {project.environment()}"
    good = project.at_least(version, "3.11")
    pins = project.pins(project.LEARNER)
    unmet = project.unmet_pins(project.python(), project.LEARNER)
    if unmet:
        have = ", ".join(f"{name} {version or 'missing'}" for name, version in unmet.items())
        needed = ", ".join(f"{name} {pins[name]}" for name in unmet)
        packages = Part("Python packages", have, needed, good=False)
    else:
        counted = f"{len(pins)} of {len(pins)}"
        packages = Part("Python packages", counted, "those of tools/requirements.in")
    return [Part("Python", found, "3.11 or newer", good=good), packages]


def libtorch() -> list[Part]:
    """Checks the link to torch's libraries, their variant, and what tests need beyond them."""
    needed = project.pins(project.LIBTORCH_CPU)["torch"]
    version = project.torch_version()
    variants = {
        project.LIBTORCH_CUDA: "complete, with CUDA",
        project.LIBTORCH_CPU: "CPU part of the CUDA wheel",
    }
    variant = project.libtorch_variant()
    cuda = project.wants_cuda()
    remedy = "run `make setup`; MNIST_KIT_CUDA=0 or 1 overrides the choice"
    links = "works" if version and project.links_programs() else None
    tests = project.unmet_pins(project.python(), project.DEV)
    return [
        Part("libtorch", version, needed, good=(version or "").split("+")[0] == needed),
        Part(
            "libtorch variant",
            variants.get(variant),
            "with CUDA, because of the driver or MNIST_KIT_CUDA" if cuda else "the CPU part",
            remedy,
            good=variant == project.LIBTORCH_CUDA or not cuda,
        ),
        Part(
            "linking programs",
            links,
            "for the program and for tests",
            project.LINKER_REMEDY,
            required=False,
        ),
        Part(
            "packages for tests",
            None if tests else "complete",
            "PyTorch and others, for `make test` and `make bench`",
            "`make test` installs them",
            required=False,
        ),
    ]


def kernel() -> list[Part]:
    """Checks evcxr, the kernel template and the kernelspec."""
    state = template.state() if project.toolchain_bin() else "missing"
    found = None if state == "missing" else state
    try:
        launcher = json.loads((project.kernelspec() / "kernel.json").read_text())["argv"][1]
    except (OSError, ValueError, LookupError):
        launcher = None
    ours = str(project.ROOT / "tools" / "kernel.py")
    evcxr = project.EVCXR_VERSION
    return [
        Part("evcxr_jupyter", evcxr if project.evcxr() else None, evcxr),
        Part("kernel template", found, "fresh", good=state == "fresh"),
        Part("kernelspec", launcher, ours, good=launcher == ours),
    ]


def program() -> Part:
    """Checks the program `mnist`, which notebooks do not need."""
    found = "built" if project.program().exists() else None
    build = "run `cargo build --release --locked -p mnist_kit_cli`"
    return Part("program mnist", found, "a release build", build, required=False)


def data() -> Part:
    """Looks for MNIST where the kit does. Without it, lessons draw digits of their own."""
    folder = os.environ.get("MNIST_KIT_DATA")
    # The kit accepts these spellings of the four names.
    names = [
        rf"\b{split}-{kind}[-.]idx[13]-ubyte(\.gz)?$"
        for split in ("train", "(t10k|test)")
        for kind in ("images", "labels")
    ]

    def complete(at: Path) -> bool:
        files = [file.name for file in at.iterdir()] if at.is_dir() else []
        return all(any(re.search(name, file) for file in files) for name in names)

    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mnist_kit"
    cache = Path(os.environ.get("MNIST_KIT_CACHE") or user_cache)
    places = [Path(folder)] if folder else []
    places += [cache, *(at for at in sorted(cache.glob("*")) if at.is_dir())]
    found = next((at for at in places if complete(at)), None)
    remedy = (
        "the first lesson downloads it; "
        "or set MNIST_KIT_DATA to a folder with the four IDX files"
    )
    if folder and not complete(Path(folder)):
        remedy = f"put the four IDX files into MNIST_KIT_DATA={folder}, or unset the variable"
    return Part("MNIST", found and str(found), "the four IDX files", remedy, required=False)


def first_line(text: str | None) -> str | None:
    """Returns the first line of a text, or None if there is no text."""
    return text.splitlines()[0] if text else None


if __name__ == "__main__":
    project.main(main)
