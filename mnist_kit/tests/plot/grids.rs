//! Grids of images, predictions and maps.

use crate::common::message;
use crate::samples::*;
use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use image::RgbImage;
use mnist_kit::eval::Prediction;
use mnist_kit::figure::{Figure, theme};
use mnist_kit::plot::{
    GridItem, augmentation_grid, confidence_grid, grad_cam_grid, image_grid, item_grid,
    kernel_grid, kernel_grids, prediction_grid,
};
use mnist_kit::transform::{Compose, RandomRotation};
use tch::{Device, Kind, Tensor};

#[test]
fn a_grid_names_the_classes() -> Result<()> {
    let svg = image_grid(&split(30), 2, 5)?.to_svg()?;
    // An image of 28 × 28 pixels, 5 × 5 pixels of the figure each, starts with a rectangle of its size, in eighths.
    let whole = "width=\"1120\" height=\"1120\"";
    assert_eq!(count(&svg, whole), 10);
    assert!((0..10).all(|digit| writes(&svg, &digit.to_string())));
    // Fewer images than cells: the other cells stay empty, and there is no empty row.
    let three = image_grid(&split(3), 2, 5)?.to_svg()?;
    assert_eq!(count(&three, whole), 3);
    assert_eq!(three, image_grid(&split(3), 1, 5)?.to_svg()?);
    // The tallest grids leave room for title, caption and note.
    let high =
        image_grid(&split(300), 100, 3)?.title("title").caption("caption").note(Some("note"));
    high.to_svg()?;
    Ok(())
}

/// The bitmaps that an SVG document embeds.
fn embedded(svg: &str) -> Result<Vec<RgbImage>> {
    let bitmaps = svg.split("href=\"data:image/png;base64,").skip(1);
    let decoded = bitmaps.map(|rest| {
        let (text, _) = rest.split_once('"').context("no end of the bitmap")?;
        Ok(decode(&BASE64_STANDARD.decode(text)?))
    });
    decoded.collect()
}

#[test]
fn maps_have_one_scale_and_the_resolution_of_imagenet() -> Result<()> {
    let black = Tensor::zeros([1, 28, 28], (Kind::Uint8, Device::Cpu));
    let map = Tensor::arange(49, (Kind::Float, Device::Cpu)).view([7, 7]) / 48.0;
    let items =
        [GridItem::overlay(&black, &map, "")?, GridItem::overlay(&black, &(&map * 2.0), "")?];
    let svg = item_grid(&items, 1, 2)?.to_svg()?;
    let maps = embedded(&svg)?;
    assert_eq!(maps.iter().map(RgbImage::dimensions).collect::<Vec<_>>(), [(224, 224); 2]);
    // The lowest and the highest color of viridis; the first map reaches the middle only.
    assert_eq!(maps[0].get_pixel(0, 0).0, [68, 1, 84]);
    assert_eq!(maps[0].get_pixel(223, 223).0, [33, 145, 140]);
    assert_eq!(maps[1].get_pixel(223, 223).0, [253, 231, 37]);
    // The bar shows the scale.
    assert!(["0.0", "1.0", "2.0"].iter().all(|tick| writes(&svg, tick)), "{svg}");

    // Bright pixels of the image lighten the color, and a map of zeros is drawn too.
    let white = black.ones_like() * 255;
    let svg = item_grid(&[GridItem::overlay(&white, &map.zeros_like(), "")?], 1, 1)?.to_svg()?;
    assert_eq!(rects(&svg, theme::Color(180, 153, 187)), 1);
    for wrong in [&map - 1.0, &map / 0.0, map.view([49]), map.to_kind(Kind::Uint8)] {
        assert!(GridItem::overlay(&black, &wrong, "map").is_err());
    }
    Ok(())
}

#[test]
fn correct_and_wrong_predictions_are_shown_with_their_maps() -> Result<()> {
    let predictions = [prediction(3, 3, 10), prediction(3, 5, 10)];
    let maps = Tensor::rand([2, 7, 7], (Kind::Float, Device::Cpu));
    let figure = grad_cam_grid(&predictions, &maps, 2, 1)?.title("Grad-CAM of conv2, CNN");
    let svg = figure.to_svg()?;
    assert_eq!(embedded(&svg)?.len(), 2);
    for text in ["True: 3, Pred: 3 ✓", "True: 3, Pred: 5 ✗", "Grad-CAM of conv2, CNN", "0.0"] {
        assert!(writes(&svg, text), "{text}");
    }
    let few = message(grad_cam_grid(&predictions, &maps.narrow(0, 0, 1), 2, 1));
    assert!(few.contains("[1, 7, 7] for 2 predictions, expected [2, h, w]"), "{few}");
    Ok(())
}

