//! The drawing surface: a [`Figure`] that shows itself in a notebook and saves as SVG, PNG or PDF.
//!
//! A figure holds a drawing as a function of the room that it gets. To show or save the figure, the
//! drawing runs and leaves a list of shapes, which becomes an SVG or PDF document or a bitmap. All forms
//! therefore show the same picture, and [`size`](Figure::size) lays a plot out anew.
//!
//! The ready-made plots are in [`plot`](crate::plot). With [`Figure::draw`] you draw on a figure of
//! your own with the crate [`plotters`].
//!
//! The font, DejaVu Sans, is part of the crate, so a machine without any fonts draws the same
//! picture. Korean, Chinese and Japanese letters come from Noto Sans CJK where it is installed, or
//! from the font file that `MNIST_KIT_CJK_FONT` names; a PNG or PDF form without a font for its letters
//! is an error. Colors and sizes are in [`theme`].

mod axes;
mod canvas;
mod cjk;
mod color_bar;
mod legend;
mod live;
mod part;
mod pdf;
mod pixels;
mod png;
mod shape;
mod svg;
mod text;
pub mod theme;

pub(crate) use axes::{ABOVE, Axis, Ends, Plot, axes};
pub use canvas::Canvas;
pub(crate) use color_bar::ColorBar;
pub(crate) use legend::{Key, legend, marker_scale, panel_title, series_line, titled};
pub use live::{LiveFigure, live};
pub(crate) use part::Part;
pub(crate) use pixels::pixels;
pub(crate) use text::text_width;

use crate::{Result, files};
use anyhow::{bail, ensure};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::style::text_anchor::HPos;
use shape::Shape;
use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Smallest and largest width and height of a figure, in pixels.
pub(crate) const SIZES: (f64, f64) = (160.0, 4000.0);

/// Draws a figure's content on the part that its title and caption leave free.
type Drawing = dyn Fn(&Part) -> Result<()> + Send + Sync;

/// A drawing that shows itself in a notebook and saves as SVG, PNG or PDF.
///
/// Lengths are pixels at 96 dots per inch: `size(672, 384)` is 7 by 4 inches on paper.
///
/// Cloning is cheap, and methods such as [`title`](Figure::title) return a changed copy. They borrow
/// the figure, because evcxr shows the debug text of a cell's result if computing it moves a variable.
///
/// ```
/// use mnist_kit::plot::Lines;
///
/// let folder = tempfile::tempdir()?;
/// let figure = Lines::new("Epoch", "Loss").series("train", [(1.0, 0.35), (2.0, 0.16)]).plot()?;
/// figure.size(400, 300).dpi(300).save(folder.path().join("loss.png"))?;
/// figure.save(folder.path().join("loss.svg"))?;
/// figure.save(folder.path().join("loss.pdf"))?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone)]
pub struct Figure {
    drawing: Arc<Drawing>,
    title: Option<String>,
    caption: Option<String>,
    note: Option<String>,
    width: f64,
    height: f64,
    sized: bool,
    margin: f64,
    dpi: u32,
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figure")
            .field("title", &self.title)
            .field("caption", &self.caption)
            .field("note", &self.note)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("dpi", &self.dpi)
            .finish_non_exhaustive()
    }
}

impl Figure {
    /// Makes a figure of this size, which includes the theme's margin, from its drawing.
    pub(crate) fn new(
        width: f64,
        height: f64,
        drawing: impl Fn(&Part) -> Result<()> + Send + Sync + 'static,
    ) -> Figure {
        Figure {
            drawing: Arc::new(drawing),
            title: None,
            caption: None,
            note: None,
            width,
            height,
            sized: false,
            margin: theme::MARGIN,
            dpi: 192,
        }
    }

    /// Draws a figure of `width` × `height` pixels with the crate [`plotters`].
    ///
    /// The closure runs once, right away, so it may borrow what it draws and end early with `?`.
    /// It receives a plotters drawing area on a white [`Canvas`] of exactly that size. Font sizes
    /// and stroke widths are pixels, as plotters users expect, and come out the same in the SVG and
    /// the PNG form. A title, caption or note is added outside of the drawing;
    /// [`size`](Figure::size) scales the drawing as a picture.
    ///
    /// ```
    /// use mnist_kit::figure::Figure;
    /// use mnist_kit::plotters::prelude::*;
    ///
    /// let losses = [(1.0, 0.35), (2.0, 0.16), (3.0, 0.11)];
    /// let figure = Figure::draw(480, 320, |area| {
    ///     let mut chart = ChartBuilder::on(&area)
    ///         .margin(12)
    ///         .x_label_area_size(40)
    ///         .y_label_area_size(50)
    ///         .build_cartesian_2d(1.0..3.0, 0.0..0.4)?;
    ///     chart.configure_mesh().x_desc("Epoch").y_desc("Loss").draw()?;
    ///     chart.draw_series(LineSeries::new(losses, BLUE.stroke_width(2)))?;
    ///     Ok(())
    /// })?;
    /// assert!(figure.title("My first chart").to_svg()?.contains("Epoch"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    ///
    /// # Errors
    /// An error of the closure, or a width or height outside of 160 to 4000 pixels.
    pub fn draw(
        width: u32,
        height: u32,
        draw: impl FnOnce(DrawingArea<Canvas, Shift>) -> Result<()>,
    ) -> Result<Figure> {
        let size = (f64::from(width), f64::from(height));
        check_size(size)?;
        text::register_fonts()?;
        let canvas = Canvas::new((width, height));
        let shapes = canvas.shapes();
        draw(canvas.into_drawing_area())?;
        let shapes = shapes.take();
        let picture = Figure::new(size.0, size.1, move |part| {
            part.picture(&shapes, size);
            Ok(())
        });
        Ok(Figure { margin: 0.0, ..picture })
    }

