//! Reads pictures of digits with a trained model.

use crate::saved::{Architecture, Recipe};
use anyhow::Result;
use clap::Args;
use mnist_kit::infer::{Picture, read_picture};
use mnist_kit::model::try_forward;
use mnist_kit::table::percent;
use mnist_kit::transform::Compose;
use std::path::PathBuf;
use tch::{Kind, nn};

#[derive(Args)]
pub struct Predict {
    /// Weights that a lesson has saved
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Model that the weights belong to [default: from the .json file beside them]
    #[arg(long, value_enum)]
    model: Option<Architecture>,
    /// Number of channels of the residual network's first stage, with --model [default: 64]
    #[arg(long, requires = "model")]
    width: Option<i64>,
    /// Pictures of one digit each: PNG, JPEG, GIF, BMP or WebP, any size, gray or in color, light on
    /// dark or dark on light
    #[arg(required = true, value_name = "IMAGE")]
    pictures: Vec<PathBuf>,
}

impl Predict {
    pub fn run(&self) -> Result<()> {
        let recipe = match self.model {
            Some(model) => Recipe { width: self.width, ..Recipe::usual(model) },
            None => Recipe::read(&self.weights)?,
        };
        let model = recipe.load(&self.weights)?;
        let mut unreadable = 0;
        for path in &self.pictures {
            match read_picture(path).and_then(|picture| answer(&recipe, &*model, &picture)) {
                Ok(lines) => println!("{}: {lines}", path.display()),
                // One unreadable file must not hide the results of the others.
                Err(error) => {
                    unreadable += 1;
                    eprintln!("{error:#}");
                }
            }
        }
        anyhow::ensure!(
            unreadable == 0,
            "{unreadable} of {} pictures could not be read",
            self.pictures.len()
        );
        Ok(())
    }
}

/// The preprocessing of the picture in words, then the three most probable digits.
fn answer(recipe: &Recipe, model: &dyn nn::ModuleT, picture: &Picture) -> Result<String> {
    let images = recipe.after(Compose::new()).apply(&picture.image.unsqueeze(0))?;
    let _no_grad = tch::no_grad_guard();
    let probabilities = try_forward(model, &images, false)?.f_softmax(-1, Kind::Float)?.f_get(0)?;
    let (probabilities, digits) = probabilities.f_topk(3, 0, true, true)?;
    let probabilities = Vec::<f64>::try_from(probabilities)?;
    let digits = Vec::<i64>::try_from(digits)?;
    let mut lines = picture.steps.join("; ");
    for (digit, probability) in digits.iter().zip(probabilities) {
        lines.push_str(&format!("\n  {digit}  {:>8}", percent(probability)));
    }
    Ok(lines)
}
