"""The kernel template: a build folder with all dependencies of a cell, copied for each kernel.

`build/kernel/` holds
    .cargo/config.toml   compiler settings, which cargo finds from the folders below
    config/evcxr.toml    settings of evcxr, and the code that it runs before the first cell
    template/            the package of a cell, as evcxr writes it, compiled
    library/             sources of the standard library, for the types of variables
    toolchain/           the toolchain of kernels (see toolchain.py)
    lock                 locked while the template is checked, built or copied
It is written by its owner and can be read by every user. The copies for running kernels are in the
cache of the user who runs them (see kernel.py).
"""

from __future__ import annotations

import contextlib
import errno
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
import toolchain

FOLDER = project.BUILD / "kernel"
TEMPLATE = FOLDER / "template"
FINGERPRINT = TEMPLATE / "fingerprint.json"
# Size, modification time and inode of every file of the template.
MANIFEST = TEMPLATE / "manifest.json"
RUST_SOURCES = FOLDER / "library"
TOOLCHAIN = FOLDER / "toolchain"
USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
# The folders of this user's running kernels. Checkouts differ in their settings for cargo.
CHECKOUT = hashlib.sha256(str(project.ROOT).encode()).hexdigest()[:16]
LIVE = USER_CACHE / "mnist_kit" / "kernels" / CHECKOUT

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

# Crates that do work of their own while a notebook runs: they unpack, hash, shuffle and draw. The
# others pass calls on to libtorch or belong to the build, and level 3 only delays the set-up.
OPTIMIZED = (
    "mnist_kit ab_glyph ab_glyph_rasterizer crc32fast fdeflate flate2 image md-5 miniz_oxide "
    "plotters plotters-backend plotters-bitmap png rand rand_chacha sha2 simd-adler32 ttf-parser"
).split()

# Settings in a folder above a package override those in its Cargo.toml. A panic can name its line
# with line tables for the cell. `opt-level` is set for dependencies only, so `:opt` in a notebook
# still works and does not compile them again.
CARGO_CONFIG = """\
[profile.dev]
debug = "line-tables-only"
strip = "none"

[profile.dev.package."*"]
debug = false
debug-assertions = false
overflow-checks = false
""" + "".join(f"\n[profile.dev.package.{crate}]\nopt-level = 3\n" for crate in OPTIMIZED)

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
    rust = project.toolchain_bin()
    if rust:
        # evcxr loads a cell from the folder above the one that rustc computes its run path for, so
        # cells do not find Rust's standard library where both lie in the user's home.
        library = rust.parent / "lib" / "rustlib" / project.host() / "lib"
        libraries.insert(1, str(library))
    variables.update(
        LIBTORCH=str(libtorch),
        LD_LIBRARY_PATH=":".join(filter(None, libraries)),
        PATH=f"{rust}:{variables.get('PATH', '')}",
        # evcxr turns backtraces on, and errors in a notebook would include them.
        RUST_LIB_BACKTRACE="0",
        EVCXR_CONFIG_DIR=str(FOLDER / "config"),
    )
    if RUST_SOURCES.exists():
        variables["RUST_SRC_PATH"] = str(RUST_SOURCES)
    return variables


def kernel_variables() -> dict[str, str]:
    """Returns the environment of a kernel, whose cells are compiled with the toolchain in TOOLCHAIN."""
    variables = environment_variables()
    return variables | toolchain.variables(TOOLCHAIN, variables["PATH"])


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
            kit.append([str(path.relative_to(project.ROOT)), *about(path)])
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


def damaged() -> str | None:
    """Returns the name of a file of the template that has changed since it was built, if any.

    A cell can truncate a compiled library in its own folder, which is the template's file as well
    where it is a hard link.
    """
    try:
        manifest = json.loads(MANIFEST.read_text())
    except (OSError, ValueError):
        return MANIFEST.name
    for name, recorded in manifest.items():
        try:
            if about(TEMPLATE / name) != recorded:
                return name
        except OSError:
            return name
    return None


def about(path: Path) -> list[int]:
    """Returns what changes with a file: size and modification time.

    In whole seconds, and without the inode: the layers of a container image keep nothing finer, and
    copy the file.
    """
    status = path.stat()
    return [status.st_size, int(status.st_mtime)]


def seal() -> None:
    """Makes the template readable for all users and writable for its owner; records its files."""
    manifest = {}
    parts = (FOLDER / ".cargo", FOLDER / "config", RUST_SOURCES, TOOLCHAIN, TEMPLATE)
    inside = [path for part in parts if part.exists() for path in (part, *part.rglob("*"))]
    for path in (project.BUILD, FOLDER, *inside):
        if path.is_symlink():
            continue
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
        if path.is_file() and path.is_relative_to(TEMPLATE):
            manifest[str(path.relative_to(TEMPLATE))] = about(path)
    write(MANIFEST, json.dumps(manifest))
    MANIFEST.chmod(0o644)


