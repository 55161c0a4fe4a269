//! The lessons as programs: the same calls as in the notebooks, from a shell.

mod mlp;
mod options;
mod progress_bar;

use clap::{Parser, Subcommand};

/// Train the models of the mnist_kit lessons and save their figures and weights.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    lesson: Lesson,
}

#[derive(Subcommand)]
enum Lesson {
    /// Lesson 1: a multi-layer perceptron, 784 → 100 → 10.
    Mlp(mlp::Args),
}

fn main() -> anyhow::Result<()> {
    mnist_kit::init();
    match Cli::parse().lesson {
        Lesson::Mlp(args) => mlp::run(&args),
    }
}
