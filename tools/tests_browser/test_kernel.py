"""Progress, stop, restart and reload in the browser."""

import re

from playwright.sync_api import expect

PRELUDE = ':dep mnist_kit = { path = "../mnist_kit" }\nuse mnist_kit::prelude::*;'
PREPARE = """\
let digits = Mnist::generated(1, 12_000, 500)?;
let transform = Compose::new().to_tensor().flatten();
let batches = digits.train.batches(50)?.transform(&transform);
let vs = nn::VarStore::new(Device::Cpu);
let model = Mlp::new(vs.root(), 50)?;
"""
TRAIN = "let history = fit(&model, &vs, &batches).epochs(100).run()?;"
# Waits for a file of the test, so that the test decides when the cell ends.
WAIT = """\
println!("before");
while !std::path::Path::new("go-on").exists() {
    std::thread::sleep(std::time::Duration::from_millis(50));
}
println!("after");
let answer = 42;
"""


def test_training_shows_progress_and_stops(open_notebook):
    view = open_notebook(
        cells=[PRELUDE, PREPARE, TRAIN, 'println!("epochs kept: {}", history.epochs().len());']
    )
    view.run_to_the_end(0)
    view.run_to_the_end(1)
    view.run(2)
    progress, curve = view.output(2).locator("progress"), view.output(2).locator("img")
    expect(progress).to_have_count(1)
    first = progress.get_attribute("value")
    expect(progress).not_to_have_attribute("value", first)
    expect(progress).to_have_count(1)
    # The figure is replaced in place: one picture, with another source after the next epoch.
    expect(curve).to_have_count(1)
    source = curve.get_attribute("src")
    expect(curve).not_to_have_attribute("src", source)
    expect(curve).to_have_count(1)
    expect(view.prompt(2)).to_have_text("[*]:")
    view.screenshot("training-runs", 2)

    view.press("interrupt")
    view.wait_for(2)
    expect(view.output(2)).to_contain_text("Stopped at epoch")
    assert view.errors() == []
    kept = int(re.search(r"epochs kept: (\d+)", view.run_to_the_end(3))[1])
    assert kept >= 2
    view.screenshot("training-stopped", 3)
    # A saved notebook has the last state of the bar and of the figure, and nothing before it.
    shown = [output for output in view.save().cells[2].outputs if "data" in output]
    kinds = [kind for output in shown for kind in output.data]
    assert len(shown) == 2 and {"text/html", "image/png"} <= set(kinds)
    assert kinds.count("image/png") == 1


def test_a_cell_runs_although_the_kernel_still_starts(open_notebook):
    view = open_notebook(cells=["1 + 1"], wait=False)
    # Before the session exists, JupyterLab has nothing to run cells with, and drops them.
    expect(view.status()).to_contain_text("mnist_kit) |")
    assert view.run_to_the_end(0).strip() == "2"


def test_a_restart_forgets_the_variables(open_notebook):
    view = open_notebook(cells=["let answer = 42;", "answer", "1 + 1"])
    view.run_to_the_end(0)
    assert view.run_to_the_end(1).strip() == "42"
    view.restart()
    view.wait_until_idle()
    view.run(1)
    expect(view.output(1)).to_contain_text("answer` in this scope")
    view.screenshot("restarted", 1)
    assert view.run_to_the_end(2).strip() == "2"


def test_a_cell_goes_on_while_its_page_is_reloaded(open_notebook, server):
    """JupyterLab shows no output of a cell whose page was left; the kernel keeps its variables."""
    view = open_notebook(cells=[WAIT, "answer"])
    view.run(0)
    expect(view.output(0)).to_contain_text("before")
    view.reload()
    expect(view.cell(1)).to_be_visible()
    view.run(1)
    expect(view.prompt(1)).to_have_text("[*]:")
    view.screenshot("reloaded")
    (server.root / "go-on").touch()
    view.wait_for(1)
    assert view.errors() == []
    assert view.text(1).strip().endswith("42")
    view.screenshot("reloaded-and-done", 1)
