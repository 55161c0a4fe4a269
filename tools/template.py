"""The kernel's warmed build folder: all dependencies of a cell, compiled once and copied for every kernel.

`build/kernel/` holds
    .cargo/config.toml   compiler settings, found by cargo in the folders below
    config/evcxr.toml    evcxr's settings and what it evaluates before it answers
    template/            a cell's package, compiled, as evcxr would write it
    live/<kernel>/       a copy of it for every running kernel (kernel.py)
    library/             the standard library's sources, for the types of variables
    lock                 held while the template is looked at, built or copied
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

# Word for word what evcxr writes for a cell, or cargo would compile all dependencies again.
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

# Settings in a folder above a package win over those in its Cargo.toml.
# Line tables of the cell alone let a panic name its line; the reader's `:opt` still concerns the cell alone.
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

# The reader's first cell repeats the `:dep` line; spelled alike, it costs nothing then.
# The first evaluation, without dependencies, has emptied the lock file, and resolving anew could choose other versions.
# The rest lets libtorch be loaded, and rust-analyzer read tch and the usual traits, while the reader still reads: it looks
# at nothing unless there is a variable, and a variable that is moved away leaves none behind.
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
    """The environment in which cells are compiled and run; the template needs the same one."""
    variables = dict(os.environ)
    libtorch = project.LIBTORCH.resolve()
    libraries = [str(libtorch / "lib"), variables.get("LD_LIBRARY_PATH", "")]
    variables.update(
        LIBTORCH=str(libtorch),
        LD_LIBRARY_PATH=":".join(filter(None, libraries)),
        PATH=f"{project.toolchain_bin()}:{variables.get('PATH', '')}",
        CARGO_NET_OFFLINE="true",
        # evcxr asks for backtraces, and errors would carry them into the notebook.
        RUST_LIB_BACKTRACE="0",
        EVCXR_CONFIG_DIR=str(FOLDER / "config"),
    )
    if RUST_SOURCES.exists():
        variables["RUST_SRC_PATH"] = str(RUST_SOURCES)
    return variables


def rustflags(path: str) -> str:
    """The compiler flags that evcxr will choose by the linkers it finds."""
    lld = not shutil.which("mold", path=path) and shutil.which("lld", path=path)
    return "-Cprefer-dynamic" + (" -Clink-arg=-fuse-ld=lld" if lld else "")


def wanted_fingerprint() -> dict[str, str]:
    """What the template depends on. `base`: everything is compiled anew; `kit`: cargo compiles what changed."""
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
    # By time of change, as cargo sees it: a file that was only touched is compiled again.
    sources = [project.ROOT / "Cargo.toml", project.ROOT / "Cargo.lock", project.KIT / "Cargo.toml"]
    sources += [project.KIT / "build.rs", *sorted((project.KIT / "src").rglob("*"))]
    kit = []
    for path in sources:
        if path.is_file():
            about = path.stat()
            kit.append([str(path.relative_to(project.ROOT)), about.st_size, about.st_mtime_ns])
    return {"base": digest(base), "kit": digest(kit)}


def digest(value) -> str:
    """A short name for a value."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def found_fingerprint() -> dict[str, str]:
    """What the template on disk was built from; empty when there is none or its build did not end."""
    try:
        return json.loads(FINGERPRINT.read_text())
    except (OSError, ValueError):
        return {}


def state() -> str:
    """`fresh`, `stale` or `missing`."""
    found = found_fingerprint()
    return "missing" if not found else "fresh" if found == wanted_fingerprint() else "stale"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One process at a time builds or copies the template."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(say=print) -> bool:
    """Brings the template up to date, under `locked()`; says whether there was anything to do."""
    # Written each time: cheap, and they follow the project when its folder is moved.
    write(FOLDER / ".cargo" / "config.toml", CARGO_CONFIG)
    write(FOLDER / "config" / "evcxr.toml", EVCXR_TOML.format(opt_level=OPT_LEVEL, kit=project.KIT))
    wanted, found = wanted_fingerprint(), found_fingerprint()
    if found.get("base") != wanted["base"] or RUST_SOURCES.exists() != bool(project.rust_library()):
        copy_rust_sources()
    if found == wanted:
        return False
    if found.get("base") != wanted["base"]:
        say("Compiling a cell's dependencies for the kernel: once, some minutes.")
        shutil.rmtree(TEMPLATE, ignore_errors=True)
    else:
        say("mnist_kit has changed: compiling it again for the kernel.")
    FINGERPRINT.unlink(missing_ok=True)
    write(TEMPLATE / "Cargo.toml", CARGO_TOML.format(opt_level=OPT_LEVEL, kit=project.KIT))
    write(TEMPLATE / "src" / "lib.rs", "")
    shutil.copyfile(project.ROOT / "Cargo.lock", TEMPLATE / "Cargo.lock")
    variables = environment_variables()
    variables.update(CARGO_TARGET_DIR="target", CARGO_BUILD_BUILD_DIR="target", RUSTFLAGS=rustflags(variables["PATH"]))
    # A cell with an error is looked at with `cargo check`, whose results are other files than those of a build.
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
    """Writes a file unless it already says so: cargo and evcxr look at times of change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def copy_to(folder: Path) -> None:
    """Copies the template, with hard links for what nobody writes to again.

    Compiled libraries bear a name made of all they depend on, and rustc and the linker put a new file in the place of
    an old one rather than rewrite it (not so with .rmeta). All that is written again, and the kit itself, which a
    developer may change while a kernel runs, is copied, at no cost where the file system shares blocks.
    """

    def copy(source: str, target: str) -> None:
        if is_settled(Path(source)):
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(TEMPLATE, folder, symlinks=True, dirs_exist_ok=True, copy_function=copy)


def is_settled(path: Path) -> bool:
    """Whether a file of the template is a compiled dependency of a cell or of a build script."""
    ours = path.name.startswith(("libmnist_kit-", "libctx", "ctx"))
    return path.parent.name == "deps" and path.suffix in (".rlib", ".so") and not ours


def copy_rust_sources() -> None:
    """Copies the sources of the standard library that matter for types, where rust-analyzer looks for them.

    Whole, they come with dependencies that cargo would have to download, and with 27 MB of vector instructions to read.
    """
    library = project.rust_library()
    shutil.rmtree(RUST_SOURCES, ignore_errors=True)
    for crate in ("core", "alloc", "std", "proc_macro") if library else ():
        shutil.copytree(library / crate / "src", RUST_SOURCES / crate / "src")
