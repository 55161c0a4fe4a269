//! Figures as such: size, title, SVG and PNG, files, notebooks.

use crate::common::message;
use crate::samples::*;
use anyhow::Result;
use mnist_kit::data::Mnist;
use mnist_kit::figure::Figure;
use mnist_kit::plot::{GridItem, image_grid, item_grid};
use proptest::prelude::*;
use std::fs;
use std::process::Command;
use tch::Tensor;

#[test]
fn nothing_is_clipped_at_any_size() -> Result<()> {
    for (name, figure) in every_plot()? {
        assert_clear_border(name, &figure);
        // Whoever draws with plotters decides what fits.
        if name == "drawn" {
            continue;
        }
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
    let wide = image_grid(&split(10), 1, 10)?;
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
        // The bitmaps of heat maps may contain any letters.
        for line in svg.lines().filter(|line| !line.starts_with("<image ")) {
            // One tag a line, or the text between two.
            let tag = line.starts_with('<') && line.ends_with('>');
            assert!(tag || !line.contains(['<', '>']), "{name}: {line}");
            assert_eq!(count(line, "\"") % 2, 0, "{name}: {line}");
            assert!(!line.contains("NaN") && !line.contains("inf"), "{name}: {line}");
        }
    }
    let digits = Mnist::generated(1, 10, 10)?.train;
    assert!(image_grid(&digits, 2, 5)?.to_svg()?.len() < 120_000);
    Ok(())
}

#[test]
fn text_is_escaped() -> Result<()> {
    let figure = image_grid(&split(1), 1, 1)?.title("a < b & \"c\"\u{0}").size(600, 300);
    assert!(writes(&figure.to_svg()?, "a &lt; b &amp; &quot;c&quot; "));
    Ok(())
}

#[test]
fn pixels_stay_crisp() -> Result<()> {
    let board = Tensor::from_slice(&[0u8, 255, 255, 0]).view([1, 2, 2]);
    let picture = decode(&item_grid(&[GridItem::new(&board, "")?], 1, 1)?.to_png()?);
    let other = picture.pixels().filter(|pixel| !matches!(pixel.0, [0, 0, 0] | [255, 255, 255]));
    assert_eq!(other.count(), 0);
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
    let figure = image_grid(&split(2), 1, 2)?;
    let svg = folder.path().join("a/b/grid.svg");
    figure.save(&svg)?;
    assert_eq!(fs::read_to_string(&svg)?, figure.to_svg()?);
    let png = folder.path().join("a/b/grid.PNG");
    figure.save(&png)?;
    assert_eq!(fs::read(&png)?, figure.to_png()?);

    // A failing save leaves the file that was there, and nothing beside it.
    // No font has letters of Linear A. Korean ones depend on the machine: see pdf.rs.
    let untold = message(figure.clone().title("\u{10600}").save(&png));
    assert!(untold.contains("no letters") && untold.contains('\u{10600}'), "{untold}");
    assert_eq!(fs::read(&png)?, figure.to_png()?);
    assert_eq!(fs::read_dir(folder.path().join("a/b"))?.count(), 2);
    // Viewers of the SVG form have fonts of their own.
    assert!(figure.clone().title("숫자").to_svg()?.contains("숫자"));

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
    image_grid(&split(1), 1, 1)?.save(&ours)?;
    fs::write(&other, "")?;
    let mode = |path| -> Result<u32> { Ok(fs::metadata(path)?.permissions().mode()) };
    assert_eq!(mode(&ours)?, mode(&other)?);
    Ok(())
}

#[test]
fn title_and_caption_make_the_figure_higher_unless_its_size_is_set() -> Result<()> {
    let height = |figure: &Figure| decode(&figure.clone().dpi(96).to_png().unwrap()).height();
    let plain = image_grid(&split(2), 1, 2)?;
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
    let run = Command::new(std::env::current_exe()?)
        .args(["--exact", "figure::export", "--ignored"])
        .env("MNIST_KIT_OUT", folder.path())
        .output()?;
    assert!(run.status.success(), "{run:?}");
    let figure = history(&[(0.4, 0.9)]).plot()?;
    let read = |name: &str| fs::read(folder.path().join("figures").join(name));
    assert_eq!(read("curves.svg")?, figure.to_svg()?.into_bytes());
    assert_eq!(read("curves.png")?, figure.to_png()?);
    assert!(message(figure.export("")).contains("the name of the figure is empty"));
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
    let run = Command::new(std::env::current_exe()?)
        .args(["--exact", "figure::display", "--ignored", "--nocapture"])
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_title_stays_inside(title in "[ -~äßéλЖ✓]{0,80}", width in 160..900u32) {
        let figure = image_grid(&split(2), 1, 2).unwrap();
        assert_clear_border("grid", &figure.title(title).size(width, 200));
    }
}
