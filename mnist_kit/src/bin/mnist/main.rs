//! The lessons as programs: the same calls as in the notebooks, from a shell.

mod lesson;
mod options;
mod progress_bar;

use clap::{Parser, Subcommand};
use lesson::Lesson;
use mnist_kit::model::{Cnn, DeepCnn, LeNet, Mlp, ResNet};
use mnist_kit::train::{Adam, Sgd};
use mnist_kit::transform::{Compose, RandomAffine, RandomRotation};
use options::Common;

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
}

fn main() -> anyhow::Result<()> {
    mnist_kit::init();
    let adam = |lr| Adam::new(lr).into();
    let bytes_to_shares = || Compose::new().to_tensor();
    match Cli::parse().command {
        Command::Mlp { hidden, common } => {
            let mnist = common.load()?;
            let (mean, std) = mnist.train.head(1000).mean_std()?;
            let transform = bytes_to_shares().normalize(mean, std).flatten();
            let lesson = Lesson { name: "mlp", epochs: 3, batch_size: 128, drop_last: false };
            lesson.run(&common, &mnist, transform.clone(), transform, adam, |path| {
                Mlp::new(path, hidden)
            })
        }
        Command::Lenet(common) => {
            let lesson = Lesson { name: "lenet", epochs: 21, batch_size: 128, drop_last: false };
            let sgd = |lr| Sgd::new(lr).momentum(0.9).into();
            let (train, test) = (bytes_to_shares(), bytes_to_shares());
            lesson.run(&common, &common.load()?, train, test, sgd, |path| Ok(LeNet::new(path)))
        }
        Command::Cnn(common) => {
            let lesson = Lesson { name: "cnn", epochs: 15, batch_size: 100, drop_last: true };
            let (train, test) = (bytes_to_shares(), bytes_to_shares());
            lesson.run(&common, &common.load()?, train, test, adam, |path| Ok(Cnn::new(path)))
        }
        Command::DeepCnn(common) => {
            let lesson = Lesson { name: "deep_cnn", epochs: 15, batch_size: 100, drop_last: true };
            let (train, test) = (bytes_to_shares(), bytes_to_shares());
            lesson.run(&common, &common.load()?, train, test, adam, |path| Ok(DeepCnn::new(path)))
        }
        Command::Resnet(common) => {
            let lesson = Lesson { name: "resnet", epochs: 9, batch_size: 64, drop_last: false };
            let augmented = Compose::new()
                .then(RandomRotation::new(10.0))
                .then(RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2));
            let train = augmented.to_tensor().normalize(0.5, 0.5);
            let test = bytes_to_shares().normalize(0.5, 0.5);
            lesson.run(&common, &common.load()?, train, test, adam, |path| Ok(ResNet::new(path)))
        }
    }
}
