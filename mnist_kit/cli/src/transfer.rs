//! Lesson 5 from the shell: a network that knows photographs learns digits, in two phases.

use crate::options::Common;
use crate::progress_bar::EpochBar;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use mnist_kit::data::{Mnist, Split};
use mnist_kit::eval::{Bins, evaluate};
use mnist_kit::model::{Backbone, extract_features, summary, train_only};
use mnist_kit::table::Table;
use mnist_kit::train::{AdamW, fit};
use mnist_kit::transform::{Compose, IMAGENET, RandomAffine, RandomRotation};
use mnist_kit::weights::{load_pretrained, load_weights, save_weights};
use std::path::PathBuf;
use tch::nn;

#[derive(Args)]
pub struct Transfer {
    /// Network to start from
    #[arg(long, value_enum, default_value_t = BackboneChoice::Resnet18)]
    backbone: BackboneChoice,
    /// Its weights, .pth or .safetensors [default: $MNIST_KIT_WEIGHTS, then the cache, then a download]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Augmented views of every image that the head learns from in phase 1; computed once
    #[arg(long, default_value_t = 3)]
    views: usize,
    /// Epochs of phase 1 over all views: only the head learns
    #[arg(long, default_value_t = 5)]
    head_epochs: usize,
    /// Learning rate of the backbone in phase 2; the head's is --lr [default: 1e-5 for resnet18, 1e-4
    /// for mobilenet-v2]
    #[arg(long)]
    backbone_lr: Option<f64>,
    /// Height and width that images are scaled to
    #[arg(long, default_value_t = 224)]
    side: i64,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum BackboneChoice {
    Resnet18,
    MobilenetV2,
}

impl BackboneChoice {
    fn build(self, path: nn::Path) -> Result<Backbone> {
        match self {
            BackboneChoice::Resnet18 => Backbone::resnet18(path, 10),
            BackboneChoice::MobilenetV2 => Backbone::mobilenet_v2(path, 10),
        }
    }

    /// Learning rate and epochs of phase 2, as in the lesson.
    fn second_phase(self) -> (f64, usize) {
        match self {
            BackboneChoice::Resnet18 => (1e-5, 10),
            BackboneChoice::MobilenetV2 => (1e-4, 6),
        }
    }

    fn name(self) -> &'static str {
        match self {
            BackboneChoice::Resnet18 => "transfer_resnet18",
            BackboneChoice::MobilenetV2 => "transfer_mobilenet_v2",
        }
    }
}

/// The reduced MNIST: stratified parts of the two splits, a twelfth each in quick mode.
fn reduced(mnist: &Mnist, seed: u64) -> Result<[Split; 3]> {
    let less = if mnist.is_quick() { 12 } else { 1 };
    let parts = [("train", 10_000 / less), ("validation", 2_000 / less)];
    let mut parts = mnist.train.stratified(&parts, seed)?.into_iter();
    let mut test = mnist.test.stratified(&[("test", 2_000 / less)], seed)?.into_iter();
    match (parts.next(), parts.next(), test.next()) {
        (Some(train), Some(validation), Some(test)) => Ok([train, validation, test]),
        _ => unreachable!("a split for each part"),
    }
}

