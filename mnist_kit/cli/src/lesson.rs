//! The steps that lessons 1 to 4 share: load, train, evaluate, save.

use crate::options::Common;
use crate::progress_bar::EpochBar;
use crate::saved::{Architecture, Recipe};
use anyhow::Result;
use mnist_kit::data::Mnist;
use mnist_kit::eval::{Evaluation, evaluate};
use mnist_kit::model::summary;
use mnist_kit::plot::{image_grid, prediction_grid};
use mnist_kit::train::{Adam, History, OptimizerConfig, Sgd, fit};
use mnist_kit::transform::{Compose, RandomAffine, RandomRotation};
use serde_json::{Map, Value};
use tch::nn;

/// A lesson's own settings, used where the options leave them open.
pub struct Lesson {
    /// Prefix of the file names.
    name: &'static str,
    model: Architecture,
    /// Number of the perceptron's hidden neurons.
    hidden: Option<i64>,
    /// Number of channels of the residual network's first stage.
    width: Option<i64>,
    epochs: usize,
    batch_size: usize,
    drop_last: bool,
    seed: u32,
}

impl Lesson {
    /// The lesson that trains this model.
    pub fn of(model: Architecture) -> Lesson {
        let (name, epochs, batch_size, seed) = match model {
            Architecture::Mlp => ("mlp", 3, 128, 42),
            Architecture::Lenet => ("lenet", 21, 128, 42),
            Architecture::Cnn => ("cnn", 15, 100, 777),
            Architecture::DeepCnn => ("deep_cnn", 15, 100, 777),
            Architecture::Resnet => ("resnet", 9, 64, 42),
        };
        let drop_last = matches!(model, Architecture::Cnn | Architecture::DeepCnn);
        Lesson { name, model, hidden: None, width: None, epochs, batch_size, drop_last, seed }
    }

    /// Sets the number of the perceptron's hidden neurons.
    pub fn hidden(self, hidden: i64) -> Lesson {
        Lesson { hidden: Some(hidden), ..self }
    }

    /// Sets the number of channels of the residual network's first stage.
    pub fn width(self, width: i64) -> Lesson {
        Lesson { width: Some(width), ..self }
    }

    /// Trains and evaluates the model, and saves figures, weights and history.
    pub fn run(&self, common: &Common) -> Result<()> {
        let seed = common.seed.unwrap_or(self.seed);
        let recorder = common.recorder(self.name, seed.into(), self.settings(common)?)?;
        let mnist = common.load()?;
        let device = common.device()?;
        let recipe = self.recipe(&mnist)?;
        print!("{}", mnist_kit::environment());
        print!("\n{mnist}\n{}", mnist.train.class_counts()?);

        let train_batches = mnist
            .train
            .batches(common.batch_size(self.batch_size))?
            .transform(&recipe.after(self.augmentation()))
            .shuffle(seed.into())
            .drop_last(self.drop_last)
            .device(device);
        let test_batches = mnist.test.batches(common.test_batch_size())?;
        let test_batches = test_batches.transform(&recipe.after(Compose::new())).device(device);

        tch::manual_seed(seed.into());
        let vs = nn::VarStore::new(device);
        let model = recipe.build(vs.root())?;
        print!("\n{}\n", summary(&vs));

        let mut run = fit(&*model, &vs, &train_batches)
            .optimizer(self.optimizer(common.lr))
            .schedule(common.schedule())
            .epochs(common.epochs(self.epochs))
            .test(&test_batches)
            .report(EpochBar::new()?.record(recorder));
        if let Some(path) = &common.checkpoint {
            run = run.checkpoint(path);
        }
        let history = run.run()?;

        let evaluation = evaluate(&*model, &test_batches)?;
        common.add_test_to_record(&evaluation)?;
        print!("\n{evaluation}\n{}", evaluation.confusion_matrix()?.per_class_table());
        println!("\nSaved:");
        self.save_figures(common, &mnist, &history, &evaluation)?;
        let weights = common.out.join(format!("{}.safetensors", self.name));
        recipe.save(&vs, &weights)?;
        println!("  {}", weights.display());
        for extension in ["csv", "json"] {
            let path = common.out.join(format!("{}_history.{extension}", self.name));
            history.save(&path)?;
            println!("  {}", path.display());
        }
        Ok(())
    }

    /// The settings of the run, for its record.
    fn settings(&self, common: &Common) -> Result<Map<String, Value>> {
        let mut settings = common.settings(self.epochs, self.batch_size)?;
        for (name, size) in [("hidden", self.hidden), ("width", self.width)] {
            if let Some(size) = size {
                settings.insert(name.to_string(), size.into());
            }
        }
        Ok(settings)
    }

    /// The lesson's recipe; the perceptron is normalized with the first 1,000 training images.
    fn recipe(&self, mnist: &Mnist) -> Result<Recipe> {
        let recipe = Recipe { hidden: self.hidden, width: self.width, ..Recipe::usual(self.model) };
        if self.model != Architecture::Mlp {
            return Ok(recipe);
        }
        let (mean, std) = mnist.train.head(1000).mean_std()?;
        Ok(Recipe { mean, std, ..recipe })
    }

    fn augmentation(&self) -> Compose {
        match self.model {
            Architecture::Resnet => Compose::new()
                .then(RandomRotation::new(10.0))
                .then(RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2)),
            _ => Compose::new(),
        }
    }

    fn optimizer(&self, lr: f64) -> OptimizerConfig {
        match self.model {
            Architecture::Lenet => Sgd::new(lr).momentum(0.9).into(),
            _ => Adam::new(lr).into(),
        }
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
        save(history.plot()?, "curves")?;
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
