//! The one type that every plot has.

use super::canvas::{Anchor, Area, Canvas};
use super::pixels::{base64, encode_png};
use super::{raster, svg, theme};
use crate::Result;
use anyhow::{Context, bail, ensure};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Pixels per inch that lengths are given in, as in CSS.
const BASE_DPI: f64 = 96.0;

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
    draw: Arc<dyn Fn(&mut Canvas, Area) + Send + Sync>,
    title: Option<String>,
    caption: Option<String>,
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
            .field("width", &self.width)
            .field("height", &self.height)
            .field("dpi", &self.dpi)
            .finish()
    }
}

impl Figure {
    /// A figure of this size that is drawn by `draw`, into the area that title and caption leave.
    pub(super) fn new(
        width: f64,
        height: f64,
        draw: impl Fn(&mut Canvas, Area) + Send + Sync + 'static,
    ) -> Figure {
        Figure {
            draw: Arc::new(draw),
            title: None,
            caption: None,
            width,
            height,
            sized: false,
            dpi: 192,
        }
    }

    /// Writes a line above the drawing. The figure grows by that line, unless [`size`](Figure::size) was set.
    pub fn title(mut self, title: impl Into<String>) -> Figure {
        let before = self.bands();
        self.title = Some(title.into());
        self.grow(before)
    }

    /// Writes small lines (apart by `\n`) below the drawing, in place of a caption that was there.
    /// The figure grows by them, unless [`size`](Figure::size) was set.
    pub fn caption(mut self, caption: impl Into<String>) -> Figure {
        let before = self.bands();
        self.caption = Some(caption.into());
        self.grow(before)
    }

    /// Sets width and height of the whole figure, title included, in pixels at 96 dots per inch (120–4000).
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

    /// The figure as an SVG document.
    ///
    /// # Errors
    /// When the size is outside of its range.
    pub fn to_svg(&self) -> Result<String> {
        svg::svg(&self.canvas()?, self.width, self.height)
    }

    /// The figure as the bytes of a PNG file.
    ///
    /// # Errors
    /// When size or density is outside of its range, or when a text has letters that the font (DejaVu Sans) lacks.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let canvas = self.canvas()?;
        ensure!(
            (24..=1200).contains(&self.dpi),
            "{} dots per inch, expected 24 to 1200; 300 is good for print",
            self.dpi
        );
        let scale = f64::from(self.dpi) / BASE_DPI;
        let (width, height) = ((self.width * scale).round(), (self.height * scale).round());
        ensure!(
            width * height <= 2e8,
            "the picture would have {width} × {height} pixels; choose a smaller size or fewer dots per inch"
        );
        let image = raster::raster(&canvas, width as u32, height as u32, scale)?;
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
        write_aside(path, &bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Shows the figure in a notebook, as SVG and as PNG; evcxr calls this for the last value of a cell.
    pub fn evcxr_display(&self) {
        for (form, content) in [
            ("image/svg+xml", self.to_svg()),
            ("image/png", self.to_png().map(|bytes| base64(&bytes))),
        ] {
            match content {
                Ok(content) => evcxr_runtime::mime_type(form).text(content),
                Err(error) => println!("The figure has no {form} form: {error:#}"),
            }
        }
    }

    /// Heights of title and caption.
    fn bands(&self) -> (f64, f64) {
        let lines = self.caption.iter().flat_map(|caption| caption.lines()).count();
        (
            if self.title.is_some() { theme::TITLE_BAND } else { 0.0 },
            if lines > 0 { theme::GAP + lines as f64 * theme::TEXT_BAND } else { 0.0 },
        )
    }

    fn grow(mut self, before: (f64, f64)) -> Figure {
        let after = self.bands();
        if !self.sized {
            self.height += after.0 - before.0 + after.1 - before.1;
        }
        self
    }

    fn canvas(&self) -> Result<Canvas> {
        ensure!(
            [self.width, self.height].iter().all(|length| (120.0..=4000.0).contains(length)),
            "the figure is {} × {} pixels, expected 120 to 4000 each way",
            self.width,
            self.height
        );
        let mut canvas = Canvas::new()?;
        let margin = theme::MARGIN;
        let whole =
            Area::new(0.0, 0.0, self.width, self.height).inset(margin, margin, margin, margin);
        let (title_height, caption_height) = self.bands();
        let (title_band, rest) = whole.cut_top(title_height);
        let (caption_band, area) = rest.cut_bottom(caption_height);
        if let Some(title) = &self.title {
            let at = (title_band.center().0, title_band.y + theme::TITLE.size / 2.0);
            canvas.text(title, at, theme::TITLE, Anchor::Middle, title_band.width);
        }
        for (i, line) in self.caption.iter().flat_map(|caption| caption.lines()).enumerate() {
            let y = caption_band.y + theme::GAP + (i as f64 + 0.5) * theme::TEXT_BAND;
            let at = (caption_band.center().0, y);
            canvas.text(line, at, theme::LABEL, Anchor::Middle, caption_band.width);
        }
        (self.draw)(&mut canvas, area);
        Ok(canvas)
    }
}

fn write_aside(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // Temporary files are private, figures are as readable as the user's other files.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.prefix(".figure").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
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