impl Transfer {
    pub fn run(&self) -> Result<()> {
        let common = &self.common;
        let seed = u64::from(common.seed.unwrap_or(42));
        let (lr, epochs) = self.backbone.second_phase();
        let backbone_lr = self.backbone_lr.unwrap_or(lr);
        ensure!(backbone_lr > 0.0, "learning rate {backbone_lr} of the backbone: expected above 0");
        print!("{}", mnist_kit::environment());
        let [train, validation, test] = reduced(&common.load()?, seed)?;
        for split in [&train, &validation, &test] {
            print!("\n{}", split.class_counts()?.table());
        }

        let device = common.device()?;
        let scaled = |transform: Compose| {
            let pixels = transform.resize(self.side, self.side).to_tensor();
            pixels.repeat_channels(3).normalize_channels(IMAGENET)
        };
        let augmented = scaled(
            Compose::new()
                .then(RandomRotation::new(15.0))
                .then(RandomAffine::new(0.0).translate(0.1, 0.1)),
        );
        let plain = scaled(Compose::new());
        let batch_size = common.batch_size.unwrap_or(128);
        let train_batches = train.batches(batch_size)?.transform(&augmented);
        let train_batches = train_batches.shuffle(seed).drop_last(true).device(device);
        let validation_batches = validation.batches(batch_size)?.transform(&plain).device(device);
        let test_batches = test.batches(batch_size)?.transform(&plain).device(device);

        tch::manual_seed(seed as i64);
        let vs = nn::VarStore::new(device);
        let model = self.backbone.build(vs.root())?;
        match &self.weights {
            Some(path) => {
                load_pretrained(&vs, path, &[model.head_name()])?;
                println!("\nweights: {}", path.display());
            }
            None => println!("\nweights: {}", model.load_imagenet(&vs)?),
        }
        let head = model.head_name();

        train_only(&vs, &[head])?;
        println!("\nPhase 1, {} parameters learn", summary(&vs).trainable());
        let views = extract_features(&model.body(), &train_batches, self.views)?;
        let views = views.batches(batch_size)?.shuffle(seed).device(device);
        let seen = extract_features(&model.body(), &validation_batches, 1)?;
        let seen = seen.batches(batch_size)?.device(device);
        fit(&model.head(), &vs, &views)
            .optimizer(AdamW::new(common.lr))
            .epochs(self.head_epochs)
            .test(&seen)
            .report(EpochBar::new()?)
            .run()?;

        train_only(&vs, &[model.last_stage(), &[head]].concat())?;
        println!(
            "\nPhase 2, {} parameters learn, the backbone with {backbone_lr:e}",
            summary(&vs).trainable()
        );
        let best = common.out.join(format!("{}.safetensors", self.backbone.name()));
        let mut run = fit(&model, &vs, &train_batches)
            .optimizer(AdamW::new(backbone_lr))
            .rate(head, common.lr / backbone_lr)
            .schedule(common.schedule())
            .epochs(common.epochs.unwrap_or(epochs))
            .test(&validation_batches)
            .keep_best(&best)
            .report(EpochBar::new()?);
        if let Some(path) = &common.checkpoint {
            run = run.checkpoint(path);
        }
        let history = run.run()?;
        if !history.epochs().is_empty() {
            load_weights(&vs, &best)?;
        } else {
            save_weights(&vs, &best)?;
        }

        let evaluation = evaluate(&model, &test_batches)?;
        let temperature = evaluate(&model, &validation_batches)?.best_temperature()?;
        let cooled = evaluation.with_temperature(temperature)?;
        let before = evaluation.reliability(Bins::EqualWidth(15))?.ece();
        let after = cooled.reliability(Bins::EqualWidth(15))?.ece();
        let mut table = Table::new(["measure", "value"]);
        if let Ok(best) = history.best() {
            let accuracy = best.test_accuracy.unwrap_or(f64::NAN);
            table.push(["best validation accuracy".to_string(), format!("{accuracy:.4}")]);
            table.push(["best epoch".to_string(), best.epoch.to_string()]);
        }
        table.push(["test accuracy".to_string(), format!("{:.4}", evaluation.accuracy())]);
        table.push(["ECE, 15 bins of equal width".to_string(), format!("{before:.4}")]);
        table.push([format!("ECE at temperature {temperature:.2}"), format!("{after:.4}")]);
        print!("\n{table}");
        println!("\nSaved:\n  {}", best.display());
        let figure =
            |figure, kind: &str| common.save(&figure, &format!("{}_{kind}", self.backbone.name()));
        figure(evaluation.confusion_matrix()?.plot()?, "confusion")?;
        figure(evaluation.reliability(Bins::EqualWidth(15))?.plot()?, "reliability")
    }
}
