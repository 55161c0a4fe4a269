//! Lesson 5 from a shell: transfer learning in two phases.

use crate::options::{Common, rate};
use crate::progress_bar::EpochBar;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use mnist_kit::data::{Mnist, Split};
use mnist_kit::eval::{Bins, evaluate};
use mnist_kit::model::{Backbone, extract_features, summary, train_only};
use mnist_kit::table::{Table, percent, thousands};
use mnist_kit::train::{AdamW, fit};
use mnist_kit::transform::{Compose, IMAGENET, RandomAffine, RandomRotation};
use mnist_kit::weights::{load_pretrained, load_weights};
use serde_json::{Map, Value};
use std::num::NonZero;
use std::path::PathBuf;
use tch::nn;

/// Number of images in a training batch.
const BATCH_SIZE: usize = 128;

#[derive(Args)]
pub struct Transfer {
    /// Network to start from
    #[arg(long, value_enum, default_value_t = BackboneChoice::Resnet18)]
    backbone: BackboneChoice,
    /// Its weights, .pth or .safetensors [default: $MNIST_KIT_WEIGHTS, then the cache, then a
    /// download]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Number of augmented views of every image in phase 1; their features are computed once
    #[arg(long, default_value = "3")]
    views: NonZero<usize>,
    /// Epochs of phase 1, which trains the head on all views
    #[arg(long, default_value = "5")]
    head_epochs: NonZero<usize>,
    /// Learning rate of the backbone in phase 2; the head's is --lr [default: 1e-5 for resnet18, 1e-4
    /// for mobilenet-v2]
    #[arg(long, value_parser = rate, allow_negative_numbers = true)]
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

/// Lesson 5's reduced MNIST: stratified training, validation and test splits.
fn reduced(mnist: &Mnist, seed: u64) -> Result<[Split; 3]> {
    let size = |full| mnist.quick_or(full / 12, full);
    let sizes = [("train", size(10_000)), ("validation", size(2_000))];
    let mut splits = mnist.train.stratified(&sizes, seed)?;
    splits.extend(mnist.test.stratified(&[("test", size(2_000))], seed)?);
    splits.try_into().ok().context("expected three splits")
}

impl Transfer {
    /// The settings of both phases, for the record of the second one.
    fn settings(
        &self,
        backbone_lr: f64,
        epochs: usize,
        weights: String,
    ) -> Result<Map<String, Value>> {
        let mut settings = self.common.settings(epochs, BATCH_SIZE)?;
        settings.insert("views".to_string(), self.views.get().into());
        settings.insert("head_epochs".to_string(), self.head_epochs.get().into());
        settings.insert("backbone_lr".to_string(), backbone_lr.into());
        settings.insert("side".to_string(), self.side.into());
        settings.insert("weights".to_string(), weights.into());
        Ok(settings)
    }

    /// Trains the head, then the last stage with it; evaluates and saves the best epoch.
    pub fn run(&self) -> Result<()> {
        let common = &self.common;
        let seed = u64::from(common.seed.unwrap_or(42));
        let (lr, epochs) = self.backbone.second_phase();
        let backbone_lr = self.backbone_lr.unwrap_or(lr);
        print!("{}", mnist_kit::environment());
        let [train, validation, test] = reduced(&common.load()?, seed)?;
        for split in [&train, &validation, &test] {
            print!("\n{}", split.class_counts()?);
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
        let batch_size = common.batch_size(BATCH_SIZE);
        let train_batches = train.batches(batch_size)?.transform(&augmented);
        let train_batches = train_batches.shuffle(seed).drop_last(true).device(device);
        let validation_batches = validation.batches(batch_size)?.transform(&plain).device(device);
        let test_batches = test.batches(batch_size)?.transform(&plain).device(device);

        tch::manual_seed(seed as i64);
        let vs = nn::VarStore::new(device);
        let model = self.backbone.build(vs.root())?;
        let head = model.head_name();
        let weights = match &self.weights {
            Some(path) => {
                load_pretrained(&vs, path, &[head])?;
                format!("weights from {}", path.file_name().unwrap_or_default().to_string_lossy())
            }
            None => model.load_imagenet(&vs)?.to_string(),
        };
        println!("\n{}, {weights}", model.name());
        let settings = self.settings(backbone_lr, epochs, weights)?;
        let recorder = common.recorder(self.backbone.name(), seed, settings)?;

        train_only(&vs, &[head])?;
        println!("\nPhase 1: {} trainable parameters", thousands(summary(&vs).trainable()));
        let views = extract_features(&model.body(), &train_batches, self.views.get())?;
        let views = views.batches(batch_size)?.shuffle(seed).device(device);
        let features = extract_features(&model.body(), &validation_batches, 1)?;
        let features = features.batches(batch_size)?.device(device);
        let head_history = fit(&model.head(), &vs, &views)
            .optimizer(AdamW::new(common.lr))
            .epochs(self.head_epochs.get())
            .validation(&features)
            .report(EpochBar::new()?)
            .run()?;

        let mut trainable = vec![head];
        trainable.extend(model.last_stage());
        train_only(&vs, &trainable)?;
        println!(
            "\nPhase 2: {} trainable parameters, learning rate of the backbone {backbone_lr:e}",
            thousands(summary(&vs).trainable())
        );
        let best = common.out.join(format!("{}.safetensors", self.backbone.name()));
        let mut run = fit(&model, &vs, &train_batches)
            .optimizer(AdamW::new(backbone_lr))
            .rate(head, common.lr / backbone_lr)
            .schedule(common.schedule())
            .epochs(common.epochs(epochs))
            .validation(&validation_batches)
            .keep_best(&best)
            .report(EpochBar::new()?.record(recorder));
        if let Some(path) = &common.checkpoint {
            run = run.checkpoint(path);
        }
        let history = run.run()?;
        load_weights(&vs, &best)?;

        let evaluation = evaluate(&model, &test_batches)?;
        let temperature = evaluate(&model, &validation_batches)?.best_temperature()?;
        let scaled = evaluation.with_temperature(temperature)?;
        let before = evaluation.reliability(Bins::EqualWidth(15))?.ece();
        let after = scaled.reliability(Bins::EqualWidth(15))?.ece();
        let epoch = history.best()?;
        let validation_accuracy = percent(epoch.val_accuracy.unwrap_or(f64::NAN));
        let test_accuracy = percent(evaluation.accuracy());
        common.add_test_to_record(&evaluation)?;
        common.add_to_record(&format!(
            "Phase 1: validation {} after {} epochs over {} views of each image\n\
             Best epoch of phase 2: {}, validation {validation_accuracy}, test {test_accuracy}\n\
             ECE of the test images, 15 bins of equal width: {before:.4}; at temperature \
             {temperature:.2}: {after:.4}\n",
            percent(head_history.val_accuracy()?),
            self.head_epochs,
            self.views,
            epoch.epoch,
        ))?;
        let table = Table::new(["measure", "value"])
            .row(["best validation accuracy", &validation_accuracy])
            .row(["best epoch", &epoch.epoch.to_string()])
            .row(["test accuracy", &test_accuracy])
            .row(["ECE, 15 bins of equal width", &format!("{before:.4}")])
            .row([format!("ECE at temperature {temperature:.2}"), format!("{after:.4}")]);
        print!("\n{table}");
        println!("\nSaved:\n  {}", best.display());
        let name = self.backbone.name();
        common.save(&evaluation.confusion_matrix()?.plot()?, &format!("{name}_confusion"))?;
        let reliability = evaluation.reliability(Bins::EqualWidth(15))?.plot()?;
        common.save(&reliability, &format!("{name}_reliability"))
    }
}
