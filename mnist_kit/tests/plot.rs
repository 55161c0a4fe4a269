//! Every kind of plot: what it says, in which colours, and that nothing is clipped.

mod common;

use anyhow::Result;
use common::message;
use image::RgbImage;
use mnist_kit::data::{Mnist, Split};
use mnist_kit::eval::{Bins, ConfusionMatrix, Prediction, Reliability};
use mnist_kit::plot::{
    Bars, Figure, GridItem, Lines, confidence, confidence_histogram, grid, grid_of, predictions,
    theme,
};
use mnist_kit::train::{EpochRecord, History};
use proptest::prelude::*;
use std::fs;
use tch::{Kind, Tensor};

fn image(channels: i64, height: i64, width: i64) -> Tensor {
    let values: Vec<u8> = (0..channels * height * width).map(|i| (i % 251) as u8).collect();
    Tensor::from_slice(&values).view([channels, height, width])
}

fn split(count: i64) -> Split {
    let labels: Vec<i64> = (0..count).map(|i| i % 10).collect();
    let images = image(count, 28, 28).view([count, 1, 28, 28]);
    Split::new("train", images, Tensor::from_slice(&labels), 10).unwrap()
}

fn prediction(truth: usize, predicted: usize, classes: usize) -> Prediction {
    let mut probabilities = vec![0.1 / classes as f32; classes];
    probabilities[truth] = 0.25;
    probabilities[predicted] = 0.625;
    let class_names = Vec::new();
    Prediction {
        index: 3,
        image: image(1, 28, 28),
        truth,
        predicted,
        probabilities,
        class_names,
        note: None,
    }
}

fn record(epoch: usize, loss: f64, accuracy: f64) -> EpochRecord {
    EpochRecord {
        epoch,
        train_loss: loss,
        train_accuracy: accuracy,
        test_loss: Some(loss * 1.1),
        test_accuracy: Some(accuracy * 0.99),
        seconds: 1.5,
        ..EpochRecord::default()
    }
}

fn history(records: &[(f64, f64)]) -> History {
    let mut history = History::new();
    for (i, &(loss, accuracy)) in records.iter().enumerate() {
        history.push(record(i + 1, loss, accuracy));
    }
    history
}

fn confusion(classes: i64) -> ConfusionMatrix {
    let truths: Vec<i64> = (0..classes * 1200).map(|i| i % classes).collect();
    let predicted: Vec<i64> = (0..classes * 1200)
        .map(|i| if i % 7 == 0 { i / 11 % classes } else { i % classes })
        .collect();
    ConfusionMatrix::new(&truths, &predicted, classes as usize).unwrap()
}

fn balance() -> Result<Figure> {
    let classes = (0..10).map(|class| class.to_string());
    Bars::new("Class", "Images", classes)
        .series("train", (0..10).map(|class| 900.0 + 20.0 * f64::from(class)))
        .series("validation", [180.0; 10])
        .series("test", [200.0; 10])
        .plot()
}

/// A model that is too sure: where it says 0.9 it is right in about 0.8 of the cases.
fn reliability(bins: Bins) -> Result<Reliability> {
    let confidences: Vec<f64> = (0..500).map(|i| (0.3 + f64::from(i) / 700.0).min(1.0)).collect();
    let right: Vec<bool> = confidences
        .iter()
        .enumerate()
        .map(|(i, c)| (i * 37 % 100) as f64 / 100.0 < c - 0.1)
        .collect();
    Reliability::new(&confidences, &right, bins)
}

