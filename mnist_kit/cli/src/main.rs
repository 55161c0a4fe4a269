//! The lessons as programs: the same calls as in the notebooks, from a shell.

mod lesson;
mod options;
mod predict;
mod progress_bar;
mod saved;
mod transfer;

use clap::{Parser, Subcommand};
use lesson::Lesson;
use mnist_kit::train::{Adam, Sgd};
use mnist_kit::transform::{Compose, RandomAffine, RandomRotation};
use options::Common;
use predict::Predict;
use saved::{Architecture, Recipe};
use transfer::Transfer;

/// Train the models of the mnist_kit lessons and save their figures and weights.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lesson 1: a perceptron, 784 → 100 → 10; Adam 1e-3, batches of 128, 3 epochs
    Mlp {
        /// Neurons of the hidden layer
        #[arg(long, default_value_t = 100)]
        hidden: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Lesson 2: LeNet; SGD 1e-3 with momentum 0.9, batches of 128, 21 epochs
    Lenet(Common),
    /// Lesson 3: two convolutions; Adam 1e-3, batches of 100, 15 epochs
    Cnn(Common),
    /// Lesson 3: three convolutions and dropout; Adam 1e-3, batches of 100, 15 epochs
    DeepCnn(Common),
    /// Lesson 4: a residual network on augmented images; Adam 1e-3, batches of 64, 9 epochs
    Resnet(Common),
    /// Lesson 5: a network trained on photographs, trained further on 10,000 digits; AdamW, head 1e-3, backbone less
    Transfer(Transfer),
    /// Read pictures of digits with weights that a lesson has saved
    Predict(Predict),
}

fn main() -> anyhow::Result<()> {
    mnist_kit::init();
    let adam = |lr| Adam::new(lr).into();
    let plain = Compose::new();
    match Cli::parse().command {
        Command::Mlp { hidden, common } => {
            let mnist = common.load()?;
            let (mean, std) = mnist.train.head(1000).mean_std()?;
            let recipe = Recipe { model: Architecture::Mlp, hidden: Some(hidden), mean, std };
            let lesson = Lesson {
                name: "mlp",
                epochs: 3,
                batch_size: 128,
                drop_last: false,
                seed: 42,
                recipe,
            };
            lesson.run(&common, &mnist, plain, adam(common.lr))
        }
        Command::Lenet(common) => {
            let recipe = Recipe::usual(Architecture::Lenet);
            let lesson = Lesson {
                name: "lenet",
                epochs: 21,
                batch_size: 128,
                drop_last: false,
                seed: 42,
                recipe,
            };
            let sgd = Sgd::new(common.lr).momentum(0.9).into();
            lesson.run(&common, &common.load()?, plain, sgd)
        }
        Command::Cnn(common) => {
            let recipe = Recipe::usual(Architecture::Cnn);
            let lesson = Lesson {
                name: "cnn",
                epochs: 15,
                batch_size: 100,
                drop_last: true,
                seed: 777,
                recipe,
            };
            lesson.run(&common, &common.load()?, plain, adam(common.lr))
        }
        Command::DeepCnn(common) => {
            let recipe = Recipe::usual(Architecture::DeepCnn);
            let lesson = Lesson {
                name: "deep_cnn",
                epochs: 15,
                batch_size: 100,
                drop_last: true,
                seed: 777,
                recipe,
            };
            lesson.run(&common, &common.load()?, plain, adam(common.lr))
        }
        Command::Resnet(common) => {
            let recipe = Recipe::usual(Architecture::Resnet);
            let lesson = Lesson {
                name: "resnet",
                epochs: 9,
                batch_size: 64,
                drop_last: false,
                seed: 42,
                recipe,
            };
            let augmentation = plain
                .then(RandomRotation::new(10.0))
                .then(RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2));
            lesson.run(&common, &common.load()?, augmentation, adam(common.lr))
        }
        Command::Transfer(transfer) => transfer.run(),
        Command::Predict(predict) => predict.run(),
    }
}
