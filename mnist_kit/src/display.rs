//! The result of a notebook cell: tensors as pictures or tables, other values as text.

use crate::Result;
use crate::check::describe;
use crate::figure::Figure;
use crate::plot::{GridItem, item_grid};
use crate::table::Table;
use std::any::Any;
use std::fmt::Debug;
use tch::{Device, Kind, Tensor};

/// Shows a value as the result of a notebook cell.
///
/// evcxr calls `evcxr_display` on the last expression of a cell. It compiles a cell twice if that
/// method is missing, so the prelude provides it for every type that implements `Debug`:
///
/// - A [`Tensor`] that looks like images (`[1 or 3, H, W]`, `[N, 1 or 3, H, W]`, or a large and
///   roughly square `[H, W]`) is shown as a picture; other tensors as a table of their numbers, in
///   which large tensors are reduced to their corners, minimum, mean and maximum. Shape, dtype and
///   device are always written beside it.
/// - Any other value is shown as `{:?}` writes it, as evcxr does.
///
/// Types with an `evcxr_display` method of their own, such as [`Figure`] and [`Table`], keep it.
///
/// ```
/// use mnist_kit::prelude::*;
///
/// Tensor::from_slice(&[0.25f32, 0.75]).evcxr_display(); // prints what evcxr shows as a table
/// ```
pub trait NotebookDisplay {
    /// Sends the value to the notebook.
    fn evcxr_display(&self);
}

impl<T: Debug + 'static> NotebookDisplay for T {
    fn evcxr_display(&self) {
        let value: &dyn Any = self;
        if let Some(tensor) = value.downcast_ref::<Tensor>() {
            match view(tensor) {
                // Called on the box, the method would be the one of this trait.
                Ok(View::Picture(figure)) => Figure::evcxr_display(&figure),
                Ok(View::Table(table)) => table.evcxr_display(),
                Ok(View::Text(text)) => show_text(&text),
                Err(error) => show_text(&format!("{}: {error:#}", describe(tensor))),
            }
        } else if !value.is::<()>() {
            show_text(&format!("{self:?}"));
        }
    }
}

fn show_text(text: &str) {
    evcxr_runtime::mime_type("text/plain").text(text);
}

/// The display of a tensor in a notebook.
#[derive(Debug)]
enum View {
    Picture(Box<Figure>),
    Table(Table),
    Text(String),
}

fn view(tensor: &Tensor) -> Result<View> {
    if !tensor.defined() {
        return Ok(View::Text("undefined tensor".to_string()));
    }
    let tensor = &tensor.f_detach()?;
    if tensor.numel() == 0 {
        return Ok(View::Text(format!("{}, no values", describe(tensor))));
    }
    if tensor.dim() == 0 {
        let value = number(tensor, tensor.f_double_value(&[])?);
        return Ok(View::Text(format!("{value} ({})", describe(tensor))));
    }
    if let Some(images) = images(tensor)?
        && let Some(figure) = picture(tensor, &images)?
    {
        return Ok(View::Picture(Box::new(figure)));
    }
    Ok(View::Table(table(tensor)?))
}

/// The tensor as images `[N, 1 or 3, H, W]`, if it looks like images.
fn images(tensor: &Tensor) -> Result<Option<Tensor>> {
    if !matches!(tensor.kind(), Kind::Uint8 | Kind::Float | Kind::Double) {
        return Ok(None);
    }
    let images = match tensor.size()[..] {
        // Most matrices are not images; these are large and not much wider than high.
        [height, width]
            if height.min(width) >= 16
                && height.max(width) <= 256
                && height.max(width) <= 2 * height.min(width) =>
        {
            tensor.f_view([1, 1, height, width])
        }
        [1 | 3, height, width] if height.min(width) >= 8 => tensor.f_unsqueeze(0),
        // Kernels of a convolution are small.
        [_, 1 | 3, height, width] if height.min(width) >= 2 => Ok(tensor.shallow_clone()),
        _ => return Ok(None),
    };
    Ok(Some(images?))
}

/// Draws the first images; `None` if a value is not finite.
fn picture(tensor: &Tensor, images: &Tensor) -> Result<Option<Figure>> {
    const MOST: i64 = 16;
    const COLS: usize = 8;
    let count = images.size()[0];
    let shown = images.f_narrow(0, 0, count.min(MOST))?.f_to_device(Device::Cpu)?;
    let mut caption = describe(tensor);
    if count > MOST {
        caption += &format!("; the first {MOST}");
    }
    let pixels = if shown.kind() == Kind::Uint8 {
        shown
    } else {
        // One scale for all images, so that they can be compared.
        let (low, high) =
            (shown.f_min()?.f_double_value(&[])?, shown.f_max()?.f_double_value(&[])?);
        if !low.is_finite() || !high.is_finite() {
            return Ok(None);
        }
        let (black, white) = (number(tensor, low), number(tensor, high));
        caption += &format!("\nblack: {black}, white: {white}");
        let factor = if high > low { 255.0 / (high - low) } else { 0.0 };
        let levels = shown.f_sub_scalar(low)?.f_mul_scalar(factor)?;
        levels.f_round()?.f_to_kind(Kind::Uint8)?
    };
    let count = pixels.size()[0] as usize;
    let item = |index: usize| {
        let title = if count > 1 { index.to_string() } else { String::new() };
        GridItem::new(&pixels.f_get(index as i64)?, title)
    };
    let items: Vec<GridItem> = (0..count).map(item).collect::<Result<_>>()?;
    let figure = item_grid(&items, count.div_ceil(COLS), count.min(COLS))?;
    Ok(Some(figure.caption(caption)))
}

