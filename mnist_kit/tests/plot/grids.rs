//! Grids of images, predictions and maps.

use crate::samples::*;
use anyhow::Result;
use mnist_kit::figure::theme;
use mnist_kit::plot::{GridItem, image_grid, item_grid, prediction_grid};
use tch::{Kind, Tensor};

#[test]
fn a_grid_names_the_classes() -> Result<()> {
    let svg = image_grid(&split(30), 2, 5)?.to_svg()?;
    // An image of 28 × 28 pixels, 5 × 5 pixels of the figure each, starts with a rectangle of its size, in eighths.
    let whole = "width=\"1120\" height=\"1120\"";
    assert_eq!(count(&svg, whole), 10);
    assert!((0..10).all(|digit| writes(&svg, &digit.to_string())));
    // Fewer images than cells: the other cells stay empty.
    assert_eq!(count(&image_grid(&split(3), 2, 5)?.to_svg()?, whole), 3);
    // The tallest grids leave room for title, caption and note.
    let high =
        image_grid(&split(300), 100, 3)?.title("title").caption("caption").note(Some("note"));
    high.to_svg()?;
    Ok(())
}

#[test]
fn a_map_colors_an_image_where_it_is_high() -> Result<()> {
    let black = Tensor::zeros([1, 4, 4], (Kind::Uint8, tch::Device::Cpu));
    let map = Tensor::from_slice2(&[[0.0f32, 0.0], [0.0, 2.0]]);
    let item = GridItem::overlay(&black, &map, "map")?;
    let svg = item_grid(&[item], 1, 1)?.to_svg()?;
    let theme::Color(red, green, blue) = theme::VERMILLION;
    let highest = [red, green, blue].map(|level| (0.75 * f64::from(level)).round() as u8);
    assert_eq!(rects(&svg, theme::Color(highest[0], highest[1], highest[2])), 1, "one corner");
    assert!(rects(&svg, theme::Color(0, 0, 0)) > 0, "the others stay");
    let plain = GridItem::overlay(&black, &map.zeros_like(), "map")?;
    assert_eq!(
        item_grid(&[plain], 1, 1)?.to_svg()?,
        item_grid(&[GridItem::new(&black, "map")?], 1, 1)?.to_svg()?
    );
    for wrong in [&map - 1.0, &map / 0.0, map.view([4]), map.to_kind(Kind::Uint8)] {
        assert!(GridItem::overlay(&black, &wrong, "map").is_err());
    }
    Ok(())
}

#[test]
fn predictions_are_colored_and_marked() -> Result<()> {
    let svg = prediction_grid(&[prediction(3, 3, 10), prediction(3, 5, 10)], 1, 2)?.to_svg()?;
    let title = |text: &str| svg.lines().find(|line| line.contains(text)).expect(text);
    assert!(title("True: 3, Pred: 3 ✓").contains(&hex(theme::BLUISH_GREEN)));
    assert!(title("True: 3, Pred: 5 ✗").contains(&hex(theme::VERMILLION)));
    Ok(())
}

#[test]
fn names_are_written_in_two_lines() -> Result<()> {
    let predictions = [prediction(3, 3, 10), prediction(9, 0, 10)].map(fashion);
    let svg = prediction_grid(&predictions, 1, 2)?.to_svg()?;
    for text in ["True: Dress", "Pred: Dress ✓", "True: Ankle boot", "Pred: T-shirt/top ✗"] {
        assert!(writes(&svg, text), "{text}");
    }
    Ok(())
}
