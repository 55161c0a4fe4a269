//! NaN and infinity at each place of a run: the last good checkpoint stays.

use crate::common::{generator, message};
use crate::{digits, mlp};
use anyhow::Result;
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::model::Mlp;
use mnist_kit::train::{BatchRecord, EpochRecord, Progress, Report, Silent, fit};
use mnist_kit::transform::Compose;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Kind, Tensor, nn};

/// Where a number stops being finite, in the second epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Weight,
    Gradient,
    OptimizerState,
    Loss,
    ValidationLoss,
    TestLoss,
    /// In a weight, after the epoch was measured.
    WeightAtTheEnd,
}

const PLACES: [Place; 7] = [
    Place::Weight,
    Place::Gradient,
    Place::OptimizerState,
    Place::Loss,
    Place::ValidationLoss,
    Place::TestLoss,
    Place::WeightAtTheEnd,
];
const VALIDATION_IMAGES: usize = 30;
const TEST_IMAGES: usize = 20;

/// A network that computes as `mlp` does until `now` is set.
struct Spoiled {
    mlp: Mlp,
    bias: Tensor,
    place: Place,
    now: Arc<AtomicBool>,
}

/// The structure by which a checkpoint knows its model is that of the network.
impl fmt::Debug for Spoiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mlp.fmt(f)
    }
}

impl nn::ModuleT for Spoiled {
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        let logits = self.mlp.forward_t(images, train);
        let count = images.size()[0] as usize;
        // The value of these terms is 0.
        let term = |x: Tensor| {
            let first_class = Tensor::from_slice(&[1f32, 0., 0., 0., 0., 0., 0., 0., 0., 0.]);
            &logits + x * first_class
        };
        let bias = self.bias.sum(Kind::Float);
        match self.place {
            _ if !self.now.load(Ordering::SeqCst) => logits,
            Place::Gradient if train => term((&bias * 0.0).sqrt()),
            Place::OptimizerState if train => term(&bias * 1e25 - (&bias * 1e25).detach()),
            Place::Loss if train => logits * f64::INFINITY,
            Place::ValidationLoss if !train && count == VALIDATION_IMAGES => logits * f64::NAN,
            Place::TestLoss if !train && count == TEST_IMAGES => logits * f64::NAN,
            _ => logits,
        }
    }
}

/// Spoils the run in its second epoch.
struct Spoil {
    bias: Tensor,
    place: Place,
    now: Arc<AtomicBool>,
}

impl Report for Spoil {
    fn batch(&mut self, record: &BatchRecord, _progress: &Progress) -> Result<()> {
        if record.epoch == 2 {
            self.now.store(true, Ordering::SeqCst);
            if self.place == Place::Weight && record.batch == record.num_batches {
                let _ = self.bias.detach().fill_(f64::INFINITY);
            }
        }
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord, _num_epochs: usize) -> Result<()> {
        if record.epoch == 2 && self.place == Place::WeightAtTheEnd {
            let _ = self.bias.detach().fill_(f64::NAN);
        }
        Ok(())
    }
}

/// A run of three epochs that keeps a checkpoint and the best weights in a folder.
struct Run<'a> {
    train: Batches,
    validation: Batches,
    test: Batches,
    folder: &'a Path,
}

impl Run<'_> {
    fn new(folder: &Path) -> Result<Run<'_>> {
        let (train, _) = digits(3, 25)?;
        let measured = Mnist::generated(4, 10, VALIDATION_IMAGES + TEST_IMAGES)?.test;
        let sizes = [("validation", VALIDATION_IMAGES), ("test", TEST_IMAGES)];
        let parts = measured.stratified(&sizes, 1)?;
        let batches = |index: usize| -> Result<Batches> {
            Ok(parts[index].batches(50)?.transform(&Compose::new().to_tensor()))
        };
        Ok(Run { train, validation: batches(0)?, test: batches(1)?, folder })
    }

    fn train(&self, epochs: usize, spoiled: Option<Place>) -> Result<Vec<f64>> {
        let (vs, mlp) = mlp()?;
        let bias = vs.variables()["layers.2.bias"].shallow_clone();
        let now = Arc::new(AtomicBool::new(false));
        let place = spoiled.unwrap_or(Place::Loss);
        let model = Spoiled { mlp, bias: bias.shallow_clone(), place, now: now.clone() };
        let run = fit(&model, &vs, &self.train)
            .validation(&self.validation)
            .test(&self.test)
            .keep_best(self.folder.join("best.safetensors"))
            .checkpoint(self.folder.join("run.safetensors"))
            .epochs(epochs);
        let history = match spoiled {
            Some(place) => run.report(Spoil { bias, place, now }).run(),
            None => run.report(Silent).run(),
        };
        Ok(history?.epochs().iter().map(|epoch| epoch.train_loss).collect())
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(self.folder)?
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                Ok((name, std::fs::read(entry.path())?))
            })
            .collect::<Result<_>>()?;
        files.sort();
        Ok(files)
    }
}

#[test]
fn what_is_not_finite_leaves_the_last_good_checkpoint() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let expected = Run::new(folder.path())?.train(3, None)?;
    for place in PLACES {
        let folder = tempfile::tempdir()?;
        let run = Run::new(folder.path())?;
        run.train(1, None)?;
        let good = run.files()?;
        let error = message(run.train(3, Some(place)));
        assert!(error.contains("epoch 2"), "{place:?}: {error}");
        assert!(error.contains("training diverged"), "{place:?}: {error}");
        assert!(run.files()? == good, "{place:?} has changed a file");
        assert_eq!(run.train(3, None)?, expected, "{place:?}");
    }
    Ok(())
}
