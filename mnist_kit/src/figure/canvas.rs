//! The canvas that readers draw on with plotters.

use super::shape::{Paint, Point, Shape, Text, Turn};
use super::text::{layout, printable};
use super::theme::Color;
use image::RgbImage;
use plotters_backend::text_anchor::VPos;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle, FontTransform,
};
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

type Result<T> = std::result::Result<T, DrawingErrorKind<Infallible>>;

/// Font sizes of plotters per em: `("sans-serif", 20)` has an em of 16 pixels, as in plotters' own
/// SVG backend.
const SIZES_PER_EM: f64 = 1.24;

/// The plotters backend of [`Figure::draw`](super::Figure::draw): it records what is drawn, for the
/// SVG and the PNG form of the figure.
///
/// One unit is one pixel at 96 dots per inch. Text is set in DejaVu Sans, regular or bold, whatever
/// family its style names.
///
/// Write functions that draw on it as usual with plotters:
///
/// ```
/// use mnist_kit::Result;
/// use mnist_kit::figure::{Canvas, Figure};
/// use mnist_kit::plotters::coord::Shift;
/// use mnist_kit::plotters::prelude::*;
///
/// fn dot(area: &DrawingArea<Canvas, Shift>, at: (i32, i32)) -> Result<()> {
///     area.draw(&Circle::new(at, 5, BLUE.filled()))?;
///     Ok(())
/// }
///
/// let figure = Figure::draw(200, 200, |area| {
///     dot(&area, (50, 100))?;
///     dot(&area, (150, 100))
/// })?;
/// assert_eq!(figure.to_svg()?.matches("<circle ").count(), 2);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Canvas {
    shapes: Rc<RefCell<Vec<Shape>>>,
    size: (u32, u32),
}

impl Canvas {
    pub(super) fn new(size: (u32, u32)) -> Canvas {
        Canvas { shapes: Rc::default(), size }
    }

    /// The shapes drawn so far and from now on.
    pub(super) fn shapes(&self) -> Rc<RefCell<Vec<Shape>>> {
        self.shapes.clone()
    }

    fn push(&mut self, color: BackendColor, shape: impl FnOnce(Paint) -> Shape) -> Result<()> {
        if color.alpha > 0.0 {
            let (red, green, blue) = color.rgb;
            let paint =
                Paint { color: Color(red, green, blue), opacity: color.alpha.clamp(0.0, 1.0) };
            self.shapes.borrow_mut().push(shape(paint));
        }
        Ok(())
    }
}

fn place((x, y): BackendCoord) -> Point {
    (f64::from(x), f64::from(y))
}

impl DrawingBackend for Canvas {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Result<()> {
        Ok(())
    }

    fn present(&mut self) -> Result<()> {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Result<()> {
        let (x, y) = place(at);
        let corners = [(x, y), (x + 1.0, y + 1.0)];
        self.push(color, |paint| Shape::Rectangle { corners, paint })
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Result<()> {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Result<()> {
        if !fill {
            let corners = [from, (to.0, from.1), to, (from.0, to.1), from];
            return self.draw_path(corners, style);
        }
        // `DrawingArea::fill` ends one pixel before the last one; the whole canvas is meant.
        let reach = |end: i32, size: u32| if end + 1 == size as i32 { end + 1 } else { end };
        let to = (reach(to.0, self.size.0), reach(to.1, self.size.1));
        let corners = [place(from), place(to)];
        self.push(style.color(), |paint| Shape::Rectangle { corners, paint })
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<()> {
        let (points, width) =
            (path.into_iter().map(place).collect(), f64::from(style.stroke_width()));
        self.push(style.color(), |paint| Shape::Path { points, width, paint })
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Result<()> {
        let stroke = (!fill).then(|| f64::from(style.stroke_width()));
        let (center, radius) = (place(center), f64::from(radius));
        self.push(style.color(), |paint| Shape::Circle { center, radius, stroke, paint })
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Result<()> {
        let points = corners.into_iter().map(place).collect();
        self.push(style.color(), |paint| Shape::Polygon { points, paint })
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        at: BackendCoord,
    ) -> Result<()> {
        let size = style.size() / SIZES_PER_EM;
        let turn = match style.transform() {
            FontTransform::None => Turn::None,
            FontTransform::Rotate90 => Turn::Quarter,
            FontTransform::Rotate180 => Turn::Half,
            FontTransform::Rotate270 => Turn::ThreeQuarters,
        };
        // Distance from the anchor down to the baseline, as in plotters' SVG backend.
        let drop = match style.anchor().v_pos {
            VPos::Top => 0.76,
            VPos::Center => 0.27,
            VPos::Bottom => -0.27,
        };
        let (x, y) = place(at);
        let (dx, dy) = turn.apply((0.0, drop * size));
        let text = |paint| {
            Shape::Text(Text {
                text: printable(text),
                at: (x + dx, y + dy),
                anchor: style.anchor().h_pos,
                size,
                bold: matches!(style.style(), FontStyle::Bold),
                turn,
                paint,
            })
        };
        self.push(style.color(), text)
    }

    fn estimate_text_size<S: BackendTextStyle>(&self, text: &str, style: &S) -> Result<(u32, u32)> {
        let size = style.size() / SIZES_PER_EM;
        let bold = matches!(style.style(), FontStyle::Bold);
        Ok(((layout(text, bold).1 * size).ceil() as u32, size.ceil() as u32))
    }

    fn blit_bitmap(
        &mut self,
        at: BackendCoord,
        (width, height): (u32, u32),
        pixels: &[u8],
    ) -> Result<()> {
        let (x, y) = place(at);
        let corners = [(x, y), (x + f64::from(width), y + f64::from(height))];
        if let Some(image) = RgbImage::from_raw(width, height, pixels.to_vec()) {
            self.shapes.borrow_mut().push(Shape::Image { image: Arc::new(image), corners });
        }
        Ok(())
    }
}
