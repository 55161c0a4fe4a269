//! The one type that every plot has.

use super::bars::Bars;
use super::confidence::Confidence;
use super::confusion::Matrix;
use super::grid::Grid;
use super::lines::Lines;
use super::part::{Backend, Part, Scale, register_fonts};
use super::pixels::encode_png;
use super::reliability::Diagram;
use super::theme;
use crate::{Result, files};
use anyhow::{Context, bail, ensure};
use image::RgbImage;
use image::imageops::thumbnail;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Pixels per inch that lengths are given in, as in CSS.
const BASE_DPI: f64 = 96.0;

/// Shortest and longest side of a figure.
pub(super) const SIDES: (f64, f64) = (160.0, 4000.0);

/// What a figure shows below its title.
pub(super) enum Drawing {
    Grid(Grid),
    Confidence(Confidence),
    /// Panels side by side.
    Lines(Vec<Lines>),
    Matrix(Matrix),
    Bars(Bars),
    Reliability(Diagram),
}

impl Drawing {
    fn draw<DB: Backend>(&self, part: &Part<DB>) -> Result<()> {
        match self {
            Drawing::Grid(grid) => grid.draw(part),
            Drawing::Confidence(confidence) => confidence.draw(part),
            Drawing::Matrix(matrix) => matrix.draw(part),
            Drawing::Bars(bars) => bars.draw(part),
            Drawing::Reliability(diagram) => diagram.draw(part),
            Drawing::Lines(panels) => {
                let gaps = (panels.len() - 1) as f64 * theme::PANEL_GAP;
                let width = (part.width() - gaps) / panels.len() as f64;
                for (i, panel) in panels.iter().enumerate() {
                    let (_, rest) = part.cut_left(i as f64 * (width + theme::PANEL_GAP));
                    panel.draw(&rest.cut_left(width).0)?;
                }
                Ok(())
            }
        }
    }
}

