"""The toolchain of a kernel: Rust's own, behind two scripts that save evcxr's time.

rust-analyzer asks this `cargo` for the packages of a cell, and analyzer.py shortens the answer.

For each cell, evcxr runs `cargo build`, which looks through the 150 packages of the kernel template
and then runs rustc with the same options as for the cell before. So the first build of a notebook
writes down what cargo runs, and later builds run that. Anything that cargo could decide otherwise
makes it build again: other options or variables, another Cargo.toml or Cargo.lock, and always in a
notebook with a crate of its own in some folder, whose sources may change.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import project

# $1 to $n are cargo's arguments. The folder in target/ disappears with `cargo clean`.
CARGO = """\
#!/bin/sh
last=target/last-build

conditions() {{
    printf '%s\\n' "$@"
    export -p
    cat Cargo.toml Cargo.lock
}}

case "$*" in
    *--no-deps*) ;;
    "metadata "*--filter-platform*) exec {python} {analyzer} {cargo} "$@" ;;
    *"build --target "*" --message-format=json")
        if [ -e $last/conditions ] && [ "$(conditions "$@")" = "$(cat $last/conditions)" ]; then
            exec sh $last/run
        fi
        # The package of the cell and mnist_kit are in folders.
        if [ "$(grep -cw 'path *=' Cargo.toml)" = 2 ]; then
            rm -rf $last
            mkdir -p $last
            MNIST_KIT_LAST_BUILD=$last {cargo} "$@" > $last/output
            status=$?
            cat $last/output
            if [ $status = 0 ] && [ -e $last/command ]; then
                target=${{*#*--target }}
                built=target/${{target%% *}}/debug
                grep '"reason":"compiler-artifact"' $last/output | tail -n 1 > $last/artifact
                # The process of the cells has loaded the file of the cell before.
                printf '%s\\n' "rm -f $built/deps/libctx.so" "sh $last/command &&" \\
                    "ln -f $built/deps/libctx.so $built/libctx.so &&" "cat $last/artifact" > $last/run
                conditions "$@" > $last/conditions
            fi
            exit $status
        fi
        ;;
esac
exec {cargo} "$@"
"""

# Writes down the command for the package of the cell, with the variables that cargo sets.
RUSTC = """\
#!/bin/sh
case "$MNIST_KIT_LAST_BUILD,$RUSTC_WRAPPER,$*" in
    ?*,,"--crate-name ctx "*"--emit=dep-info,link "*)
        (
            # cargo's job server ends with cargo.
            unset MNIST_KIT_LAST_BUILD CARGO_MAKEFLAGS MAKEFLAGS MFLAGS
            export -p
            printf 'exec %s' {rustc}
            for argument; do
                printf " '"
                printf %s "$argument" | sed "s/'/'\\\\\\\\''/g"
                printf "'"
            done
            echo
        ) > "$MNIST_KIT_LAST_BUILD/command"
        ;;
esac
exec {rustc} "$@"
"""


def write(folder: Path, toolchain: Path) -> None:
    """Makes a toolchain in `folder` with the scripts; all else comes from `toolchain`."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    words = {
        "python": project.python(),
        "analyzer": Path(__file__).with_name("analyzer.py").resolve(),
        "cargo": toolchain / "bin" / "cargo",
        "rustc": toolchain / "bin" / "rustc",
    }
    words = {name: shlex.quote(str(word)) for name, word in words.items()}
    for name, text in (("cargo", CARGO), ("rustc", RUSTC)):
        script = folder / "bin" / name
        text = text.format(**words)
        # An earlier version linked to rustc.
        if script.is_symlink() or not script.exists() or script.read_text() != text:
            project.save(script, text)
        script.chmod(0o755)
    library = folder / "lib"
    if not library.exists() or library.readlink() != toolchain / "lib":
        library.unlink(missing_ok=True)
        library.symlink_to(toolchain / "lib")


def variables(folder: Path, path: str) -> dict[str, str]:
    """Returns the variables by which rust-analyzer and evcxr find the toolchain in `folder`.

    They run rustup's cargo where there is one, which goes by the first. Else rust-analyzer goes by
    the second, and evcxr by the third. Without the toolchain, as in a checkout that was set up
    before it existed, there are none.
    """
    programs = folder / "bin"
    cargo = programs / "cargo"
    if not cargo.exists():
        return {}
    return {"RUSTUP_TOOLCHAIN": str(folder), "CARGO": str(cargo), "PATH": f"{programs}:{path}"}
