//! Trains a model for a few seconds and writes a page to draw digits on, which the model reads.
//!
//! ```text
//! cargo run --release --example digit_pad -- lenet page.html
//! ```
//!
//! The models are `mlp`, `lenet` and `cnn`. The weights are stored beside the page. With pictures
//! behind the page's name, nothing is trained: for each picture, the program prints the pixels that
//! the model receives and its logits, as a line of JSON.

use mnist_kit::anyhow::{Context, bail, ensure};
use mnist_kit::infer::read_picture;
use mnist_kit::prelude::*;
use std::path::PathBuf;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, page, pictures @ ..] = &arguments[..] else {
        bail!("expected a model (mlp, lenet or cnn), then the page to write, such as page.html");
    };
    let vs = nn::VarStore::new(Device::Cpu);
    tch::manual_seed(1);
    match model.as_str() {
        "mlp" => run(&Mlp::new(vs.root(), 100)?, vs, page.into(), pictures),
        "lenet" => run(&LeNet::new(vs.root()), vs, page.into(), pictures),
        "cnn" => run(&Cnn::new(vs.root()), vs, page.into(), pictures),
        other => bail!("the model is {other:?}, expected mlp, lenet or cnn"),
    }
}

fn run<M: ModuleT + Layers>(
    model: &M,
    vs: nn::VarStore,
    page: PathBuf,
    pictures: &[String],
) -> Result<()> {
    let transform = Compose::new().to_tensor().normalize(0.1307, 0.3081);
    let weights = page.with_extension("safetensors");
    if pictures.is_empty() {
        let train = Mnist::load()?.train.head(4_000);
        let batches = train.batches(64)?.transform(&transform);
        fit(model, &vs, &batches).optimizer(Adam::new(2e-3)).epochs(3).run()?;
        save_weights(&vs, &weights)?;
        let pad = digit_pad(model, &transform)?;
        let has_maps = model.layers().iter().any(|layer| matches!(layer, Layer::Conv2d { .. }));
        return if has_maps { pad.feature_maps()? } else { pad }.save(page);
    }
    load_weights(&vs, &weights)?;
    for path in pictures {
        let picture = read_picture(path)?;
        let logits = try_forward(model, &transform.apply(&picture.image.unsqueeze(0))?, false)?;
        let logits = Vec::<f64>::try_from(logits.get(0)).context("the logits")?;
        let pixels = Vec::<u8>::try_from(picture.image.flatten(0, -1)).context("the pixels")?;
        ensure!(logits.iter().all(|logit| logit.is_finite()), "the logits are not finite");
        println!("{{\"pixels\": {pixels:?}, \"logits\": {logits:?}}}");
    }
    Ok(())
}
