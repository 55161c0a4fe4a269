"""`make doctor`: one line a part: what was found, what is wanted, what to do. Fails when something needed is missing."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

import project
import template

SETUP = "make setup"


@dataclasses.dataclass
class Part:
    """One line of the report."""

    name: str
    found: str | None
    wanted: str
    remedy: str = SETUP
    good: bool = True
    needed: bool = True

    def line(self) -> str:
        """`ok`, `note` (useful, not needed) or `MISSING`; found, wanted, and what to do unless all is well."""
        good = self.good and self.found is not None
        mark = "ok" if good else "MISSING" if self.needed else "note"
        line = f"{mark:8}{self.name:22}{self.found or 'not found'} (wanted: {self.wanted})"
        return line if good else f"{line} -> {self.remedy}"

    def stops_work(self) -> bool:
        """Whether the project cannot work without this part being put right."""
        return self.needed and not (self.good and self.found is not None)


def main() -> int:
    """Prints the report."""
    parts = report()
    for part in parts:
        print(part.line())
    broken = [part.name for part in parts if part.stops_work()]
    print(f"\nTo be put right: {', '.join(broken)}." if broken else "\nEverything that is needed is there.")
    return 1 if broken else 0


def report() -> list[Part]:
    """All parts, from the machine up to the notebooks."""
    return [*toolchain(), *python_side(), *libtorch(), *kernel(), data()]


def toolchain() -> list[Part]:
    """rustc, cargo, the standard library's sources and a C++ compiler."""
    wanted = rust_version_wanted()
    rustc = version_word(project.output_of("rustc", "--version", cwd=project.ROOT))
    cargo = version_word(project.output_of("cargo", "--version", cwd=project.ROOT))
    update = "install rustup, then: rustup update stable"
    compiler = project.output_of("c++", "--version")
    return [
        Part("rustc", rustc, f"{wanted} or newer", update, at_least(rustc, wanted)),
        Part("cargo", cargo, f"{wanted} or newer", update, at_least(cargo, wanted)),
        Part("rust-src", "installed" if project.rust_library() else None, "standard library sources", needed=False),
        Part("C++ compiler", first_line(compiler), "any with C++17", "sudo apt-get install -y build-essential"),
    ]


def python_side() -> list[Part]:
    """The interpreter, and the packages in the environment."""
    version = project.output_of(project.python(), "-c", "import platform; print(platform.python_version())")
    found = version and f"{version} in {project.environment()}"
    parts = [Part("python", found, "3.11 or newer", good=at_least(version, "3.11"))]
    wanted = project.pins()
    unmet = project.unmet_pins(project.python()) if version else dict.fromkeys(wanted)
    if unmet:
        found = ", ".join(f"{name} {have or 'missing'}" for name, have in unmet.items())
        needs = ", ".join(f"{name} {wanted[name]}" for name in unmet)
        parts.append(Part("python packages", found, needs, good=False))
    else:
        parts.append(Part("python packages", f"{len(wanted)} of {len(wanted)}", "as tools/requirements.txt"))
    return parts


def libtorch() -> list[Part]:
    """The link to torch's libraries, and whether they can use a GPU."""
    wanted = project.pins()["torch"]
    version = project.torch_version()
    cuda = project.LIBTORCH / "lib" / "libtorch_cuda.so"
    found = cuda.name if cuda.exists() else None
    good = (version or "").split("+")[0] == wanted
    return [
        Part("libtorch", version, wanted, good=good),
        Part("libtorch for CUDA", found, cuda.name, "only for a GPU: a torch wheel with CUDA", needed=False),
    ]


def kernel() -> list[Part]:
    """evcxr, the kit's own build, the template and Jupyter's description of the kernel."""
    state = template.state() if project.toolchain_bin() else "missing"
    try:
        launcher = json.loads((project.kernelspec() / "kernel.json").read_text())["argv"][1]
    except (OSError, ValueError, LookupError):
        launcher = None
    ours = str(project.ROOT / "tools" / "kernel.py")
    return [
        Part("evcxr_jupyter", project.EVCXR_VERSION if project.evcxr() else None, project.EVCXR_VERSION),
        Part("mnist_kit", "built" if project.program().exists() else None, "a release build"),
        Part("kernel template", None if state == "missing" else state, "fresh", good=state == "fresh"),
        Part("kernelspec", launcher, ours, good=launcher == ours),
    ]


def data() -> Part:
    """Where lessons will find MNIST; without it they draw digits of their own."""
    folder = os.environ.get("MNIST_KIT_DATA")
    # Of the names that the kit reads.
    names = [rf"\b{split}-{kind}[-.]idx[13]-ubyte(\.gz)?$" for split in ("train", "(t10k|test)") for kind in ("images", "labels")]

    def complete(at: Path) -> bool:
        files = [file.name for file in at.iterdir()] if at.is_dir() else []
        return all(any(re.search(name, file) for file in files) for name in names)

    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mnist_kit"
    cache = Path(os.environ.get("MNIST_KIT_CACHE") or user_cache)
    places = [Path(folder)] if folder else []
    places += [cache, *(at for at in sorted(cache.glob("*")) if at.is_dir())]
    found = next((at for at in places if complete(at)), None)
    remedy = "downloaded by the first lesson, or set MNIST_KIT_DATA to a folder with the four IDX files"
    if folder and not complete(Path(folder)):
        remedy = f"MNIST_KIT_DATA={folder} does not hold the four IDX files"
    return Part("MNIST", found and str(found), "the four IDX files", remedy, needed=False)


def rust_version_wanted() -> str:
    """The `rust-version` of Cargo.toml."""
    lines = (project.ROOT / "Cargo.toml").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("rust-version"))


def version_word(text: str | None) -> str | None:
    """`1.95.0` of `rustc 1.95.0 (…)`."""
    return text.split()[1] if text else None


def first_line(text: str | None) -> str | None:
    """The first line of a program's answer."""
    return text.splitlines()[0] if text else None


def at_least(found: str | None, wanted: str) -> bool:
    """Compares versions by their leading numbers: 1.95.0-nightly counts as 1.95.0."""

    def numbers(version: str) -> list[int]:
        return [int(part) for part in version.split("-")[0].split("+")[0].split(".") if part.isdigit()]

    return found is not None and numbers(found) >= numbers(wanted)


if __name__ == "__main__":
    project.main(main)