    /// Writes a line above the drawing.
    ///
    /// The figure grows by that line, unless its [`size`](Figure::size) was set.
    pub fn title(&self, title: impl Into<String>) -> Figure {
        self.clone().grow(|figure| figure.title = Some(title.into()))
    }

    /// Writes small lines, separated by `\n`, below the drawing; replaces an earlier caption.
    ///
    /// The figure grows by these lines, unless its [`size`](Figure::size) was set.
    pub fn caption(&self, caption: impl Into<String>) -> Figure {
        self.clone().grow(|figure| figure.caption = Some(caption.into()))
    }

    /// Writes a small gray line into the lower right corner, such as the source of the images;
    /// `None` removes it.
    ///
    /// The figure grows by that line, unless its [`size`](Figure::size) was set.
    ///
    /// ```
    /// use mnist_kit::plot::Lines;
    ///
    /// let figure = Lines::new("Epoch", "Loss").series("train", [(1.0, 0.35), (2.0, 0.16)]).plot()?;
    /// let marked = figure.note(Some("generated digits (not MNIST)"));
    /// assert!(marked.to_svg()?.contains("not MNIST"));
    /// assert_eq!(marked.note(None).to_svg()?, figure.to_svg()?);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn note(&self, note: Option<&str>) -> Figure {
        self.clone().grow(|figure| figure.note = note.map(str::to_string))
    }

    /// Sets width and height of the whole figure, title included, in pixels (160–4000).
    pub fn size(&self, width: u32, height: u32) -> Figure {
        let (width, height) = (f64::from(width), f64::from(height));
        Figure { width, height, sized: true, ..self.clone() }
    }

    /// Sets the resolution of the PNG form in dots per inch (24–1200); defaults to 192.
    ///
    /// The PNG form has `size × dpi / 96` pixels. It also stores its resolution, so that it keeps
    /// its size on paper.
    pub fn dpi(&self, dpi: u32) -> Figure {
        Figure { dpi, ..self.clone() }
    }

    /// Returns the figure as an SVG document.
    ///
    /// A figure wider than 900 pixels is displayed 900 pixels wide, so that it fits a page, unless
    /// its [`size`](Figure::size) was set.
    ///
    /// # Errors
    /// A size outside of its range, or one that leaves no room for the data.
    pub fn to_svg(&self) -> Result<String> {
        const PAGE: f64 = 900.0;
        let shown = if self.sized { 1.0 } else { (PAGE / self.width).min(1.0) };
        Ok(svg::document(&self.shapes()?, (self.width, self.height), shown))
    }

    /// Returns the figure as the bytes of a PNG file.
    ///
    /// # Errors
    /// A size or resolution outside of its range, a size that leaves no room for the data, or a
    /// text with letters that no font has.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        png::file(&self.shapes()?, (self.width, self.height), self.dpi)
    }

    /// Returns the figure as the bytes of a PDF file with one page, for papers and reports.
    ///
    /// Letters are outlines there: the file needs no fonts, and its text cannot be searched.
    ///
    /// ```
    /// use mnist_kit::plot::Lines;
    ///
    /// let figure = Lines::new("Epoch", "Loss").series("train", [(1.0, 0.35), (2.0, 0.16)]).plot()?;
    /// assert!(figure.to_pdf()?.starts_with(b"%PDF-"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    ///
    /// # Errors
    /// A size outside of its range, one that leaves no room for the data, or a text with letters
    /// that no font has.
    pub fn to_pdf(&self) -> Result<Vec<u8>> {
        pdf::file(&self.shapes()?, (self.width, self.height), self.title.as_deref())
    }

    /// Writes the figure to a file whose name ends in `.svg`, `.png` or `.pdf`.
    ///
    /// Creates missing folders. An existing file is replaced in one step, so no reader ever sees
    /// half a figure.
    ///
    /// # Errors
    /// A name with another ending, a folder that cannot be written, or a figure that cannot be
    /// drawn.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let bytes = match extension.as_str() {
            "svg" => self.to_svg()?.into_bytes(),
            "png" => self.to_png()?,
            "pdf" => self.to_pdf()?,
            _ => bail!(
                "cannot save a figure as {}: the name has to end in .svg, .png or .pdf",
                path.display()
            ),
        };
        files::replace(path, |aside| Ok(std::fs::write(aside, &bytes)?))
    }

    /// Saves the figure as `figures/<name>.svg` and `figures/<name>.png` in the output folder and
    /// returns it, so that the call can end a cell.
    ///
    /// The output folder is that of [`output_path`](crate::output_path).
    ///
    /// # Errors
    /// An empty name, a folder that cannot be written, or a figure that cannot be drawn.
    ///
    /// ```no_run
    /// # let history = mnist_kit::train::History::new();
    /// history.plot()?.export("loss")? // out/figures/loss.svg and out/figures/loss.png
    /// # ; Ok::<(), anyhow::Error>(())
    /// ```
    pub fn export(&self, name: &str) -> Result<Figure> {
        ensure!(!name.is_empty(), "the name of the figure is empty; give it one such as \"loss\"");
        for form in ["svg", "png"] {
            self.save(files::output_path(&format!("figures/{name}.{form}")))?;
        }
        Ok(self.clone())
    }

    /// Shows the figure in a notebook, as SVG and as PNG; evcxr calls this for the last value of a
    /// cell.
    pub fn evcxr_display(&self) {
        match self.to_svg() {
            Ok(svg) => evcxr_runtime::mime_type("image/svg+xml").text(svg),
            Err(error) => println!("Cannot draw the figure as SVG: {error:#}"),
        }
        match self.to_png() {
            Ok(png) => evcxr_runtime::mime_type("image/png").bytes(&png),
            Err(error) => println!("Cannot draw the figure as PNG: {error:#}"),
        }
    }

    /// Heights of title, caption and note with the margins above and below them.
    fn bands(&self) -> [f64; 3] {
        let lines = self.caption.iter().flat_map(|caption| caption.lines()).count();
        // A drawing without a margin of its own gets one around its texts.
        let edge = theme::MARGIN - self.margin;
        let below = if lines > 0 || self.note.is_some() { edge } else { 0.0 };
        [
            if self.title.is_some() { edge + theme::TITLE_BAND } else { 0.0 },
            if lines > 0 { theme::GAP + lines as f64 * theme::TEXT_BAND } else { 0.0 },
            below + if self.note.is_some() { theme::NOTE_BAND } else { 0.0 },
        ]
    }

    fn grow(mut self, change: impl FnOnce(&mut Figure)) -> Figure {
        let before: f64 = self.bands().iter().sum();
        change(&mut self);
        if !self.sized {
            self.height += self.bands().iter().sum::<f64>() - before;
        }
        self
    }

    /// Runs the drawing.
    fn shapes(&self) -> Result<Vec<Shape>> {
        check_size((self.width, self.height))?;
        let shapes = RefCell::new(Vec::new());
        let whole = Part::whole(&shapes, self.width, self.height);
        let margin = self.margin;
        let part = whole.inset(margin, margin, margin, margin);
        let [title_band, caption_band, note_band] = self.bands();
        let (_, part) = part.cut_top(title_band);
        let (part, _) = part.cut_top(part.height() - note_band);
        let (part, caption) = part.cut_top(part.height() - caption_band);

        let room = self.width - 2.0 * theme::MARGIN;
        if let Some(text) = &self.title {
            let at = (self.width / 2.0, theme::MARGIN + theme::TITLE.size / 2.0);
            whole.text(text, at, theme::TITLE, HPos::Center, room);
        }
        for (i, line) in self.caption.iter().flat_map(|caption| caption.lines()).enumerate() {
            let at = (caption.width() / 2.0, theme::GAP + (i as f64 + 0.5) * theme::TEXT_BAND);
            caption.text(line, at, theme::LABEL, HPos::Center, room);
        }
        if let Some(text) = &self.note {
            let bottom = self.height - theme::MARGIN - theme::NOTE.size / 2.0;
            let at = (self.width - theme::MARGIN, bottom);
            whole.text(text, at, theme::NOTE, HPos::Right, room);
        }
        (self.drawing)(&part)?;
        Ok(shapes.into_inner())
    }
}

fn check_size((width, height): (f64, f64)) -> Result<()> {
    let (least, most) = SIZES;
    ensure!(
        [width, height].iter().all(|length| (least..=most).contains(length)),
        "the figure is {width} × {height} pixels, expected {least} to {most} each way"
    );
    Ok(())
}
