//! What a notebook receives of values that are the last expression of a cell.

use anyhow::Result;
use mnist_kit::prelude::*;
use std::process::Command;

#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
struct Learned {
    name: &'static str,
    value: f64,
}

/// The last expressions of cells, called as evcxr calls them; run by the test below in a process of
/// its own, to read its output.
#[test]
#[ignore = "writes to the terminal"]
fn cells() {
    let images = Tensor::rand([4, 1, 28, 28], (Kind::Float, Device::Cpu));
    let learned = Learned { name: "bias", value: 0.5 };
    let (count, fraction, words) = (3i64, 0.5f64, vec!["a", "b"]);
    Tensor::from_slice(&[0.25f32, 0.75]).evcxr_display();
    (images).evcxr_display();
    #[allow(clippy::needless_borrow, reason = "a cell may end in a reference")]
    (&images).evcxr_display();
    (images.size()).evcxr_display();
    (count).evcxr_display();
    (fraction * 2.0).evcxr_display();
    (words).evcxr_display();
    ("text").evcxr_display();
    (1u8, true).evcxr_display();
    (learned).evcxr_display();
    ().evcxr_display();
    // A type with a display of its own keeps it.
    (Table::new(["a"])).evcxr_display();
}

#[test]
fn a_notebook_receives_pictures_tables_and_text() -> Result<()> {
    let run = Command::new(std::env::current_exe()?)
        .args(["--exact", "notebook::cells", "--ignored", "--nocapture"])
        .output()?;
    assert!(run.status.success(), "{run:?}");
    let output = String::from_utf8(run.stdout)?;
    let contents: Vec<(&str, &str)> = output
        .split("EVCXR_BEGIN_CONTENT ")
        .skip(1)
        .map(|content| {
            content.split_once("\nEVCXR_END_CONTENT").unwrap().0.split_once('\n').unwrap()
        })
        .collect();
    let forms: Vec<&str> = contents.iter().map(|(form, _)| *form).collect();
    let (table, picture) = (["text/html", "text/plain"], ["image/svg+xml", "image/png"]);
    assert_eq!(forms[..2], table);
    assert_eq!(forms[2..4], picture);
    assert_eq!(forms[4..6], picture);
    assert_eq!(forms[forms.len() - 2..], table);
    assert!(contents[0].1.contains("Float [2] on the CPU"), "{}", contents[0].1);
    let texts: Vec<&str> = contents[6..contents.len() - 2].iter().map(|(_, text)| *text).collect();
    assert_eq!(
        texts,
        [
            "[4, 1, 28, 28]",
            "3",
            "1.0",
            "[\"a\", \"b\"]",
            "\"text\"",
            "(1, true)",
            "Learned { name: \"bias\", value: 0.5 }",
        ]
    );
    Ok(())
}