fn every_plot() -> Result<Vec<(&'static str, Figure)>> {
    let long = "a title that is much longer than the picture below it is wide, by far";
    Ok(vec![
        ("grid", grid(&split(10), 2, 5)?.title("The first image of each digit")),
        ("large grid", grid(&split(300), 15, 20)?),
        ("one image", grid_of(&[GridItem::new(&image(3, 9, 30), long)?], 1, 1)?.title(long)),
        ("predictions", predictions(&[prediction(3, 3, 10), prediction(3, 5, 10)], 1, 2)?),
        ("wrong", confidence(&prediction(24, 25, 26))?.title(long)),
        ("right", confidence(&prediction(1, 1, 2))?),
        ("one epoch", history(&[(0.4, 0.9)]).plot()?),
        ("history", history(&[(2.3, 0.11), (1.0, 0.7), (0.1, 0.98)]).plot()?.title("History")),
        ("confusion", confusion(10).plot()?.title(long)),
        ("small confusion", confusion(2).plot_normalized()?),
        ("large confusion", confusion(26).plot()?),
        ("bars", balance()?.title(long)),
        ("class counts", split(47).class_counts()?.plot()?),
        ("reliability", reliability(Bins::EqualWidth(10))?.plot()?.title("Reliability")),
        ("equal mass", reliability(Bins::EqualMass(15))?.plot()?),
        ("confidences", confidence_histogram(&[0.2, 0.9, 0.99, 1.0], &[false, true, true, true])?),
        (
            "lines",
            (0..9)
                .fold(Lines::new("Step", long).title(long), |lines, i| {
                    lines.series(
                        format!("series number {i}"),
                        [(0.0, 1e-9), (1e6, 1e7 * f64::from(i))],
                    )
                })
                .plot()?
                .caption("one line\nanother line"),
        ),
    ])
}

fn decode(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).unwrap().into_rgb8()
}

/// Nothing reaches the border: whatever does would be cut.
fn assert_clear_border(name: &str, figure: &Figure) {
    let picture = decode(&figure.clone().dpi(96).to_png().unwrap());
    let (width, height) = picture.dimensions();
    for (x, y, pixel) in picture.enumerate_pixels() {
        if x.min(y).min(width - 1 - x).min(height - 1 - y) < 2 {
            assert_eq!(pixel.0, [255; 3], "{name} reaches the border at ({x}, {y})");
        }
    }
}

fn count(svg: &str, text: &str) -> usize {
    svg.matches(text).count()
}

fn hex(theme::Color(red, green, blue): theme::Color) -> String {
    format!("fill=\"#{red:02X}{green:02X}{blue:02X}\"")
}

fn rects(svg: &str, color: theme::Color) -> usize {
    svg.lines().filter(|line| line.starts_with("<rect") && line.contains(&hex(color))).count()
}

/// Whether a text of its own says exactly this.
fn writes(svg: &str, text: &str) -> bool {
    svg.contains(&format!(">\n{text}\n</text>"))
}

