//! The program `mnist`: the lessons' training runs from a shell, with the same calls as in the
//! notebooks.

mod augmented;
mod fast;
mod lesson;
mod options;
mod predict;
mod progress_bar;
mod record;
mod saved;
mod transfer;

use anyhow::Result;
use augmented::{Augmented, Network};
use clap::{Parser, Subcommand};
use fast::Fast;
use lesson::Lesson;
use options::Common;
use predict::Predict;
use saved::Architecture;
use std::process::ExitCode;
use std::time::Instant;
use transfer::Transfer;

/// Train the models of the mnist_kit lessons, and read pictures of digits with them
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lesson 1: a multi-layer perceptron, 784 → 100 → 10; Adam 1e-3, batch size 128, 3 epochs
    Mlp {
        /// Number of hidden neurons
        #[arg(long, default_value_t = 100)]
        hidden: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Lesson 2: LeNet; SGD 1e-3 with momentum 0.9, batch size 128, 21 epochs
    Lenet(Common),
    /// Lesson 3: a CNN with two convolutions; Adam 1e-3, batch size 100, 15 epochs
    Cnn(Common),
    /// Lesson 3: a deeper CNN with dropout; Adam 1e-3, batch size 100, 15 epochs
    DeepCnn(Common),
    /// Lesson 4: a residual network on augmented images; Adam 1e-3, batch size 64, 9 epochs
    Resnet {
        /// Number of channels of the first stage; 16 trains in a tenth of the time
        #[arg(long, default_value_t = 64)]
        width: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Lesson 5: transfer learning from ImageNet on 10,000 digits; AdamW, two phases
    Transfer(Transfer),
    /// Lesson 6: 99 % in seconds; AdamW with one cycle to 1e-2, batch size 128, 1 epoch
    Fast(Fast),
    /// The most accurate model: three networks of 140,458 parameters on augmented images, 20 epochs
    /// of AdamW with one cycle to 1e-2, batch size 128; alone and together
    Best(Augmented),
    /// The smallest model at 99 %: 1,554 parameters, on augmented images, 40 epochs of AdamW with one
    /// cycle to 2e-2, batch size 128
    Small(Augmented),
    /// Read pictures of digits with weights that a lesson has saved
    Predict(Predict),
}

fn main() -> ExitCode {
    let started = Instant::now();
    mnist_kit::init();
    match run(Cli::parse().command, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, started: Instant) -> Result<()> {
    match command {
        Command::Mlp { hidden, common } => {
            Lesson::of(Architecture::Mlp).hidden(hidden).run(&common)
        }
        Command::Lenet(common) => Lesson::of(Architecture::Lenet).run(&common),
        Command::Cnn(common) => Lesson::of(Architecture::Cnn).run(&common),
        Command::DeepCnn(common) => Lesson::of(Architecture::DeepCnn).run(&common),
        Command::Resnet { width, common } => {
            Lesson::of(Architecture::Resnet).width(width).run(&common)
        }
        Command::Transfer(transfer) => transfer.run(),
        Command::Fast(fast) => fast.run(started),
        Command::Best(augmented) => augmented.run(Network::Best),
        Command::Small(augmented) => augmented.run(Network::Small),
        Command::Predict(predict) => predict.run(),
    }
}
