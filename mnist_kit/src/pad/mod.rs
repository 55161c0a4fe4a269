//! A pad in the notebook to draw a digit on, which a model reads at once, in the page itself.

mod network;
mod still;

use crate::figure::{Figure, theme};
use crate::infer::{DIGIT_SIZE, GROUND, MIN_CONTRAST, SIZE};
use crate::model::Layers;
use crate::runtime::channel::new_id;
use crate::transform::Compose;
use crate::{Result, files};
use anyhow::ensure;
use base64::prelude::{BASE64_STANDARD, Engine};
use network::Network;
use serde_json::json;
use std::path::Path;
use still::Still;

/// Height and width of the pad, in pixels.
const PAD_SIZE: u32 = 280;
/// Width of the pen, in pixels: a stroke as wide as in MNIST after the digit was scaled.
const PEN: u32 = 22;

const NETWORK: &str = include_str!("network.js");
const PICTURE: &str = include_str!("picture.js");
const PAD: &str = include_str!("pad.js");

/// Creates a pad to draw a digit on, with the model's probabilities as live bars.
///
/// The model runs in the page: no kernel is asked, and an exported HTML page works without network
/// access. A stroke drawn by mouse, pen or finger is cropped, scaled into 20×20 pixels and centered
/// by its mass, as [`read_picture`](crate::infer::read_picture) does; then the transform and the
/// layers follow. Besides the pad, the page shows the 28×28 pixels that the model receives.
///
/// The page can compute linear layers, convolutions, ReLU, tanh, sigmoid, max pooling, flattening
/// and dropout (which does nothing there). It carries the weights as float32, at most 500,000 of
/// them (2.7 MB of text), since Jupyter drops larger outputs.
///
/// # Errors
/// If a layer is of another kind, the model has more than 500,000 weights, it does not map
/// transformed images to logits `[N, classes]`, or the transform is random or changes the size of
/// images.
///
/// ```
/// use mnist_kit::model::LeNet;
/// use mnist_kit::pad::digit_pad;
/// use mnist_kit::transform::Compose;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = LeNet::new(vs.root()); // trained in a lesson
/// let transform = Compose::new().to_tensor().normalize(0.5, 0.5);
/// let pad = digit_pad(&model, &transform)?.feature_maps()?;
/// assert!(pad.to_html().contains("<script>"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn digit_pad(model: &(impl Layers + ?Sized), transform: &Compose) -> Result<DigitPad> {
    let network = Network::new(model.layers(), transform)?;
    let class_names = (0..network.classes).map(|class| class.to_string()).collect();
    let still = Still::new(&network)?;
    DigitPad { network, still, class_names, maps: false, picture: Vec::new() }.with_picture()
}

/// A pad to draw a digit on. Made by [`digit_pad`].
///
/// In a notebook it is shown as the last expression of a cell. Where scripts may not run, in a
/// notebook that Jupyter does not trust or in a printed report, a still picture of an example takes
/// its place.
#[derive(Debug)]
pub struct DigitPad {
    network: Network,
    still: Still,
    class_names: Vec<String>,
    maps: bool,
    /// The still picture as a PNG file.
    picture: Vec<u8>,
}

impl DigitPad {
    /// Shows the feature maps of the first convolution as well, after its activation function.
    ///
    /// # Errors
    /// If the model has no convolution.
    pub fn feature_maps(self) -> Result<DigitPad> {
        ensure!(
            self.network.maps.is_some(),
            "the model has no convolution, so there are no feature maps; leave out feature_maps()"
        );
        Ok(DigitPad { maps: true, ..self })
    }

    /// Sets the names of the classes; defaults to `0`, `1`, ….
    ///
    /// # Errors
    /// If their number differs from the number of the model's logits.
    pub fn class_names<T: Into<String>>(
        self,
        names: impl IntoIterator<Item = T>,
    ) -> Result<DigitPad> {
        let class_names: Vec<String> = names.into_iter().map(Into::into).collect();
        ensure!(
            class_names.len() == self.network.classes,
            "{} class names for {} classes",
            class_names.len(),
            self.network.classes
        );
        DigitPad { class_names, ..self }.with_picture()
    }

    /// Returns the still picture: an example digit, what the model receives of it, and the
    /// probabilities of the classes.
    pub fn figure(&self) -> Figure {
        self.still.figure(&self.class_names)
    }

    /// Returns the pad as a piece of HTML, with a script in it that needs nothing from outside.
    ///
    /// In the page, the outermost element (class `mnist-kit-pad`) has the property `digitPad` with
    /// `pixels` (what the model receives, 784 levels of 0–255) and `logits`, both `null` before the
    /// first stroke.
    pub fn to_html(&self) -> String {
        let id = new_id();
        let settings = json!({
            "id": id,
            "size": SIZE,
            "digitSize": DIGIT_SIZE,
            "ground": GROUND,
            "minContrast": MIN_CONTRAST,
            "padSize": PAD_SIZE,
            "pen": PEN,
            "color": css(theme::BLUE),
            "classes": self.class_names,
            "levels": self.network.levels,
            "input": self.network.input,
            "layers": self.network.layers,
            "maps": self.network.maps.filter(|_| self.maps),
        });
        // Inside of a script, no text may look like the script's end.
        let settings = settings.to_string().replace('<', "\\u003c");
        let picture = BASE64_STANDARD.encode(&self.picture);
        format!(
            "<div class=\"mnist-kit-pad\" data-pad=\"{id}\">\
             <img alt=\"An example digit and what the model reads in it\" \
             style=\"max-width: 100%; width: {}px\" src=\"data:image/png;base64,{picture}\">\
             <p>Run this cell to draw a digit of your own here.</p></div>\n\
             <script>\n(() => {{\n{NETWORK}\n{PICTURE}\n{PAD}\nstart({settings});\n}})();\n</script>\n",
            still::WIDTH
        )
    }

    /// Writes a page with the pad alone to a file, which any browser opens.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>Draw a digit</title>\n</head>\n\
             <body style=\"font-family: sans-serif; margin: 24px\">\n{}</body>\n</html>\n",
            self.to_html()
        );
        files::replace(path.as_ref(), |aside| Ok(std::fs::write(aside, &page)?))
    }

    /// Shows the pad in a notebook; evcxr calls this for the last value of a cell.
    pub fn evcxr_display(&self) {
        evcxr_runtime::mime_type("text/html").text(self.to_html());
        self.figure().evcxr_display();
    }

    fn with_picture(mut self) -> Result<DigitPad> {
        self.picture = self.figure().to_png()?;
        Ok(self)
    }
}

fn css(theme::Color(red, green, blue): theme::Color) -> String {
    format!("rgb({red}, {green}, {blue})")
}