#[test]
fn nothing_is_clipped_at_any_size() -> Result<()> {
    for (name, figure) in every_plot()? {
        assert_clear_border(name, &figure);
        for (width, height) in [(160, 160), (320, 200), (200, 500), (1600, 700)] {
            let (name, figure) =
                (format!("{name} at {width} × {height}"), figure.clone().size(width, height));
            match figure.to_svg() {
                Ok(_) => assert_clear_border(&name, &figure),
                Err(error) => {
                    assert!(width.min(height) <= 200, "{name}: {error}");
                    assert!(error.to_string().contains("larger size"), "{name}: {error}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_wide_figure_fits_a_page_unless_its_size_was_asked_for() -> Result<()> {
    let wide = grid(&split(10), 1, 10)?;
    let svg = wide.to_svg()?;
    assert!(svg.starts_with("<svg ") && svg.contains(" width=\"900\" "), "{}", &svg[..200]);
    let sized = wide.size(1300, 200).to_svg()?;
    assert!(sized.contains(" width=\"1300\" height=\"200\" "), "{}", &sized[..200]);
    Ok(())
}

#[test]
fn svg_is_small_and_well_formed() -> Result<()> {
    for (name, figure) in every_plot()? {
        let svg = figure.to_svg()?;
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{name}");
        assert_eq!(count(&svg, "<text "), count(&svg, "</text>"), "{name}");
        for line in svg.lines() {
            // One tag a line, or the text between two.
            let tag = line.starts_with('<') && line.ends_with('>');
            assert!(tag || !line.contains(['<', '>']), "{name}: {line}");
            assert_eq!(count(line, "\"") % 2, 0, "{name}: {line}");
            assert!(!line.contains("NaN") && !line.contains("inf"), "{name}: {line}");
        }
    }
    let digits = Mnist::generated(1, 10, 10)?.train;
    assert!(grid(&digits, 2, 5)?.to_svg()?.len() < 120_000);
    Ok(())
}

#[test]
fn text_is_escaped() -> Result<()> {
    let figure = grid(&split(1), 1, 1)?.title("a < b & \"c\"\u{0}").size(600, 300);
    assert!(writes(&figure.to_svg()?, "a &lt; b &amp; &quot;c&quot; "));
    Ok(())
}

#[test]
fn grid_names_its_digits() -> Result<()> {
    let svg = grid(&split(30), 2, 5)?.to_svg()?;
    // An image of 28 × 28 pixels, 5 × 5 pixels of the figure each, starts with a rectangle of its size, in eighths.
    let whole = "width=\"1120\" height=\"1120\"";
    assert_eq!(count(&svg, whole), 10);
    assert!((0..10).all(|digit| writes(&svg, &format!("Digit {digit}"))));
    // Fewer images than cells: the other cells stay empty.
    assert_eq!(count(&grid(&split(3), 2, 5)?.to_svg()?, whole), 3);
    // The highest grids leave room for what stands around them.
    let high = grid(&split(300), 100, 3)?.title("title").caption("caption").note(Some("note"));
    high.to_svg()?;
    Ok(())
}

#[test]
fn pixels_stay_crisp() -> Result<()> {
    let board = Tensor::from_slice(&[0u8, 255, 255, 0]).view([1, 2, 2]);
    let picture = decode(&grid_of(&[GridItem::new(&board, "")?], 1, 1)?.to_png()?);
    let other = picture.pixels().filter(|pixel| !matches!(pixel.0, [0, 0, 0] | [255, 255, 255]));
    assert_eq!(other.count(), 0);
    Ok(())
}

#[test]
fn a_map_colours_an_image_where_it_is_high() -> Result<()> {
    let black = Tensor::zeros([1, 4, 4], (Kind::Uint8, tch::Device::Cpu));
    let map = Tensor::from_slice2(&[[0.0f32, 0.0], [0.0, 2.0]]);
    let item = GridItem::overlay(&black, &map, "map")?;
    let svg = grid_of(&[item], 1, 1)?.to_svg()?;
    let theme::Color(red, green, blue) = theme::VERMILLION;
    let highest = [red, green, blue].map(|level| (0.75 * f64::from(level)).round() as u8);
    assert_eq!(rects(&svg, theme::Color(highest[0], highest[1], highest[2])), 1, "one corner");
    assert!(rects(&svg, theme::Color(0, 0, 0)) > 0, "the others stay");
    let plain = GridItem::overlay(&black, &map.zeros_like(), "map")?;
    assert_eq!(
        grid_of(&[plain], 1, 1)?.to_svg()?,
        grid_of(&[GridItem::new(&black, "map")?], 1, 1)?.to_svg()?
    );
    for wrong in [&map - 1.0, &map / 0.0, map.view([4]), map.to_kind(Kind::Uint8)] {
        assert!(GridItem::overlay(&black, &wrong, "map").is_err());
    }
    Ok(())
}

#[test]
fn a_bar_is_as_high_as_its_number() -> Result<()> {
    let bars =
        |heights: [f64; 2]| Bars::new("Class", "Images", ["a", "b"]).series("n", heights).plot();
    let svg = bars([2.0, 0.0])?.to_svg()?;
    assert_eq!(rects(&svg, theme::BLUE), 2);
    assert!(writes(&svg, "a") && writes(&svg, "b") && writes(&svg, "2.0"), "{svg}");
    for wrong in [bars([1.0, -1.0]), bars([f64::NAN, 0.0])] {
        assert!(message(wrong).contains("expected 0 or more"));
    }
    let three = Bars::new("Class", "Images", ["a", "b"]).series("n", [1.0, 2.0, 3.0]).plot();
    assert!(message(three).contains("3 bars for 2 categories"));
    assert!(message(Bars::new("Class", "Images", ["a"]).plot()).contains("add a series"));
    Ok(())
}

#[test]
fn predictions_are_coloured_and_marked() -> Result<()> {
    let svg = predictions(&[prediction(3, 3, 10), prediction(3, 5, 10)], 1, 2)?.to_svg()?;
    // The line before a text says how it is written.
    let title = |text: &str| {
        let before = svg.lines().zip(svg.lines().skip(1)).find(|(_, line)| line.contains(text));
        before.expect(text).0.to_string()
    };
    assert!(title("True: 3, Pred: 3 ✓").contains(&hex(theme::BLUISH_GREEN)));
    assert!(title("True: 3, Pred: 5 ✗").contains(&hex(theme::VERMILLION)));
    Ok(())
}

#[test]
fn confidence_tells_truth_and_prediction_apart() -> Result<()> {
    // A bar and a key in the legend each; the other eight bars are pale.
    let svg = confidence(&prediction(3, 5, 10))?.to_svg()?;
    assert_eq!(rects(&svg, theme::BLUISH_GREEN), 2);
    assert_eq!(rects(&svg, theme::VERMILLION), 2);
    assert_eq!(rects(&svg, theme::Color(173, 207, 232)), 8);
    for text in [
        "True label (3)",
        "Predicted (5)",
        "Most probable: 5 (62.50 %), 3 (25.00 %), 0 (1.00 %)",
        "Probability of the true class 3: 25.00 %",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    let svg = confidence(&prediction(3, 3, 10))?.to_svg()?;
    assert_eq!(rects(&svg, theme::BLUISH_GREEN), 2);
    assert!(!svg.contains(&hex(theme::VERMILLION)));
    Ok(())
}

#[test]
fn history_has_two_panels_with_markers() -> Result<()> {
    let svg = history(&[(0.35, 0.90), (0.16, 0.95), (0.11, 0.967)]).plot()?.to_svg()?;
    // Train: a circle for each epoch and one in the legend, in both panels.
    assert_eq!(count(&svg, "<circle "), 8);
    assert_eq!(count(&svg, "<polygon "), 8);
    let labels: Vec<&str> = ["80", "85", "90", "95", "100"].into();
    assert!(labels.iter().all(|label| writes(&svg, label)));
    // Epochs are whole numbers, and the axis reaches down where an accuracy does.
    assert!(!writes(&svg, "1.5") && !writes(&svg, "60"));
    assert!(writes(&history(&[(2.0, 0.61)]).plot()?.to_svg()?, "60"));

    let mut trained_only = History::new();
    trained_only.push(EpochRecord { test_loss: None, test_accuracy: None, ..record(1, 0.3, 0.9) });
    assert!(!trained_only.plot()?.to_svg()?.contains("Test"));
    Ok(())
}

#[test]
fn markers_on_the_border_of_the_data_are_whole() -> Result<()> {
    let ends = [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0)];
    let svg = Lines::new("x", "y").series("a", ends).series("b", ends).plot()?.to_svg()?;
    let height = |line: &str| -> i32 {
        let (_, points) = line.split_once("points=\"").unwrap();
        let points = points.split_once('"').unwrap().0.split_whitespace();
        let ys: Vec<i32> =
            points.map(|point| point.split_once(',').unwrap().1.parse().unwrap()).collect();
        ys.iter().max().unwrap() - ys.iter().min().unwrap()
    };
    let triangles: Vec<i32> =
        svg.lines().filter(|line| line.starts_with("<polygon")).map(height).collect();
    assert_eq!(triangles.len(), 4);
    assert!(triangles.iter().all(|&height| height == triangles[0]), "{triangles:?}");
    Ok(())
}

#[test]
fn confusion_shades_mistakes() -> Result<()> {
    let matrix = ConfusionMatrix::new(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 1, 2], 3)?;
    let svg = matrix.plot()?.to_svg()?;
    assert_eq!(rects(&svg, theme::Color(173, 207, 232)), 3);
    assert_eq!(rects(&svg, theme::Color(95, 30, 5)), 1);
    assert!(svg.contains("darkest at 1"));
    let svg = matrix.plot_normalized()?.to_svg()?;
    assert!(["66.7", "33.3", "100"].iter().all(|text| writes(&svg, text)));
    // A class without images, and a matrix without mistakes.
    let perfect = ConfusionMatrix::new(&[0], &[0], 2)?;
    assert!(perfect.plot()?.to_svg()?.contains("No mistakes"));
    perfect.plot_normalized()?.to_png()?;
    Ok(())
}

#[test]
fn png_has_the_pixels_and_the_density_asked_for() -> Result<()> {
    let figure = history(&[(0.4, 0.9)]).plot()?;
    for (dpi, size) in [(96, (400, 300)), (192, (800, 600)), (300, (1250, 938))] {
        let png = figure.clone().size(400, 300).dpi(dpi).to_png()?;
        assert_eq!(decode(&png).dimensions(), size);
        let chunk = png.windows(4).position(|window| window == b"pHYs").unwrap();
        let per_metre = u32::from_be_bytes(png[chunk + 4..chunk + 8].try_into()?);
        assert_eq!(per_metre, (f64::from(dpi) / 0.0254).round() as u32);
    }
    Ok(())
}

#[test]
fn save_makes_folders_and_replaces_whole_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let figure = grid(&split(2), 1, 2)?;
    let svg = folder.path().join("a/b/grid.svg");
    figure.save(&svg)?;
    assert_eq!(fs::read_to_string(&svg)?, figure.to_svg()?);
    let png = folder.path().join("a/b/grid.PNG");
    figure.save(&png)?;
    assert_eq!(fs::read(&png)?, figure.to_png()?);

    // A failing save leaves the file that was there, and nothing beside it.
    let untold = message(figure.clone().title("숫자").save(&png));
    assert!(untold.contains("DejaVu") && untold.contains("숫자"), "{untold}");
    assert_eq!(fs::read(&png)?, figure.to_png()?);
    assert_eq!(fs::read_dir(folder.path().join("a/b"))?.count(), 2);
    // Viewers of the SVG form have fonts of their own.
    assert!(figure.clone().title("숫자").to_svg()?.contains("숫자"));

    let other = message(figure.save(folder.path().join("grid.pdf")));
    assert!(other.contains(".svg") && other.contains(".png"), "{other}");
    assert!(message(figure.save(folder.path().join("grid"))).contains(".svg"));
    let inside_a_file = message(figure.save(svg.join("grid.svg")));
    assert!(inside_a_file.contains("cannot write"), "{inside_a_file}");
    Ok(())
}

#[cfg(unix)]
#[test]
fn saved_files_are_as_readable_as_others() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir()?;
    let (ours, other) = (folder.path().join("ours.svg"), folder.path().join("other"));
    grid(&split(1), 1, 1)?.save(&ours)?;
    fs::write(&other, "")?;
    let mode = |path| -> Result<u32> { Ok(fs::metadata(path)?.permissions().mode()) };
    assert_eq!(mode(&ours)?, mode(&other)?);
    Ok(())
}

#[test]
fn title_and_caption_make_the_figure_higher_unless_its_size_is_set() -> Result<()> {
    let height = |figure: &Figure| decode(&figure.clone().dpi(96).to_png().unwrap()).height();
    let plain = grid(&split(2), 1, 2)?;
    let titled = plain.clone().title("one").title("two");
    assert_eq!(height(&titled), height(&plain) + 30);
    assert!(height(&titled.clone().caption("a\nb")) > height(&titled));
    assert_eq!(height(&plain.size(300, 200).title("one").caption("two")), 200);
    Ok(())
}

#[test]
fn a_note_has_the_lower_right_corner_for_itself() -> Result<()> {
    let pixels = |figure: &Figure| decode(&figure.clone().dpi(96).to_png().unwrap());
    for (name, figure) in every_plot()? {
        let (plain, noted) = (pixels(&figure), pixels(&figure.note(Some("generated digits"))));
        let (width, height) = plain.dimensions();
        assert_eq!(noted.dimensions(), (width, height + 14), "{name}");
        // All else stays where it was; the note is dark enough to read, and at the right.
        let edge = height - 12;
        let same = |(x, y, pixel): (u32, u32, _)| y >= edge || noted.get_pixel(x, y) == pixel;
        assert!(plain.enumerate_pixels().all(same), "{name}");
        let ink: Vec<u32> = noted
            .enumerate_pixels()
            .filter(|&(_, y, pixel)| y >= edge && pixel.0[0] < 160)
            .map(|(x, ..)| x)
            .collect();
        assert!(ink.iter().max().unwrap() > &(width - 18), "{name}");
        assert!(ink.iter().min().unwrap() > &(width - 110), "{name}");
    }
    Ok(())
}

/// Exports a figure; run by the test below in a process of its own, with a folder of its own.
#[test]
#[ignore = "writes to the output folder"]
fn export() {
    history(&[(0.4, 0.9)]).plot().unwrap().export("curves").unwrap();
}

#[test]
fn export_writes_both_forms_into_the_output_folder() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "export", "--ignored"])
        .env("MNIST_KIT_OUT", folder.path())
        .output()?;
    assert!(run.status.success(), "{run:?}");
    let figure = history(&[(0.4, 0.9)]).plot()?;
    let read = |name: &str| fs::read(folder.path().join("figures").join(name));
    assert_eq!(read("curves.svg")?, figure.to_svg()?.into_bytes());
    assert_eq!(read("curves.png")?, figure.to_png()?);
    assert!(message(figure.export("")).contains("no name"));
    Ok(())
}

