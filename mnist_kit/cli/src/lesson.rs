//! What every lesson does from the shell: load, train, evaluate, save.

use crate::options::Common;
use crate::progress_bar::EpochBar;
use crate::saved::Recipe;
use anyhow::Result;
use mnist_kit::data::Mnist;
use mnist_kit::eval::{Evaluation, evaluate};
use mnist_kit::model::summary;
use mnist_kit::plot::{image_grid, prediction_grid};
use mnist_kit::train::{History, OptimizerConfig, fit};
use mnist_kit::transform::Compose;
use mnist_kit::write_whole;
use tch::nn;

/// A lesson's own settings, where the options leave them open.
pub struct Lesson {
    /// Files are named after it.
    pub name: &'static str,
    pub epochs: usize,
    pub batch_size: usize,
    pub drop_last: bool,
    pub seed: u32,
    pub recipe: Recipe,
}

impl Lesson {
    /// Training images go through `augmentation` first.
    pub fn run(
        &self,
        common: &Common,
        mnist: &Mnist,
        augmentation: Compose,
        optimizer: OptimizerConfig,
    ) -> Result<()> {
        let device = common.device()?;
        let seed = common.seed.unwrap_or(self.seed);
        print!("{}", mnist_kit::environment());
        print!("\n{}\n{}", mnist.table(), mnist.train.class_counts()?.table());

        let train_batches = mnist.train.batches(common.batch_size.unwrap_or(self.batch_size))?;
        let train_batches = train_batches
            .transform(&self.recipe.after(augmentation))
            .shuffle(seed.into())
            .drop_last(self.drop_last)
            .device(device);
        let test_batches = mnist.test.batches(common.test_batch_size)?;
        let test_batches =
            test_batches.transform(&self.recipe.after(Compose::new())).device(device);

        tch::manual_seed(seed.into());
        let vs = nn::VarStore::new(device);
        let model = self.recipe.build(vs.root())?;
        print!("\n{}\n", summary(&vs).table());

        let mut run = fit(&*model, &vs, &train_batches)
            .optimizer(optimizer)
            .schedule(common.schedule())
            .epochs(common.epochs.unwrap_or(self.epochs))
            .test(&test_batches)
            .report(EpochBar::new()?);
        if let Some(path) = &common.checkpoint {
            run = run.checkpoint(path);
        }
        let history = run.run()?;

        let evaluation = evaluate(&*model, &test_batches)?;
        print!("\n{}\n{}", evaluation.table(), evaluation.confusion_matrix()?.per_class_table());
        println!("\nSaved:");
        self.save_figures(common, mnist, &history, &evaluation)?;
        let weights = common.out.join(format!("{}.safetensors", self.name));
        self.recipe.save(&vs, &weights)?;
        println!("  {}", weights.display());
        let numbers = common.out.join(format!("{}_history.csv", self.name));
        write_whole(&numbers, history.to_csv().as_bytes())?;
        println!("  {}", numbers.display());
        Ok(())
    }

    fn save_figures(
        &self,
        common: &Common,
        mnist: &Mnist,
        history: &History,
        evaluation: &Evaluation,
    ) -> Result<()> {
        let save = |figure, kind: &str| common.save(&figure, &format!("{}_{kind}", self.name));
        save(image_grid(&mnist.train.first_of_each_class()?, 2, 5)?, "samples")?;
        if !history.epochs().is_empty() {
            save(history.plot()?, "curves")?;
        }
        let mistakes = evaluation.mistakes()?.first(3)?;
        if let Some(wrong) = mistakes.first() {
            save(wrong.plot()?, "confidence")?;
        }
        let mut shown = evaluation.correct()?.first(7)?;
        shown.extend(mistakes);
        save(prediction_grid(&shown, 2, 5)?, "predictions")?;
        let confusion_matrix = evaluation.confusion_matrix()?;
        save(confusion_matrix.plot()?, "confusion")?;
        save(confusion_matrix.plot_normalized()?, "confusion_normalized")
    }
}
