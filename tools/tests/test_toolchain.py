"""Tests of the kernel's toolchain: later cells are compiled without cargo, to the same effect."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import project
import template
import toolchain

ODD = ["", " ", "it's", '"quoted" $HOME `id` \\ *', "two\nlines"]
BUILT = "target/some-target/debug"
# A cargo that says so, and runs rustc for the cell as cargo does.
FAKE_CARGO = """\
#!/bin/sh
echo cargo >> log
mkdir -p {built}/deps
export OF_CARGO="it's
set" CARGO_MAKEFLAGS=jobs
"$RUSTC" --crate-name ctx --emit=dep-info,link {odd} || exit 7
ln -f {built}/deps/libctx.so {built}/libctx.so
echo '{{"reason":"compiler-artifact","target":"other"}}'
echo '{{"reason":"compiler-artifact","filenames":["{built}/libctx.so"]}}'
"""
# A rustc that writes its options and variables, unless the cell is wrong.
FAKE_RUSTC = """\
#!/bin/sh
echo rustc >> log
if grep -q wrong cell; then echo '{{"level":"error"}}' >&2; exit 1; fi
{{ cat cell; printf '<%s>' "$@"; echo "$OF_CARGO,$CARGO_MAKEFLAGS,$MNIST_KIT_LAST_BUILD"; }} > {built}/deps/libctx.so
"""


@pytest.fixture
def folder(tmp_path):
    """The folder of a kernel, with a toolchain of fakes."""
    programs = tmp_path / "rust" / "bin"
    programs.mkdir(parents=True)
    odd = " ".join(map(toolchain.shlex.quote, ODD))
    for name, text in (("cargo", FAKE_CARGO), ("rustc", FAKE_RUSTC)):
        (programs / name).write_text(text.format(built=BUILT, odd=odd))
        (programs / name).chmod(0o755)
    toolchain.write(tmp_path / "toolchain", tmp_path / "rust")
    folder = tmp_path / "kernel"
    folder.mkdir()
    (folder / "Cargo.toml").write_text('[lib]\npath = "src/lib.rs"\nrpath = true\nmnist_kit = { path = "/kit" }\n')
    (folder / "Cargo.lock").write_text("locked\n")
    return folder


def build(folder, cell, *options, **variables):
    """Compiles a cell; returns the programs that ran, the exit code, and the compiled cell."""
    (folder / "cell").write_text(cell)
    (folder / "log").write_text("")
    programs = folder.parent / "toolchain" / "bin"
    command = [programs / "cargo", *options, "build", "--target", "some-target", "--message-format=json"]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"RUSTC": str(programs / "rustc")} | variables,
        capture_output=True, text=True,
    )
    found = None
    if done.returncode == 0:
        artifact = Path(json.loads(done.stdout.splitlines()[-1])["filenames"][0])
        found = (folder / artifact).read_text()
        # As evcxr does: the process of the cells loads it under another name.
        (folder / artifact).rename(folder / f"{cell}.so")
    return (folder / "log").read_text().split(), done, found


def test_a_later_cell_is_compiled_by_the_same_command_without_cargo(folder):
    ran, _, first = build(folder, "one")
    assert ran == ["cargo", "rustc"]
    ran, _, second = build(folder, "two")
    # Without cargo's job server, which has ended with it.
    own = first.replace("one", "two").replace(",jobs,target/last-build", ",,")
    assert ran == ["rustc"] and second == own
    assert "".join(f"<{each}>" for each in ODD) in second and "it's\nset," in second
    # A cell that is loaded does not change.
    assert (folder / "one.so").read_text() == first


def test_an_error_is_told_as_rustc_tells_it_and_the_next_cell_is_compiled(folder):
    build(folder, "one")
    ran, failed, _ = build(folder, "wrong")
    assert ran == ["rustc"] and failed.returncode == 1 and json.loads(failed.stderr)["level"] == "error"
    assert build(folder, "two")[0] == ["rustc"]


def test_a_first_cell_that_fails_is_not_written_down(folder):
    ran, failed, _ = build(folder, "wrong")
    assert ran == ["cargo", "rustc"] and failed.returncode == 7
    assert build(folder, "one")[0] == ["cargo", "rustc"]
    assert build(folder, "two")[0] == ["rustc"]


@pytest.mark.parametrize("change", ["Cargo.toml", "Cargo.lock", "option", "variable"])
def test_cargo_runs_again_when_something_has_changed(folder, change):
    build(folder, "one")
    options, variables = [], {}
    match change:
        case "option":
            options = ["--offline"]
        case "variable":
            variables = {"RUSTFLAGS": "-Copt-level=2"}
        case name:
            (folder / name).write_text((folder / name).read_text() + "# more\n")
    assert build(folder, "two", *options, **variables)[0] == ["cargo", "rustc"]
    assert build(folder, "three", *options, **variables)[0] == ["rustc"]


def test_with_a_crate_in_a_folder_or_a_cache_cargo_always_runs(folder):
    (folder / "Cargo.toml").open("a").write('mine = {path="../mine"}\n')
    for cell in ("one", "two"):
        assert build(folder, cell)[0] == ["cargo", "rustc"]


def last_build(kernel):
    return Path(kernel.folder) / "target" / "last-build" / "output"


def test_cells_of_the_real_kernel_are_compiled_without_cargo(kernel):
    kernel.ok("use mnist_kit::prelude::*;\nlet x: i64 = 20;")
    kernel.ok("let y: i64 = x + 1;")
    before = last_build(kernel).stat().st_mtime_ns
    assert kernel.ok("x + y + 1").value == "42"
    assert "mismatched types" in kernel.fails('let z: i64 = "seven";', "Error").reply["evalue"]
    assert kernel.ok('println!("{} {}", x + y, env!("CARGO_PKG_NAME"));').text() == "41 ctx\n"
    assert last_build(kernel).stat().st_mtime_ns == before


def test_a_crate_of_ones_own_may_change_between_cells(kernel, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "mine"\nversion = "0.1.0"\nedition = "2024"\n')
    source = tmp_path / "src" / "lib.rs"
    source.write_text("pub fn answer() -> i64 { 1 }")
    kernel.ok(f':dep mine = {{ path = "{tmp_path}" }}')
    assert kernel.ok("mine::answer()").value == "1"
    source.write_text("pub fn answer() -> i64 { 12 }")
    assert kernel.ok("mine::answer()").value == "12"


def test_the_toolchain_is_written_again_only_when_it_differs(tmp_path):
    rust = project.toolchain_bin().parent
    toolchain.write(tmp_path, rust)
    made = [(tmp_path / "bin" / name).stat().st_ino for name in ("cargo", "rustc")]
    toolchain.write(tmp_path, rust)
    assert [(tmp_path / "bin" / name).stat().st_ino for name in ("cargo", "rustc")] == made
    # An earlier version linked to rustc.
    (tmp_path / "bin" / "rustc").unlink()
    (tmp_path / "bin" / "rustc").symlink_to(rust / "bin" / "rustc")
    toolchain.write(tmp_path, rust)
    assert project.output_of(tmp_path / "bin" / "rustc", "-vV") == project.rustc_version()
    assert not (tmp_path / "bin" / "rustc").is_symlink() and (rust / "bin" / "rustc").stat().st_size > 10_000
    shown = template.kernel_variables()
    assert shown["PATH"].startswith(f"{template.TOOLCHAIN}/bin:")
