//! Figures that a reader draws with plotters.

use crate::common::message;
use crate::samples::*;
use anyhow::{Result, bail};
use mnist_kit::figure::Figure;
use mnist_kit::plotters::prelude::*;
use mnist_kit::plotters::style::text_anchor::{HPos, Pos, VPos};

#[test]
fn a_chart_of_plotters_is_a_figure() -> Result<()> {
    let svg = drawn()?.to_svg()?;
    for text in ["A caption of plotters", "Epoch", "Loss", "every sixth"] {
        assert!(writes(&svg, text), "{text}");
    }
    // 20 in plotters is an em of 16 pixels, in eighths.
    let caption = svg.lines().find(|line| line.contains("A caption of plotters")).unwrap();
    assert!(caption.contains("font-size=\"129.03\""), "{caption}");
    let curve = svg.lines().find(|line| line.contains("stroke=\"#0000FF\"")).unwrap();
    assert!(curve.contains("stroke-width=\"16\""), "{curve}");
    assert_eq!(count(&svg, "fill-opacity=\"0.5\""), 11);
    Ok(())
}

#[test]
fn the_canvas_has_the_size_asked_for_and_the_figure_no_margin() -> Result<()> {
    let figure = Figure::draw(300, 200, |area| {
        assert_eq!(area.dim_in_pixel(), (300, 200));
        area.fill(&RED)?;
        Ok(())
    })?;
    let picture = decode(&figure.clone().dpi(96).to_png()?);
    assert_eq!(picture.dimensions(), (300, 200));
    assert!(picture.pixels().all(|pixel| pixel.0 == [255, 0, 0]));

    // A title gets a margin of its own, and the drawing keeps its size.
    let titled = decode(&figure.clone().title("Red").dpi(96).to_png()?);
    assert_eq!(titled.dimensions(), (300, 242));
    let red = titled.pixels().filter(|pixel| pixel.0 == [255, 0, 0]).count();
    assert_eq!(red, 300 * 200);
    // Another size scales the drawing as a picture.
    let large = decode(&figure.size(900, 400).dpi(96).to_png()?);
    let red = large.pixels().filter(|pixel| pixel.0 == [255, 0, 0]).count();
    assert_eq!(red, 600 * 400);
    Ok(())
}

#[test]
fn every_shape_of_plotters_is_drawn_in_both_forms() -> Result<()> {
    let figure = Figure::draw(200, 200, |area| {
        area.draw(&Rectangle::new([(10, 10), (50, 30)], BLUE.stroke_width(3)))?;
        area.draw(&Rectangle::new([(60, 10), (90, 30)], BLUE.filled()))?;
        area.draw(&Circle::new((30, 60), 15, GREEN.stroke_width(2)))?;
        area.draw(&Polygon::new([(60, 50), (90, 50), (75, 80)], MAGENTA))?;
        area.draw(&PathElement::new([(10, 100), (50, 120), (90, 100)], BLACK.stroke_width(4)))?;
        area.draw_pixel((150, 150), &RED)?;
        let turned = ("serif", 15).into_font().transform(FontTransform::Rotate90).color(&BLACK);
        area.draw(&Text::new("turned", (120, 20), turned))?;
        for (i, v_pos) in [VPos::Top, VPos::Center, VPos::Bottom].into_iter().enumerate() {
            let style = ("monospace", 15).into_font().color(&BLACK);
            let style = style.pos(Pos::new(HPos::Right, v_pos));
            area.draw(&Text::new("anchor", (190, 60 + 20 * i as i32), style))?;
        }
        Ok(())
    })?;
    let svg = figure.to_svg()?;
    for (element, number) in [("<rect ", 3), ("<circle ", 1), ("<polygon ", 1), ("<polyline ", 2)] {
        assert_eq!(count(&svg, element), number, "{element}");
    }
    assert_eq!(count(&svg, "rotate(90, "), 1);
    let picture = decode(&figure.dpi(96).to_png()?);
    for (at, color) in
        [((75, 20), [0, 0, 255]), ((75, 60), [255, 0, 255]), ((150, 150), [255, 0, 0])]
    {
        assert_eq!(picture.get_pixel(at.0, at.1).0, color, "{at:?}");
    }
    // Ink of the turned text below its anchor, and of nothing to its right.
    let ink = |x, y| picture.get_pixel(x, y).0[0] < 128;
    assert!((100..125).any(|x| (20..70).any(|y| ink(x, y))));
    Ok(())
}

#[test]
fn an_error_of_the_drawing_is_returned() {
    let failed = message(Figure::draw(300, 200, |_| bail!("no data")));
    assert_eq!(failed, "no data");
    let small = message(Figure::draw(100, 200, |_| Ok(())));
    assert!(small.contains("100 × 200 pixels, expected 160 to 4000"), "{small}");
}