/// What a notebook receives; run by the test below in a process of its own, to read its output.
#[test]
#[ignore = "writes to the terminal"]
fn display() {
    history(&[(0.4, 0.9)]).plot().unwrap().evcxr_display();
}

#[test]
fn a_notebook_receives_svg_and_png() -> Result<()> {
    let run = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "display", "--ignored", "--nocapture"])
        .output()?;
    let output = String::from_utf8(run.stdout)?;
    let content = |form: &str| {
        let (_, rest) = output.split_once(&format!("EVCXR_BEGIN_CONTENT {form}\n")).expect(form);
        rest.split_once("\nEVCXR_END_CONTENT").expect(form).0.to_string()
    };
    assert_eq!(content("image/svg+xml").trim(), history(&[(0.4, 0.9)]).plot()?.to_svg()?.trim());
    assert!(content("image/png").starts_with("iVBORw0KGgo"));
    assert_eq!(count(&output, "EVCXR_BEGIN_CONTENT"), 2);
    Ok(())
}

#[test]
fn what_cannot_be_drawn_is_explained() -> Result<()> {
    let says =
        |found: String, part: &str| assert!(found.contains(part), "{found:?} lacks {part:?}");
    says(message(grid(&split(2), 0, 5)), "0 rows");
    says(message(grid(&split(0), 2, 5)), "no images");
    says(message(predictions(&[prediction(1, 1, 2), prediction(1, 1, 2)], 1, 1)), "do not fit");
    says(message(confidence_histogram(&[f64::NAN, 0.5], &[true, false])), "confidence NaN");
    says(message(GridItem::new(&image(2, 4, 4), "")), "[2, 4, 4]");
    says(message(GridItem::new(&image(1, 4, 4).to_kind(Kind::Float), "")), "Float");
    says(message(GridItem::new(&image(1, 0, 4), "")), "no pixels");
    says(message(History::new().plot()), "no epochs");
    says(message(history(&[(f64::NAN, 0.9)]).plot()), "NaN");
    says(message(history(&[(0.3, 97.0)]).plot()), "0 to 1");
    says(message(Lines::new("x", "y").plot()), "add a series");
    says(message(Lines::new("x", "y").series("a", []).plot()), "no points");
    let lines = Lines::new("x", "y").series("a", [(0.0, 1.0)]);
    says(message(lines.clone().y_range(1.0, 1.0).plot()), "y range");
    says(message(ConfusionMatrix::new(&[], &[], 1)?.plot()), "1 classes");

    let mut strange = prediction(1, 1, 3);
    strange.probabilities[2] = f32::NAN;
    says(message(confidence(&strange)), "NaN");
    strange.probabilities.truncate(1);
    says(message(confidence(&strange)), "at least two");
    says(message(confidence(&Prediction { truth: 7, ..prediction(1, 1, 3) })), "true class 7");

    let figure = lines.plot()?;
    says(message(figure.clone().size(100, 1).to_svg()), "100 × 1");
    says(message(figure.clone().dpi(0).to_png()), "0 dots");
    says(message(figure.size(4000, 4000).dpi(1200).to_png()), "smaller size");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_history_is_drawn_or_refused(
        records in prop::collection::vec((prop::num::f64::ANY, 0.0..=1.0f64), 1..40),
    ) {
        let drawable = records.iter().all(|(loss, _)| loss.abs() * 1.1 <= 1e100);
        let figure = history(&records).plot();
        prop_assert_eq!(figure.is_ok(), drawable);
        if let Ok(figure) = figure {
            assert_clear_border("history", &figure);
        }
    }

    #[test]
    fn any_series_is_drawn(
        points in prop::collection::vec((-1e6..1e6f64, -1.0..1.0f64), 1..60),
        power in -40..40i32,
    ) {
        let points = points.into_iter().map(|(x, y)| (x, y * 10f64.powi(power)));
        let figure = Lines::new("x", "y").series("any", points).plot().unwrap();
        assert_clear_border("lines", &figure);
    }

    #[test]
    fn any_title_stays_inside(title in "[ -~äßéλЖ✓]{0,80}", width in 160..900u32) {
        assert_clear_border("grid", &grid(&split(2), 1, 2).unwrap().title(title).size(width, 200));
    }
}
