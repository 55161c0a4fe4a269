//! Live output and stop, as the companion receives them from calls of the kit.

use super::kernel::{Kernel, spawn};
use serde_json::{Value, json};
use std::io::{Read, Write};

fn of_kind(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["kind"] == kind).cloned().collect()
}

/// Leaves out the lines that mark the place of a message.
fn without_marks(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| !line.starts_with('\x1e')).collect()
}

/// Runs a cell that waits to be stopped. Returns its further lines and the places where it stopped.
fn stopped(kernel: &mut Kernel, cell: &str) -> (Vec<String>, Vec<Value>) {
    kernel.begin(cell);
    assert_eq!(kernel.event(), json!({ "event": "run" }));
    // A slow run shows its bar before.
    while kernel.line() != "waiting" {}
    kernel.send(&json!({ "do": "stop" }));
    let (lines, events) = kernel.end();
    let stops = events.iter().filter(|event| event["event"] == "stopped");
    (without_marks(lines), stops.map(|event| event["at"].clone()).collect())
}

#[test]
fn fit_shows_curves_that_grow() {
    let mut kernel = Kernel::start();
    let (lines, events) = kernel.run("fit");
    let lines = without_marks(lines);
    assert!(lines[0].starts_with("Epoch [1/2] done"), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "epochs: 2");
    let figures = of_kind(&events, "figure");
    assert_eq!(figures.len(), 2, "one an epoch");
    assert_eq!(figures[0]["id"], figures[1]["id"]);
    assert_ne!(figures[0]["data"], figures[1]["data"]);
    assert!(figures[1]["data"]["image/svg+xml"].as_str().unwrap().contains("Validation"));
    // Whether the bar appears depends on how long the run takes. Measuring has none of its own.
    for bar in of_kind(&events, "bar") {
        assert!(bar["text"].as_str().unwrap().starts_with("fit: "), "{bar}");
    }
}

#[test]
fn fit_ends_at_the_next_batch_with_what_it_has() {
    let mut kernel = Kernel::start();
    let (lines, places) = stopped(&mut kernel, "stopped fit");
    let place = "epoch 2, batch 3 of 4";
    assert_eq!(
        lines,
        [
            &format!(
                "Stopped at {place}. Completed epochs: 1. The model keeps the weights of its last \
                 step."
            ),
            "epochs: 1",
            "interrupted at train: image 0 of 100",
        ]
    );
    assert_eq!(places, [json!(place), json!("train: image 0 of 100")]);

    let (lines, _) = stopped(&mut kernel, "stopped validation");
    assert!(lines[0].starts_with("Stopped at epoch 1, test: image 25 of 50. Compl"), "{lines:?}");
    assert_eq!(lines[1], "epochs: 0");
}

#[test]
fn long_calls_end_with_an_error() {
    let mut kernel = Kernel::start();
    for (cell, place) in [
        ("stopped predict", "test: image 25 of 50"),
        ("stopped features", "test: image 25 of 100"),
        ("stopped Grad-CAM", "image 64 of 100"),
        ("stopped download", "the download of digits"),
    ] {
        let (lines, places) = stopped(&mut kernel, cell);
        assert_eq!(lines, [format!("interrupted at {place}")], "{cell}");
        assert_eq!(places, [json!(place)], "{cell}");
    }
}

#[test]
fn a_bar_shows_its_last_state() {
    let mut kernel = Kernel::start();
    let (lines, events) = kernel.run("bar");
    assert!(without_marks(lines).is_empty());
    // One for each step, and one at the end.
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
    assert!(events[0]["text"].as_str().unwrap().starts_with("count: 1 of 3 steps, "));
    assert!(events[3]["text"].as_str().unwrap().starts_with("count: 3 steps, "));
    let data = &events[3]["data"];
    assert_eq!(data["text/plain"], events[3]["text"]);
    assert!(data["text/html"].as_str().unwrap().contains("<progress max=\"3\" value=\"3\">"));
}

#[test]
fn a_figure_is_replaced_in_place() {
    let mut kernel = Kernel::start();
    let (lines, events) = kernel.run("figure");
    assert!(without_marks(lines).is_empty());
    let figures = of_kind(&events, "figure");
    assert_eq!(figures.len(), 2);
    assert_eq!(figures[0]["id"], figures[1]["id"]);
    for (figure, name) in figures.iter().zip(["first", "second"]) {
        assert!(figure["data"]["image/svg+xml"].as_str().unwrap().contains(name));
        assert!(figure["data"]["image/png"].is_string());
    }
}

#[test]
fn plain_evcxr_shows_the_last_figure_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = spawn(&folder.path().join("nobody"));
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "LOAD_AND_RUN /code.so figure\nLOAD_AND_RUN /code.so bar").unwrap();
    drop(stdin);
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(printed.matches("EVCXR_BEGIN_CONTENT image/svg+xml").count(), 1);
    assert!(printed.contains("second") && !printed.contains("first"));
    assert!(!printed.contains("MNIST_KIT") && !printed.contains("count"));
}
