//! Figures as PDF, and letters that the kit's own font lacks.

use crate::common::message;
use crate::samples::*;
use anyhow::Result;
use flate2::read::ZlibDecoder;
use mnist_kit::plot::image_grid;
use std::io::Read;
use std::process::{Command, Output};

/// What the page of a PDF draws: pdf-writer compresses the content as the first stream.
fn content(pdf: &[u8]) -> String {
    let find = |text: &[u8]| pdf.windows(text.len()).position(|part| part == text).unwrap();
    let mut text = String::new();
    ZlibDecoder::new(&pdf[find(b"stream\n") + 7..]).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn every_plot_becomes_a_page_of_its_size() -> Result<()> {
    for (name, figure) in every_plot()? {
        let pdf = figure.to_pdf()?;
        assert!(pdf.starts_with(b"%PDF-") && pdf.ends_with(b"%%EOF"), "{name}");
        let drawn = content(&pdf);
        for number in drawn.split_whitespace().filter_map(|word| word.parse::<f32>().ok()) {
            assert!(number.is_finite(), "{name}");
        }
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{name}");
        let saves = drawn.split_whitespace().filter(|&word| word == "q").count();
        assert_eq!(saves, drawn.split_whitespace().filter(|&word| word == "Q").count(), "{name}");
    }
    let pdf = image_grid(&split(2), 1, 2)?.size(400, 200).title("Two (digits)").to_pdf()?;
    let text = String::from_utf8_lossy(&pdf);
    assert!(text.contains("/MediaBox [0 0 300 150]"), "{text}");
    assert!(text.contains("/Title (Two (digits))"), "{text}");
    Ok(())
}

#[test]
fn saving_goes_by_the_ending() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let figure = image_grid(&split(2), 1, 2)?;
    figure.save(folder.path().join("a.PDF"))?;
    assert_eq!(std::fs::read(folder.path().join("a.PDF"))?, figure.to_pdf()?);
    let refused = message(figure.save(folder.path().join("a.eps")));
    assert!(refused.contains("has to end in .svg, .png or .pdf"), "{refused}");
    assert!(!folder.path().join("a.eps").exists());
    Ok(())
}

/// Draws a Korean title in every form; run by the tests below in processes of their own, because the
/// font is looked for once.
#[test]
#[ignore = "depends on the fonts of this machine"]
fn korean() {
    let figure = image_grid(&split(2), 1, 2).unwrap().title("정확도 100 %");
    println!("svg: {}", figure.to_svg().unwrap().lines().next().unwrap());
    for (form, made) in [("png", figure.to_png()), ("pdf", figure.to_pdf())] {
        match made {
            Ok(bytes) => println!("{form}: {} bytes", bytes.len()),
            Err(error) => println!("{form}: {error}"),
        }
    }
}

fn draw_korean(font: Option<&str>) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "pdf::korean", "--ignored", "--nocapture"]);
    match font {
        Some(font) => command.env("MNIST_KIT_CJK_FONT", font),
        None => command.env_remove("MNIST_KIT_CJK_FONT"),
    };
    let Output { status, stdout, .. } = command.output()?;
    assert!(status.success());
    Ok(String::from_utf8(stdout)?)
}

#[test]
fn korean_without_a_font_is_an_error_and_never_boxes() -> Result<()> {
    let said = draw_korean(Some("/nowhere/font.ttc"))?;
    for form in ["png", "pdf"] {
        let expected = format!("{form}: the fonts of figures have no letters for \"정확도\"");
        assert!(said.contains(&expected), "{said}");
    }
    assert!(said.contains("correct MNIST_KIT_CJK_FONT, which names /nowhere/font.ttc"), "{said}");
    // Browsers have fonts of their own.
    assert!(said.contains("svg: <svg ") && said.contains("Noto Sans CJK KR"), "{said}");
    Ok(())
}

#[test]
fn korean_is_drawn_where_a_font_is_installed() -> Result<()> {
    let said = draw_korean(None)?;
    let drawn = said.contains("png: ") && said.contains(" bytes") && !said.contains("no letters");
    let refused = said.matches("apt-get install fonts-noto-cjk").count() == 2;
    let debian = std::path::Path::new("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc");
    assert!(drawn != refused, "{said}");
    assert!(drawn || !debian.exists(), "{said}");
    Ok(())
}

#[test]
fn other_letters_that_no_font_has_are_named() -> Result<()> {
    let refused = message(image_grid(&split(2), 1, 2)?.title("Digits \u{10600}").to_pdf());
    assert!(refused.contains("change the text"), "{refused}");
    // Without such letters, a drawing names only the fonts that it needs.
    assert!(!image_grid(&split(2), 1, 2)?.title("Digits").to_svg()?.contains("CJK"));
    Ok(())
}
