//! What evcxr and the companion receive of a cell.

use super::kernel::{Kernel, spawn};
use serde_json::json;
use std::io::{Read, Write};

#[test]
fn text_passes_and_each_execution_is_reported() {
    let mut kernel = Kernel::start();
    for _ in 0..3 {
        assert_eq!(kernel.run("hello"), (vec!["hello".to_string()], vec![]));
    }
    assert_eq!(kernel.close(), "");
}

#[test]
fn unfinished_text_comes_before_the_end_of_its_cell() {
    let mut kernel = Kernel::start();
    for cell in ["unfinished", "unfinished raw"] {
        assert_eq!(kernel.run(cell).0, ["12 %\x1e"], "{cell}");
    }
}

#[test]
fn a_running_cell_shows_unfinished_text_and_hears_of_stop() {
    let mut kernel = Kernel::start();
    kernel.begin("wait for stop");
    assert_eq!(kernel.line(), "working \x1e");
    kernel.send(&json!({ "do": "stop" }));
    assert_eq!(kernel.end().0, ["stopped"]);
    // The request is for that cell only.
    assert_eq!(kernel.run("asked").0, ["false"]);
}

#[test]
fn messages_of_the_kit_go_to_the_companion() {
    let mut kernel = Kernel::start();
    let (lines, events) = kernel.run("messages");
    assert_eq!(events, [json!({ "event": "live", "id": "1" })]);
    // An event of the relay itself cannot be sent like this.
    // Its place in the text is marked.
    let place = "\x1eMNIST_KIT";
    assert_eq!(lines, ["before", "unfinished \x1e", place, "after", "{\"event\":\"complete\"}"]);
}

#[test]
fn panics_are_reported() {
    let mut kernel = Kernel::start();
    let (lines, events) = kernel.run("panic");
    assert_eq!(lines, ["EVCXR_PANIC_NOTIFICATION"]);
    let [panic, panicked] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&panic["event"], &panic["message"]), (&json!("panic"), &json!("seven\nlines")));
    // The test harness runs cells in a thread of its own.
    assert_eq!(panic["main"], false);
    assert!(panic["line"].is_u64() && panic["at"].as_str().unwrap().contains("cell.rs:"));
    assert_eq!(panicked, &json!({ "event": "panicked" }));

    // Even while the cell holds the lock of its output.
    let (_, events) = kernel.run("panic in a thread");
    let [panic] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&panic["message"], &panic["main"]), (&json!("eight"), &json!(false)));
    assert_eq!(panic["thread"], "mine");

    // The first panic becomes an error, the second one is the cell's.
    let (_, events) = kernel.run("caught panic");
    let [panic, _] = &events[..] else { panic!("{events:?}") };
    assert_eq!(panic["message"], "quiet");

    // The companion shows them.
    assert_eq!(kernel.close(), "");
}

#[test]
fn closed_and_replaced_descriptors_are_reported() {
    let descriptor = |name| json!({ "event": "descriptor", "name": name });
    let mut kernel = Kernel::start();
    assert_eq!(kernel.run("close stderr").1, [descriptor("stderr")]);
    // Once.
    assert_eq!(kernel.run("hello").1, [] as [serde_json::Value; 0]);
    kernel.begin("replace stdin");
    assert_eq!(kernel.event(), json!({ "event": "run" }));
    assert_eq!(kernel.event(), descriptor("stdin"));

    let mut kernel = Kernel::start();
    kernel.begin("replace stdout");
    assert_eq!(kernel.event(), json!({ "event": "run" }));
    assert_eq!(kernel.event(), descriptor("stdout"));

    let mut kernel = Kernel::start();
    kernel.begin("panic without output");
    assert_eq!(kernel.event(), json!({ "event": "run" }));
    let mut events = [kernel.event(), kernel.event()];
    events.sort_by_key(|event| event["event"].to_string());
    assert_eq!(events[0], descriptor("stdout"));
    assert_eq!(events[1]["message"], "nine");
}

#[test]
fn a_forged_marker_is_one_completion_too_many() {
    let mut kernel = Kernel::start();
    assert_eq!(kernel.run("forge"), (vec![], vec![]));
    assert_eq!(kernel.end(), (vec![], vec![]));
}