/// A drawing that shows itself in a notebook and saves as SVG or PNG, the same picture in both.
///
/// Lengths are pixels at 96 dots per inch: `size(672, 384)` is 7 by 4 inches on paper. Cloning is cheap.
///
/// ```
/// use mnist_kit::plot::Lines;
///
/// let folder = tempfile::tempdir()?;
/// let figure = Lines::new("Epoch", "Loss").series("train", [(1.0, 0.35), (2.0, 0.16)]).plot()?;
/// figure.clone().size(400, 300).dpi(300).save(folder.path().join("loss.png"))?;
/// figure.save(folder.path().join("loss.svg"))?;
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
    pub(super) fn new(width: f64, height: f64, drawing: Drawing) -> Figure {
        Figure {
            drawing: Arc::new(drawing),
            title: None,
            caption: None,
            note: None,
            width,
            height,
            sized: false,
            dpi: 192,
        }
    }

    /// Writes a line above the drawing. The figure grows by that line, unless [`size`](Figure::size) was set.
    pub fn title(self, title: impl Into<String>) -> Figure {
        self.grow(|figure| figure.title = Some(title.into()))
    }

    /// Writes small lines (apart by `\n`) below the drawing, in place of a caption that was there.
    /// The figure grows by them, unless [`size`](Figure::size) was set.
    pub fn caption(self, caption: impl Into<String>) -> Figure {
        self.grow(|figure| figure.caption = Some(caption.into()))
    }

    /// Writes a small grey line into the lower right corner, below all else, such as where the images come from; `None`
    /// takes it away. The figure grows by that line, unless [`size`](Figure::size) was set.
    ///
    /// ```
    /// use mnist_kit::plot::Lines;
    ///
    /// let figure = Lines::new("Epoch", "Loss").series("train", [(1.0, 0.35), (2.0, 0.16)]).plot()?;
    /// let marked = figure.clone().note(Some("generated digits (not MNIST)"));
    /// assert!(marked.to_svg()?.contains("not MNIST"));
    /// assert_eq!(marked.note(None).to_svg()?, figure.to_svg()?);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn note(self, note: Option<&str>) -> Figure {
        self.grow(|figure| figure.note = note.map(str::to_string))
    }

    /// Sets width and height of the whole figure, title included, in pixels at 96 dots per inch (160–4000).
    pub fn size(mut self, width: u32, height: u32) -> Figure {
        (self.width, self.height, self.sized) = (f64::from(width), f64::from(height), true);
        self
    }

    /// Sets the dots per inch of the PNG form (24–1200; 192 unless set): it has `size × dpi / 96` pixels,
    /// and tells its density, so that it keeps its size on paper.
    pub fn dpi(mut self, dpi: u32) -> Figure {
        self.dpi = dpi;
        self
    }

    /// The figure as an SVG document. A figure wider than 900 pixels is shown that wide, so that a page
    /// has room for it, unless its [`size`](Figure::size) was asked for.
    ///
    /// # Errors
    /// When the size is outside of its range, or leaves no room for the data.
    pub fn to_svg(&self) -> Result<String> {
        // plotters draws at whole numbers; eighths of a pixel are fine enough.
        const UNIT: f64 = 8.0;
        let (width, height) = ((self.width * UNIT) as u32, (self.height * UNIT) as u32);
        let mut svg = String::new();
        self.draw(
            SVGBackend::with_string(&mut svg, (width, height)),
            Scale { unit: UNIT, snap: UNIT, bitmap: false },
        )?;
        let (_, content) = svg.split_once('>').context("an SVG document without a head")?;
        // A report's page shows this much without a scroll bar; JupyterLab shrinks pictures by itself.
        const PAGE: f64 = 900.0;
        let shown = if self.sized { 1.0 } else { (PAGE / self.width).min(1.0) };
        let head = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\">",
            (self.width * shown).round(),
            (self.height * shown).round()
        );
        // Attributes that say what holds anyway are a third of a grid of images.
        Ok(head + &content.replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", ""))
    }

    /// The figure as the bytes of a PNG file.
    ///
    /// # Errors
    /// When size or density is outside of its range or leaves no room for the data, or when a text has letters that
    /// the font (DejaVu Sans) lacks.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        ensure!(
            (24..=1200).contains(&self.dpi),
            "{} dots per inch, expected 24 to 1200; 300 is good for print",
            self.dpi
        );
        let scale = f64::from(self.dpi) / BASE_DPI;
        let (width, height) = ((self.width * scale).round(), (self.height * scale).round());
        let pixels = width * height;
        ensure!(
            pixels <= 1e8,
            "the picture would have {width} × {height} pixels; choose a smaller size or fewer dots per inch"
        );
        // plotters' lines are jagged, so they are drawn larger and scaled down, as far as memory allows.
        let finer = [4u32, 3, 2].into_iter().find(|&by| pixels * f64::from(by * by) <= 1e8);
        let finer = finer.unwrap_or(1);
        let (width, height) = (width as u32, height as u32);
        let size = (width * finer, height * finer);
        let mut buffer = vec![0; 3 * size.0 as usize * size.1 as usize];
        self.draw(
            BitMapBackend::with_buffer(&mut buffer, size),
            Scale { unit: scale * f64::from(finer), snap: f64::from(finer), bitmap: true },
        )?;
        let image = RgbImage::from_raw(size.0, size.1, buffer).context("the picture is lost")?;
        let image = if finer == 1 { image } else { thumbnail(&image, width, height) };
        Ok(with_density(encode_png(&image)?, self.dpi))
    }

    /// Writes the figure to a file whose name ends in `.svg` or `.png`. Missing folders are made; a file of that name
    /// is replaced in one step, so that nobody ever reads half a figure.
    ///
    /// # Errors
    /// When the name ends otherwise, the place cannot be written, or the figure cannot be drawn.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let bytes = match extension.as_str() {
            "svg" => self.to_svg()?.into_bytes(),
            "png" => self.to_png()?,
            _ => bail!(
                "cannot save a figure as {}: the name has to end in .svg or .png \
                 (for .pdf, save .svg and convert it)",
                path.display()
            ),
        };
        files::replace(path, |aside| Ok(std::fs::write(aside, &bytes)?))
    }

    /// Saves the figure as `figures/<name>.svg` and `figures/<name>.png` in the folder of [`output`](crate::output_path).
    ///
    /// # Errors
    /// When the name is empty, the place cannot be written, or the figure cannot be drawn.
    ///
    /// ```no_run
    /// # let figure = mnist_kit::plot::Lines::new("", "").series("", [(1.0, 1.0)]).plot()?;
    /// figure.export("loss")?; // out/figures/loss.svg and out/figures/loss.png
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn export(&self, name: &str) -> Result<()> {
        ensure!(
            !name.is_empty(),
            "the figure to export has no name, expected one such as \"loss\""
        );
        for form in ["svg", "png"] {
            self.save(files::output_path(&format!("figures/{name}.{form}")))?;
        }
        Ok(())
    }

    /// Shows the figure in a notebook, as SVG and as PNG; evcxr calls this for the last value of a cell.
    pub fn evcxr_display(&self) {
        match self.to_svg() {
            Ok(svg) => evcxr_runtime::mime_type("image/svg+xml").text(svg),
            Err(error) => println!("The figure has no SVG form: {error:#}"),
        }
        match self.to_png() {
            Ok(png) => evcxr_runtime::mime_type("image/png").bytes(&png),
            Err(error) => println!("The figure has no PNG form: {error:#}"),
        }
    }

    /// Heights of title, caption and note.
    fn bands(&self) -> [f64; 3] {
        let lines = self.caption.iter().flat_map(|caption| caption.lines()).count();
        [
            if self.title.is_some() { theme::TITLE_BAND } else { 0.0 },
            if lines > 0 { theme::GAP + lines as f64 * theme::TEXT_BAND } else { 0.0 },
            if self.note.is_some() { theme::NOTE_BAND } else { 0.0 },
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

    fn draw<DB: Backend>(&self, backend: DB, scale: Scale) -> Result<()> {
        let (least, most) = SIDES;
        ensure!(
            [self.width, self.height].iter().all(|side| (least..=most).contains(side)),
            "the figure is {} × {} pixels, expected {least} to {most} each way",
            self.width,
            self.height
        );
        register_fonts()?;
        let whole = Part { area: backend.into_drawing_area(), scale };
        whole.area.fill(&WHITE)?;
        let margin = theme::MARGIN;
        let part = whole.inset(margin, margin, margin, margin);
        let [title_band, caption_band, note_band] = self.bands();
        let (title, part) = part.cut_top(title_band);
        let (part, note) = part.cut_top(part.height() - note_band);
        let (part, caption) = part.cut_top(part.height() - caption_band);
        let middle = part.width() / 2.0;
        if let Some(text) = &self.title {
            let at = (middle, theme::TITLE.size / 2.0);
            title.text(text, at, theme::TITLE, HPos::Center, title.width())?;
        }
        for (i, line) in self.caption.iter().flat_map(|caption| caption.lines()).enumerate() {
            let at = (middle, theme::GAP + (i as f64 + 0.5) * theme::TEXT_BAND);
            caption.text(line, at, theme::LABEL, HPos::Center, caption.width())?;
        }
        if let Some(text) = &self.note {
            let at = (note.width(), theme::NOTE_BAND - theme::NOTE.size / 2.0);
            note.text(text, at, theme::NOTE, HPos::Right, note.width())?;
        }
        self.drawing.draw(&part)?;
        whole.area.present()?;
        Ok(())
    }
}

/// Adds the chunk that tells the dots per metre, which the encoder cannot write.
fn with_density(mut png: Vec<u8>, dpi: u32) -> Vec<u8> {
    // 8 bytes of signature and 25 of the header chunk come first.
    const AFTER_HEADER: usize = 33;
    let per_metre = (f64::from(dpi) / 0.0254).round() as u32;
    let mut body = b"pHYs".to_vec();
    body.extend(per_metre.to_be_bytes());
    body.extend(per_metre.to_be_bytes());
    body.push(1);
    let mut sum = flate2::Crc::new();
    sum.update(&body);
    let mut chunk = (body.len() as u32 - 4).to_be_bytes().to_vec();
    chunk.extend(&body);
    chunk.extend(sum.sum().to_be_bytes());
    png.splice(AFTER_HEADER..AFTER_HEADER, chunk);
    png
}
