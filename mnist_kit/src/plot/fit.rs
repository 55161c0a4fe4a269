//! Training runs, with curves that grow where a notebook can show them.

use crate::Result;
use crate::figure::LiveFigure;
use crate::runtime::channel;
use crate::train::{EpochRecord, Fit, History, PrintLines, Report};
use tch::nn;

impl<M: nn::ModuleT + ?Sized> Fit<'_, M> {
    /// Trains.
    ///
    /// In the project's kernel a progress bar shows the batches. Without a
    /// [`report`](Fit::report), [`History::plot`] grows there with each epoch.
    ///
    /// A cell that is asked to stop (see [`stop_requested`](crate::stop_requested)) ends the run at
    /// the next batch: the history has the epochs that were completed, and the model keeps the
    /// weights of the last step.
    ///
    /// # Errors
    /// When a setting is out of range, the model cannot process the images, a label is not among
    /// its classes, training diverges, or the checkpoint cannot be written or belongs to another
    /// run.
    pub fn run(self) -> Result<History> {
        if channel::is_live() {
            self.run_reporting(GrowingCurves::default())
        } else {
            self.run_reporting(PrintLines::default())
        }
    }
}

/// Prints a line of each epoch, and shows the curves so far.
#[derive(Default)]
struct GrowingCurves {
    history: History,
    figure: LiveFigure,
}

impl Report for GrowingCurves {
    fn start(&mut self, history: &History, _num_epochs: usize) -> Result<()> {
        self.history = history.clone();
        self.show()
    }

    fn epoch(&mut self, record: &EpochRecord, num_epochs: usize) -> Result<()> {
        PrintLines { every: 0 }.epoch(record, num_epochs)?;
        self.history.push(record.clone());
        self.show()
    }
}

impl GrowingCurves {
    fn show(&mut self) -> Result<()> {
        if !self.history.epochs().is_empty() {
            self.figure.update(&self.history.plot()?);
        }
        Ok(())
    }
}