#[test]
fn the_answer_to_a_ping_tells_whether_the_cell_has_ended() {
    let pong = |number, waiting| json!({ "event": "pong", "number": number, "waiting": waiting });
    let mut kernel = Kernel::start();
    kernel.run("hello");
    kernel.send(&json!({ "do": "ping", "number": 1 }));
    assert_eq!(kernel.event(), pong(1, true));
    // It has printed the marker, and goes on.
    kernel.run("forge and wait for stop");
    kernel.send(&json!({ "do": "ping", "number": 2 }));
    assert_eq!(kernel.event(), pong(2, false));
    kernel.send(&json!({ "do": "stop" }));
    kernel.end();
    kernel.send(&json!({ "do": "ping", "number": 3 }));
    assert_eq!(kernel.event(), pong(3, true));
}

#[test]
fn text_without_end_is_cut_and_pictures_are_not() {
    let mut kernel = Kernel::start();
    let (lines, events) = kernel.run("flood");
    let text: usize = lines.iter().filter(|line| line.starts_with("line")).map(String::len).sum();
    assert!(text > 10_000_000 && text < 11_000_000, "{text}");
    assert_eq!(lines.iter().filter(|line| line.len() == 10 << 20).count(), 1);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["event"] == "limit"));
    // The next cell begins anew.
    assert_eq!(kernel.run("hello"), (vec!["hello".to_string()], vec![]));
}

#[test]
fn bursts_pass_unchanged() {
    let mut kernel = Kernel::start();
    let (lines, events) = kernel.run("burst");
    assert_eq!(lines.len(), 2000 + 5 * 3);
    assert!(lines[..2000].iter().enumerate().all(|(n, line)| *line == format!("line {n}")));
    assert!(lines[2000..].chunks(3).all(|content| content[1].len() == 10 << 20));
    assert!(events.is_empty());
}

#[test]
fn bytes_that_evcxr_cannot_read_are_replaced() {
    let mut kernel = Kernel::start();
    assert_eq!(kernel.run("binary").0, ["a\u{fffd}b"]);
}

#[test]
fn other_processes_print_through_the_relay() {
    let mut kernel = Kernel::start();
    assert_eq!(kernel.run("program").0, ["a program", "companion:"]);
    kernel.begin("fork");
    let mut lines = [kernel.line(), kernel.line()];
    lines.sort();
    assert_eq!(lines, ["EVCXR_EXECUTION_COMPLETE", "forked"]);
    // The forked process still runs, but does not keep this one from seeing the end of its input.
    kernel.close();
}

#[test]
fn the_last_output_of_a_process_arrives() {
    let mut kernel = Kernel::start();
    kernel.begin("exit");
    assert_eq!(kernel.remaining_lines(), ["last words", "and more\x1e"]);
    assert_eq!(kernel.child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_ping_is_answered_and_an_unknown_request_is_not() {
    let mut kernel = Kernel::start();
    let expect_pong = |kernel: &Kernel, number: usize| {
        let event = kernel.event();
        assert_eq!((&event["event"], &event["number"]), (&json!("pong"), &json!(number)));
    };
    kernel.send(&json!({ "do": "ping", "number": 7 }));
    expect_pong(&kernel, 7);
    kernel.send(&json!({ "do": "something else" }));
    kernel.send(&json!({ "do": "ping", "number": 8 }));
    expect_pong(&kernel, 8);
}

#[test]
fn output_goes_on_without_a_companion() {
    let mut kernel = Kernel::start();
    kernel.disconnect();
    for _ in 0..2 {
        kernel.begin("hello");
        assert_eq!(kernel.line(), "hello");
        assert_eq!(kernel.line(), "EVCXR_EXECUTION_COMPLETE");
    }
}

#[test]
fn a_missing_companion_leaves_plain_output() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = spawn(&folder.path().join("nobody"));
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "LOAD_AND_RUN /code.so hello\nLOAD_AND_RUN /code.so asked").unwrap();
    drop(stdin);
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let complete = "EVCXR_EXECUTION_COMPLETE";
    let expected = format!("ready\nhello\n{complete}\nfalse\n{complete}\n");
    assert!(printed.ends_with(&expected), "{printed}");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains("No live output"), "{errors}");
    assert!(child.wait().unwrap().success());
}