def state() -> str:
    """Compares the template with its sources: `fresh`, `stale`, `damaged` or `missing`."""
    found = found_fingerprint()
    if not found:
        return "missing"
    if found != wanted_fingerprint():
        return "stale"
    return "damaged" if damaged() else "fresh"


def is_ours() -> bool:
    """Checks whether this user may build the template: in a shared checkout, only its owner may."""
    existing = next(path for path in (FOLDER, *FOLDER.parents) if path.exists())
    return existing.stat().st_uid == os.geteuid() and os.access(existing, os.W_OK)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Holds the lock that keeps the template as it is while it is built or copied.

    Its owner holds it alone. Other users cannot write to the file; they share the lock.
    """
    if is_ours():
        FOLDER.mkdir(parents=True, exist_ok=True)
        flags, kind = os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX
    else:
        flags, kind = os.O_RDONLY, fcntl.LOCK_SH
    try:
        lock = os.open(FOLDER / "lock", flags, 0o644)
    except OSError as error:
        raise project.Problem(
            f"{FOLDER / 'lock'} cannot be opened ({error.strerror}). {remedy_of_owner()}"
        ) from None
    try:
        if kind == fcntl.LOCK_EX:
            os.fchmod(lock, 0o644)
        # Without locks, as on some network file systems, two processes could build at once.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, kind)
        yield
    finally:
        os.close(lock)


def remedy_of_owner() -> str:
    """Tells a user who may not write to the template what to do."""
    try:
        owner = project.ROOT.owner()
    except (KeyError, OSError):
        owner = "its owner"
    return (
        f"Ask {owner}, to whom {project.ROOT} belongs, to run `make setup` there, "
        "or clone the repository into a folder of your own."
    )


def ensure(say=print) -> bool:
    """Brings the template up to date; the caller holds `locked()`.

    Returns False if it was up to date. Passes one line to `say` before a compilation.
    """
    if not is_ours():
        found = state()
        if found != "fresh":
            raise project.Problem(
                f"The kernel template in {TEMPLATE} is {found}, and you cannot write to it. "
                + remedy_of_owner()
            )
        return False
    # These files contain the path of the project, which may have been moved.
    write(FOLDER / ".cargo" / "config.toml", CARGO_CONFIG)
    evcxr_toml = EVCXR_TOML.format(opt_level=OPT_LEVEL, kit=project.KIT)
    write(FOLDER / "config" / "evcxr.toml", evcxr_toml)
    rust = project.toolchain_bin()
    if rust:
        toolchain.write(TOOLCHAIN, rust.parent)
    wanted, found = wanted_fingerprint(), found_fingerprint()
    has_sources = project.rust_library() is not None
    if found.get("base") != wanted["base"] or RUST_SOURCES.exists() != has_sources:
        copy_rust_sources()
    changed = damaged() if found else None
    if found == wanted and not changed:
        return False
    if changed or found.get("base") != wanted["base"]:
        why = f", because {changed} in it has changed" if changed else ""
        say(f"Compiling the dependencies of notebook cells. This takes some minutes, once{why}.")
        shutil.rmtree(TEMPLATE, ignore_errors=True)
    else:
        say("Compiling mnist_kit for the kernel again, because it has changed.")
    FINGERPRINT.unlink(missing_ok=True)
    MANIFEST.unlink(missing_ok=True)
    write(TEMPLATE / "Cargo.toml", CARGO_TOML.format(opt_level=OPT_LEVEL, kit=project.KIT))
    write(TEMPLATE / "src" / "lib.rs", "")
    shutil.copyfile(project.ROOT / "Cargo.lock", TEMPLATE / "Cargo.lock")
    compile_template()
    shutil.copyfile(TEMPLATE / "Cargo.lock", TEMPLATE / "kit.lock")
    seal()
    project.save(FINGERPRINT, json.dumps(wanted))
    FINGERPRINT.chmod(0o644)
    return True


def compile_template() -> None:
    """Compiles and checks the empty cell with all its dependencies."""
    variables = environment_variables()
    variables.update(
        CARGO_TARGET_DIR="target",
        CARGO_BUILD_BUILD_DIR="target",
        # No network: make setup has downloaded the crates.
        CARGO_NET_OFFLINE="true",
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
    take no space on a file system that shares blocks. Where a hard link is refused (another file
    system, another user's file, too many links), the file is copied. A template that is mounted
    read-only, as in the sandbox of submissions, cannot change, and a symbolic link does.
    """
    read_only = os.statvfs(TEMPLATE).f_flag & os.ST_RDONLY

    def copy(source: str, target: str) -> None:
        if is_settled(Path(source)):
            if read_only:
                os.symlink(source, target)
                return
            try:
                os.link(source, target)
                return
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                    raise
        shutil.copy2(source, target)

    shutil.copytree(TEMPLATE, folder, symlinks=True, dirs_exist_ok=True, copy_function=copy)
    # The copy has the rights of the template, which every user can read.
    folder.chmod(0o700)


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
