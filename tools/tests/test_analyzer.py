"""Tests of what rust-analyzer reads in a kernel."""

import json
import os
import subprocess
from pathlib import Path

import analyzer
import template


def metadata(dependencies):
    """An answer of `cargo metadata` for the package `ctx`, as far as it is read."""
    nodes = [
        {"id": f"{name} 1", "dependencies": [f"{each} 1" for each in below],
         "deps": [{"pkg": f"{each} 1"} for each in below]}
        for name, below in dependencies.items()
    ]
    packages = [{"id": f"{name} 1", "name": name} for name in dependencies]
    return {"packages": packages, "resolve": {"root": "ctx 1", "nodes": nodes}}


def test_what_the_kit_hides_is_left_out_and_a_notebooks_own_crates_stay():
    answer = analyzer.pruned(
        metadata(
            {
                "ctx": ["mnist_kit", "ndarray"],
                "mnist_kit": ["tch", "ureq"],
                "tch": ["ndarray", "zip"],
                "ndarray": ["num"],
                "num": [],
                "ureq": ["rustls"],
                "rustls": [],
                "zip": [],
            }
        )
    )
    kept = {package["name"] for package in answer["packages"]}
    assert kept == {"ctx", "mnist_kit", "tch", "ndarray", "num"}
    below = {node["id"]: node["dependencies"] for node in answer["resolve"]["nodes"]}
    # An edge between two packages that stay is kept as well.
    assert below["tch 1"] == ["ndarray 1"]
    assert below["mnist_kit 1"] == ["tch 1"]
    assert [each["pkg"] for each in answer["resolve"]["nodes"][1]["deps"]] == ["tch 1"]


def asked(kernel, command, **options):
    """Asks a cargo for the packages of a kernel's cell; returns their names."""
    question = [command, "metadata", "--format-version", "1", "--offline"]
    question += ["--filter-platform", "x86_64-unknown-linux-gnu"] if options.pop("of_platform") else []
    done = subprocess.run(
        question, cwd=kernel.folder, capture_output=True, check=True, text=True, **options
    )
    return {package["name"] for package in json.loads(done.stdout)["packages"]}


def test_only_the_question_of_rust_analyzer_gets_another_answer(kernel):
    cargo = template.TOOLCHAIN / "bin" / "cargo"
    assert {"tch", "ureq"} < asked(kernel, cargo, of_platform=False)
    few = asked(kernel, cargo, of_platform=True)
    assert {"ctx", "mnist_kit", "tch", "plotters"} <= few <= analyzer.SHOWN | {"ctx"}


def test_rust_analyzer_in_the_kernel_asks_this_cargo(kernel):
    variables = template.kernel_variables()
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    proxy = cargo_home / "bin" / "cargo"
    cargo = str(proxy) if proxy.exists() else variables["CARGO"]
    names = asked(kernel, cargo, of_platform=True, env=variables)
    assert "ureq" not in names and "tch" in names


def test_variables_of_the_crates_that_the_kit_shows_keep_their_types(kernel):
    kernel.ok("use mnist_kit::prelude::*;")
    kernel.ok(
        """
        let pixels = mnist_kit::image::GrayImage::new(2, 3);
        let color = mnist_kit::plotters::style::RGBColor(1, 2, 3);
        let shape = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).size();
        let failed = mnist_kit::anyhow::anyhow!("no");
        let table = Table::new(["a", "b"]);
        """
    )
    told = kernel.ok('println!("{} {} {shape:?} {failed} {}", pixels.width(), color.2, table.rows().len());')
    assert told.text().strip() == "2 3 [2, 3] no 0"
    kernel.ok(':dep itoa = "1"\nlet mut buffer = itoa::Buffer::new();')
    assert kernel.ok('println!("{}", buffer.format(42));').text().strip() == "42"


def test_methods_are_completed(kernel):
    request = kernel.client.complete("let t = Tensor::zeros([2], (Kind::Float, Device::Cpu)); t.sof", 61)
    assert any("softmax" in match for match in kernel.reply(request)["matches"])