/// The numbers of a tensor, or the corners of its first matrix if there are many.
fn table(tensor: &Tensor) -> Result<Table> {
    let size = tensor.size();
    let mut matrix = tensor.shallow_clone();
    for _ in 2..size.len() {
        matrix = matrix.f_get(0)?;
    }
    let vector = matrix.dim() == 1;
    let matrix = if vector { matrix.f_unsqueeze(0)? } else { matrix };
    let (rows, cols) = (chosen(matrix.size()[0]), chosen(matrix.size()[1]));
    let complete = size.len() <= 2 && !rows.contains(&None) && !cols.contains(&None);

    let mut title = describe(tensor);
    if !complete && let Ok([low, mean, high]) = statistics(tensor) {
        let (low, high) = (number(tensor, low), number(tensor, high));
        title += &format!(", min {low}, mean {}, max {high}", decimal(mean));
    }
    if size.len() > 2 {
        title +=
            &format!(", the first of {} matrices", size[..size.len() - 2].iter().product::<i64>());
    }
    let name = |index: &Option<i64>| index.map_or("…".to_string(), |index| index.to_string());
    let mut header: Vec<String> = cols.iter().map(name).collect();
    if !vector {
        header.insert(0, String::new());
    }
    let mut table = Table::new(header).title(title);
    for row in rows {
        let cell = |col: &Option<i64>| match (row, *col) {
            (Some(row), Some(col)) => Ok(number(tensor, matrix.f_double_value(&[row, col])?)),
            _ => Ok("…".to_string()),
        };
        let mut cells = cols.iter().map(cell).collect::<Result<Vec<String>>>()?;
        if !vector {
            cells.insert(0, name(&row));
        }
        table.push(cells);
    }
    Ok(table)
}

/// Indices of rows or columns to show, with `None` for those left out in the middle.
fn chosen(count: i64) -> Vec<Option<i64>> {
    const MOST: i64 = 12;
    const CORNER: i64 = 3;
    if count <= MOST {
        return (0..count).map(Some).collect();
    }
    let ends = (0..CORNER).map(Some).chain([None]).chain((count - CORNER..count).map(Some));
    ends.collect()
}

/// Minimum, mean and maximum.
fn statistics(tensor: &Tensor) -> Result<[f64; 3]> {
    Ok([
        tensor.f_min()?.f_double_value(&[])?,
        tensor.f_mean(Kind::Double)?.f_double_value(&[])?,
        tensor.f_max()?.f_double_value(&[])?,
    ])
}

/// Writes a value of the tensor's dtype.
fn number(tensor: &Tensor, value: f64) -> String {
    match tensor.kind() {
        Kind::Bool => (value != 0.0).to_string(),
        Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 => format!("{value}"),
        _ => decimal(value),
    }
}

fn decimal(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        1e-3..1e5 => format!("{value:.4}"),
        size if size.is_finite() => format!("{value:.3e}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tensor: &Tensor) -> String {
        match view(tensor).unwrap() {
            View::Text(text) => text,
            View::Table(table) => table.to_string(),
            View::Picture(figure) => figure.to_svg().unwrap(),
        }
    }

    #[test]
    fn small_tensors_are_tables_of_their_numbers() {
        let matrix = Tensor::from_slice2(&[[1.5f32, -2.0], [0.0, 1e-7]]);
        let rows = ["        0         1", "-  ------  --------", "0  1.5000   -2.0000"];
        let rows = rows.join("\n") + "\n1       0  1.000e-7\n";
        assert_eq!(text(&matrix), format!("Float [2, 2] on the CPU\n{rows}"));
        let labels = Tensor::from_slice(&[5i64, 0, 4]);
        assert_eq!(text(&labels), "Int64 [3] on the CPU\n0  1  2\n-  -  -\n5  0  4\n");
        assert_eq!(text(&Tensor::from(0.25f32)), "0.2500 (Float [] on the CPU)");
        assert_eq!(text(&Tensor::from(true)), "true (Bool [] on the CPU)");
        assert!(text(&Tensor::zeros([0, 10], (Kind::Float, Device::Cpu))).contains("no values"));
        assert_eq!(text(&Tensor::new()), "undefined tensor");
    }

    #[test]
    fn large_tensors_show_corners_and_statistics() {
        let logits = Tensor::arange(640, (Kind::Float, Device::Cpu)).view([64, 10]);
        let shown = text(&logits);
        assert!(shown.contains("Float [64, 10] on the CPU, min 0, mean 319.5000, max 639.0000"));
        assert!(shown.contains('…') && shown.lines().count() == 10, "{shown}");
        let weight = Tensor::ones([4, 32, 3, 3], (Kind::Float, Device::Cpu));
        assert!(text(&weight).contains("the first of 128 matrices"));
        // A value that no picture can show.
        let broken = Tensor::full([1, 28, 28], f64::NAN, (Kind::Float, Device::Cpu));
        assert!(text(&broken).contains("NaN"));
    }

    #[test]
    fn images_are_pictures() {
        let float = (Kind::Float, Device::Cpu);
        for size in [&[28, 28][..], &[1, 28, 28], &[3, 9, 8], &[4, 1, 28, 28], &[32, 1, 3, 3]] {
            for images in
                [Tensor::rand(size, float), Tensor::ones(size, (Kind::Uint8, Device::Cpu))]
            {
                let svg = text(&images);
                assert!(svg.starts_with("<svg") && svg.contains(&describe(&images)), "{size:?}");
            }
        }
        let many = Tensor::rand([60, 1, 28, 28], float).set_requires_grad(true);
        assert!(text(&many).contains("the first 16"));
        // Activations, logits and flattened images are not images.
        for size in [&[64, 10][..], &[64, 784], &[5, 8, 8], &[28]] {
            assert!(!text(&Tensor::rand(size, float)).starts_with("<svg"), "{size:?}");
        }
    }
}
