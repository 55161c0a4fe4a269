//! An image beside its augmentations.

use super::grid::item_grid;
use super::item::GridItem;
use crate::Result;
use crate::check::describe;
use crate::figure::Figure;
use crate::transform::Compose;
use anyhow::{Context, ensure};
use tch::{Kind, Tensor};

/// Plots an image beside what a random transform makes of it: each of `rows` rows starts with the
/// original, in a frame, and `columns - 1` augmentations follow.
///
/// Normalization is undone for the picture. The random numbers have a fixed seed, so the same call
/// gives the same figure.
///
/// # Shapes
/// `image` uint8 `[C, H, W]`, or `[N, C, H, W]` with an original for each row (they repeat where
/// there are more rows). The transform has to leave an image, so leave out `flatten`.
///
/// # Errors
/// Another shape or dtype, no rows, fewer than two columns, or a transform that fails.
///
/// ```
/// use mnist_kit::data::Mnist;
/// use mnist_kit::plot::augmentation_grid;
/// use mnist_kit::transform::{Compose, RandomRotation};
///
/// let digits = Mnist::generated(7, 10, 10)?;
/// let (image, _) = digits.train.get(0)?;
/// let augment = Compose::new().then(RandomRotation::new(15.0)).to_tensor().normalize(0.5, 0.5);
/// augmentation_grid(&image, &augment, 2, 5)?.title("One digit, rotated by up to 15 degrees");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn augmentation_grid(
    image: &Tensor,
    transform: &Compose,
    rows: usize,
    columns: usize,
) -> Result<Figure> {
    ensure!(
        matches!(image.dim(), 3 | 4) && image.kind() == Kind::Uint8 && image.numel() > 0,
        "the image is {}, expected Uint8 [C, H, W]; take it from a Split, before the transform",
        describe(image)
    );
    ensure!(
        rows > 0 && columns > 1 && rows.saturating_mul(columns) <= 10_000,
        "{rows} rows of {columns} images, expected at least one row of the original and one \
         augmentation, and 10,000 images at most"
    );
    let originals = if image.dim() == 3 { image.f_unsqueeze(0)? } else { image.shallow_clone() };
    let count = originals.size()[0] as usize;
    let sources: Vec<i64> =
        (0..rows).flat_map(|row| vec![(row % count) as i64; columns - 1]).collect();
    let sources = Tensor::f_from_slice(&sources)?.f_to_device(originals.device())?;
    let augmented = transform.apply_seeded(&originals.f_index_select(0, &sources)?, 0)?;
    ensure!(
        augmented.dim() == 4,
        "the transform makes {} of the images, expected [N, C, H, W]; leave out flatten",
        describe(&augmented)
    );
    let pictures = if augmented.kind() == Kind::Uint8 {
        augmented
    } else {
        let pixels = transform.denormalize(&augmented).context("augmented images")?;
        pixels.f_mul_scalar(255.0)?.f_round()?.f_to_kind(Kind::Uint8)?
    };
    let mut items = Vec::new();
    for row in 0..rows {
        items.push(GridItem::new(&originals.f_get((row % count) as i64)?, "")?.framed());
        for column in 0..columns - 1 {
            let index = row * (columns - 1) + column;
            items.push(GridItem::new(&pictures.f_get(index as i64)?, "")?);
        }
    }
    let caption = "In the frame: the original; beside it: random augmentations of it";
    Ok(item_grid(&items, rows, columns)?.caption(caption))
}