#[test]
fn kernels_are_white_at_0_and_share_a_scale() -> Result<()> {
    let before = Tensor::from_slice(&[-1.0f32, 0.0, 0.0, 1.0]).view([1, 1, 2, 2]);
    let svg = kernel_grid(&before)?.to_svg()?;
    let (blue, orange) = (theme::Color(5, 66, 128), theme::Color(140, 58, 0));
    // One corner each; the bar has colors near the ends. The two zeros are the ground of the image.
    assert_eq!((rects(&svg, blue), rects(&svg, orange)), (1, 1));
    let whole = "width=\"1120\" height=\"1120\" fill=\"#FFFFFF\"";
    assert_eq!(count(&svg, whole), 1, "{svg}");
    assert!(["kernel 0", "−1.0", "0.0", "1.0"].iter().all(|text| writes(&svg, text)));

    // The larger weights of the second set make the first ones paler.
    let after = &before * 3.0;
    let svg = kernel_grids(&[("before", &before), ("after", &after)])?.to_svg()?;
    assert_eq!((rects(&svg, blue), rects(&svg, orange)), (1, 1));
    assert_eq!(rects(&svg, theme::Color(150, 200, 230)), 1);
    assert!(writes(&svg, "before") && writes(&svg, "after"));

    // Rows of several input channels; an incomplete last row.
    let channels = Tensor::randn([2, 3, 5, 5], (Kind::Float, Device::Cpu));
    assert!(writes(&kernel_grid(&channels)?.to_svg()?, "1, 2"));
    let ten = Tensor::randn([10, 3, 3], (Kind::Float, Device::Cpu));
    let svg = kernel_grids(&[("a", &ten), ("b", &ten)])?.to_svg()?;
    assert_eq!(count(&svg, ">kernel 9</text>"), 2);

    assert!(message(kernel_grids(&[])).contains("no weights"));
    assert!(message(kernel_grid(&ten.get(0))).contains("expected Float [out, in, H, W]"));
    let other = message(kernel_grids(&[("a", &ten), ("b", &channels)]));
    assert!(other.contains("as many kernels"), "{other}");
    assert!(kernel_grid(&(&ten / 0.0)).is_err());
    Ok(())
}

#[test]
fn the_confidence_is_written_below_each_image() -> Result<()> {
    let sure = Prediction { probabilities: vec![0.0, 0.999_99], ..prediction(0, 1, 2) };
    let svg = confidence_grid(&[prediction(3, 5, 10), sure], 1, 2)?.to_svg()?;
    for text in ["True: 3, Pred: 5 ✗", "Confidence: 62.50 %", "Confidence: &gt; 99.99 %"] {
        assert!(writes(&svg, text), "{text}");
    }
    Ok(())
}

#[test]
fn cells_have_the_proportions_of_their_images() -> Result<()> {
    let height = |figure: &Figure| decode(&figure.clone().dpi(96).to_png().unwrap()).height();
    let pairs: Vec<GridItem> =
        (0..6).map(|_| GridItem::new(&image(1, 28, 56), "3 and 5")).collect::<Result<_>>()?;
    // Two rows: 24 of margins, and 140 of an image, 22 of its title and 16 of a gap in each.
    assert_eq!(height(&item_grid(&pairs, 2, 3)?), 380);
    assert!(item_grid(&pairs, 2, 3)?.to_svg()?.contains("width=\"2240\" height=\"1120\""));
    // Without any title there is no band for titles.
    let untitled = [GridItem::new(&image(1, 28, 28), "")?];
    assert_eq!(height(&item_grid(&untitled, 1, 1)?), 180);
    Ok(())
}

#[test]
fn each_row_of_augmentations_starts_with_the_original() -> Result<()> {
    let digit = split(1).get(0)?.0;
    let augment = Compose::new().then(RandomRotation::new(30.0)).to_tensor().normalize(0.5, 0.5);
    let figure = augmentation_grid(&digit, &augment, 2, 4)?;
    let svg = figure.to_svg()?;
    let frame = format!("stroke=\"#{:02X}{:02X}{:02X}\"", 230, 159, 0);
    assert_eq!(count(&svg, &frame), 2);
    assert_eq!(count(&svg, "width=\"1120\" height=\"1120\""), 8);
    assert!(svg.contains("In the frame: the original"));
    assert_eq!(svg, augmentation_grid(&digit, &augment, 2, 4)?.to_svg()?);

    let fails = |image: &Tensor, transform: &Compose, rows, columns| {
        message(augmentation_grid(image, transform, rows, columns))
    };
    assert!(fails(&digit, &augment.clone().flatten(), 2, 4).contains("leave out flatten"));
    assert!(fails(&digit, &augment, 2, 1).contains("2 rows of 1"));
    assert!(fails(&digit.to_kind(Kind::Float), &augment, 2, 4).contains("expected Uint8"));
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
