"""The kernel template: a build folder with all dependencies of a cell, copied for each kernel.

`build/kernel/` holds
    .cargo/config.toml   compiler settings, which cargo finds from the folders below
    config/evcxr.toml    settings of evcxr, and the code that it runs before the first cell
    template/            the package of a cell, as evcxr writes it, compiled
    live/<kernel>/       a copy of the template for each running kernel (see kernel.py)
    library/             sources of the standard library, for the types of variables
    lock                 locked while the template is checked, built or copied
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import project

FOLDER = project.BUILD / "kernel"
TEMPLATE = FOLDER / "template"
LIVE = FOLDER / "live"
FINGERPRINT = TEMPLATE / "fingerprint.json"
RUST_SOURCES = FOLDER / "library"

# Exactly the text that evcxr writes for a cell: if it differs, cargo compiles everything again.
CARGO_TOML = """
[package]
name = "ctx"
version = "1.0.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]
path = "src/lib.rs"

[profile.dev]
opt-level = {opt_level}
debug = false
strip = "debuginfo"
rpath = true
lto = false
debug-assertions = true
codegen-units = 16
panic = 'unwind'
incremental = true
overflow-checks = true

[dependencies]
mnist_kit = {{ path = "{kit}" }}

"""

# Settings in a folder above a package override those in its Cargo.toml. A panic can name its line
# with line tables for the cell. `opt-level` is set for dependencies only, so `:opt` in a notebook
# still works and does not compile them again.
CARGO_CONFIG = """\
[profile.dev]
debug = "line-tables-only"
strip = "none"

[profile.dev.package."*"]
opt-level = 3
debug = false
debug-assertions = false
overflow-checks = false
"""

OPT_LEVEL = "1"

# The first cell of a notebook repeats the `:dep` line, which is free if it is spelled the same way.
# evcxr's first evaluation, without dependencies, empties the lock file, and resolving again could
# choose other versions, so the lock file is restored first.
# The last two lines load libtorch and make rust-analyzer read tch and common traits before the first
# cell runs. rust-analyzer starts only if there is a variable; dropping it leaves none behind.
EVCXR_TOML = """\
[evcxr]
offline_mode = true
opt_level = "{opt_level}"
prelude = '''
!cp "$EVCXR_TMPDIR/kit.lock" "$EVCXR_TMPDIR/Cargo.lock"
:dep mnist_kit = {{ path = "{kit}" }}
let warm = vec![mnist_kit::init()].iter().map(|device| format!("{{device:?}}") + "").collect::<Vec<String>>();
drop(warm);
'''
"""


def environment_variables() -> dict[str, str]:
    """Returns the environment in which the template and the cells are compiled and run."""
    variables = dict(os.environ)
    libtorch = project.LIBTORCH.resolve()
    libraries = [str(libtorch / "lib"), variables.get("LD_LIBRARY_PATH", "")]
    variables.update(
        LIBTORCH=str(libtorch),
        LD_LIBRARY_PATH=":".join(filter(None, libraries)),
        PATH=f"{project.toolchain_bin()}:{variables.get('PATH', '')}",
        CARGO_NET_OFFLINE="true",
        # evcxr turns backtraces on, and errors in a notebook would include them.
        RUST_LIB_BACKTRACE="0",
        EVCXR_CONFIG_DIR=str(FOLDER / "config"),
    )
    if RUST_SOURCES.exists():
        variables["RUST_SRC_PATH"] = str(RUST_SOURCES)
    return variables


def rustflags(path: str) -> str:
    """Returns the compiler flags that evcxr chooses, which depend on the installed linkers."""
    lld = not shutil.which("mold", path=path) and shutil.which("lld", path=path)
    return "-Cprefer-dynamic" + (" -Clink-arg=-fuse-ld=lld" if lld else "")


def wanted_fingerprint() -> dict[str, str]:
    """Computes digests of everything that the template depends on.

    A change of `base` compiles everything again; after a change of `kit`, cargo compiles the crates
    that have changed.
    """
    variables = environment_variables()
    base = [
        project.rustc_version(),
        project.torch_version(),
        str(project.LIBTORCH.resolve()),
        project.EVCXR_VERSION,
        rustflags(variables["PATH"]),
        CARGO_TOML,
        CARGO_CONFIG,
        OPT_LEVEL,
        str(project.ROOT),
    ]
    # cargo goes by the modification time as well, and compiles a file again that was only touched.
    sources = [project.ROOT / "Cargo.toml", project.ROOT / "Cargo.lock", project.KIT / "Cargo.toml"]
    sources += [project.KIT / "build.rs", *sorted((project.KIT / "src").rglob("*"))]
    kit = []
    for path in sources:
        if path.is_file():
            about = path.stat()
            kit.append([str(path.relative_to(project.ROOT)), about.st_size, about.st_mtime_ns])
    return {"base": digest(base), "kit": digest(kit)}


def digest(value) -> str:
    """Hashes a value that JSON can represent."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def found_fingerprint() -> dict[str, str]:
    """Reads the digests of the template on disk; empty if its build has not finished."""
    try:
        return json.loads(FINGERPRINT.read_text())
    except (OSError, ValueError):
        return {}


