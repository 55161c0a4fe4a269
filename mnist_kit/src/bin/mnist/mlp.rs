//! Lesson 1 from the shell.

use crate::options::Common;
use crate::progress_bar::EpochBar;
use anyhow::Result;
use mnist_kit::eval::evaluate;
use mnist_kit::model::{Mlp, save_weights, summary};
use mnist_kit::plot::{confidence, grid, predictions};
use mnist_kit::train::{Adam, fit};
use mnist_kit::transform::Compose;
use tch::nn;

#[derive(clap::Args)]
pub struct Args {
    /// Neurons of the hidden layer
    #[arg(long, default_value_t = 100)]
    hidden: i64,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: &Args) -> Result<()> {
    let common = &args.common;
    let device = common.device()?;
    print!("{}", mnist_kit::environment());

    let mnist = common.load()?;
    print!("\n{}\n{}", mnist.table(), mnist.train.class_counts()?.table());

    let (mean, std) = mnist.train.head(1000).mean_std()?;
    let transform = Compose::new().to_tensor().normalize(mean, std).flatten();
    let train_batches = mnist.train.batches(common.batch_size)?;
    let train_batches =
        train_batches.transform(&transform).shuffle(common.seed.into()).device(device);
    let test_batches =
        mnist.test.batches(common.test_batch_size)?.transform(&transform).device(device);

    tch::manual_seed(common.seed.into());
    let vs = nn::VarStore::new(device);
    let model = Mlp::new(vs.root(), args.hidden)?;
    print!("\n{}\n", summary(&vs).table());

    let history = fit(&model, &vs, &train_batches)
        .optimizer(Adam::new(common.lr))
        .epochs(common.epochs)
        .test(&test_batches)
        .report(EpochBar::new()?)
        .run()?;

    let evaluation = evaluate(&model, &test_batches)?;
    let confusion_matrix = evaluation.confusion_matrix()?;
    print!("\n{}\n{}", evaluation.table(), confusion_matrix.per_class_table());

    println!("\nSaved:");
    common.save(&grid(&mnist.train.first_of_each_class()?, 2, 5)?, "mlp_samples")?;
    if !history.epochs().is_empty() {
        common.save(&history.plot()?, "mlp_curves")?;
    }
    let mut shown = evaluation.correct()?.first(7)?;
    shown.extend(evaluation.mistakes()?.first(3)?);
    common.save(&predictions(&shown, 2, 5)?, "mlp_predictions")?;
    if let Some(wrong) = evaluation.mistakes()?.first(1)?.first() {
        common.save(&confidence(wrong)?, "mlp_confidence")?;
    }
    common.save(&confusion_matrix.plot()?, "mlp_confusion")?;
    common.save(&confusion_matrix.plot_normalized()?, "mlp_confusion_normalized")?;
    let weights = common.out.join("mlp.safetensors");
    save_weights(&vs, &weights)?;
    println!("  {}", weights.display());
    Ok(())
}