def state() -> str:
    """Compares the template with its sources: `fresh`, `stale` or `missing`."""
    found = found_fingerprint()
    return "missing" if not found else "fresh" if found == wanted_fingerprint() else "stale"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Holds the lock that lets one process at a time build or copy the template."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(say=print) -> bool:
    """Brings the template up to date; the caller holds `locked()`.

    Returns False if it was up to date. Passes one line to `say` before a compilation.
    """
    # These files contain the path of the project, which may have been moved.
    write(FOLDER / ".cargo" / "config.toml", CARGO_CONFIG)
    evcxr_toml = EVCXR_TOML.format(opt_level=OPT_LEVEL, kit=project.KIT)
    write(FOLDER / "config" / "evcxr.toml", evcxr_toml)
    wanted, found = wanted_fingerprint(), found_fingerprint()
    has_sources = project.rust_library() is not None
    if found.get("base") != wanted["base"] or RUST_SOURCES.exists() != has_sources:
        copy_rust_sources()
    if found == wanted:
        return False
    if found.get("base") != wanted["base"]:
        say("Compiling the dependencies of notebook cells. This takes some minutes, once.")
        shutil.rmtree(TEMPLATE, ignore_errors=True)
    else:
        say("Compiling mnist_kit for the kernel again, because it has changed.")
    FINGERPRINT.unlink(missing_ok=True)
    write(TEMPLATE / "Cargo.toml", CARGO_TOML.format(opt_level=OPT_LEVEL, kit=project.KIT))
    write(TEMPLATE / "src" / "lib.rs", "")
    shutil.copyfile(project.ROOT / "Cargo.lock", TEMPLATE / "Cargo.lock")
    variables = environment_variables()
    variables.update(
        CARGO_TARGET_DIR="target",
        CARGO_BUILD_BUILD_DIR="target",
        RUSTFLAGS=rustflags(variables["PATH"]),
    )
    # evcxr runs `cargo check` on a cell with an error, and the files of a build do not serve it.
    # Without --locked: cargo adds the package of the cell to the copied Cargo.lock.
    for command in ("build", "check"):
        subprocess.run(
            [project.toolchain_bin() / "cargo", command, "--target", project.host()],
            cwd=TEMPLATE,
            env=variables,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
    shutil.copyfile(TEMPLATE / "Cargo.lock", TEMPLATE / "kit.lock")
    write(FINGERPRINT, json.dumps(wanted))
    return True


def write(path: Path, text: str) -> None:
    """Writes a file only if its content changes: cargo and evcxr look at modification times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def copy_to(folder: Path) -> None:
    """Copies the template, with hard links for files that are never written to again.

    The name of a compiled library contains a hash of everything it depends on, and rustc and the
    linker replace such a file instead of rewriting it (.rmeta files are rewritten). All other files
    are copied, and so is mnist_kit, which a developer may change while a kernel runs. The copies
    take no space on a file system that shares blocks.
    """

    def copy(source: str, target: str) -> None:
        if is_settled(Path(source)):
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(TEMPLATE, folder, symlinks=True, dirs_exist_ok=True, copy_function=copy)


def is_settled(path: Path) -> bool:
    """Checks whether a file is a compiled dependency that is never written to again."""
    ours = path.name.startswith(("libmnist_kit-", "libctx", "ctx"))
    return path.parent.name == "deps" and path.suffix in (".rlib", ".so") and not ours


def copy_rust_sources() -> None:
    """Copies the sources of the standard library that rust-analyzer needs for types.

    The complete sources have dependencies that cargo would have to download, and 27 MB of vector
    instructions that take time to read.
    """
    library = project.rust_library()
    shutil.rmtree(RUST_SOURCES, ignore_errors=True)
    for crate in ("core", "alloc", "std", "proc_macro") if library else ():
        shutil.copytree(library / crate / "src", RUST_SOURCES / crate / "src")
