//! Cells that train, predict and draw.

use anyhow::Result;
use mnist_kit::data::{Batches, Mnist, RemoteFile, TimeLimits, download};
use mnist_kit::eval::grad_cam;
use mnist_kit::figure::live;
use mnist_kit::model::{Mlp, extract_features, predict, try_forward};
use mnist_kit::plot::Lines;
use mnist_kit::train::{BatchRecord, Progress, Report, fit};
use mnist_kit::transform::Compose;
use mnist_kit::{Interrupted, ProgressBar, stop_requested};
use std::thread::sleep;
use std::time::Duration;
use tch::nn::{self, FuncT, ModuleT};
use tch::{Device, Kind, Tensor};

pub fn run(action: &str) -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 8)?;
    match action {
        "fit" => {
            let (train, test) = digits()?;
            let history = fit(&model, &vs, &train).epochs(2).validation(&test).run()?;
            println!("epochs: {}", history.epochs().len());
        }
        "stopped fit" => {
            let (train, _) = digits()?;
            let history = fit(&model, &vs, &train).epochs(3).report(WaitAt(2, 3)).run()?;
            println!("epochs: {}", history.epochs().len());
            // The cell is still asked to stop.
            println!("{}", interrupted(predict(&model, &train)));
            assert!(try_forward(&model, &Tensor::zeros([1, 784], float()), false).is_ok());
        }
        "stopped validation" => {
            let (train, test) = digits()?;
            let waiting = WaitsInEvaluation(model);
            let history = fit(&waiting, &vs, &train).validation(&test).report(Quiet).run()?;
            println!("epochs: {}", history.epochs().len());
        }
        "stopped predict" => {
            println!("{}", interrupted(predict(&waiting([25, 10]), &digits()?.1)));
        }
        "stopped features" => {
            let features = extract_features(&waiting([25, 10]), &digits()?.1, 2);
            println!("{}", interrupted(features));
        }
        "stopped Grad-CAM" => {
            let lower = nn::func_t(|images, _| {
                wait_for_stop();
                images.shallow_clone()
            });
            let upper = nn::func_t(|activations, _| activations.flatten(1, -1));
            let images = Tensor::rand([100, 1, 2, 2], float());
            println!("{}", interrupted(grad_cam(&lower, &upper, &images, &[0; 100])));
        }
        "stopped download" => {
            wait_for_stop();
            let checksum = mnist_kit::data::Checksum::Md5OfDownload("0".repeat(32));
            let (name, suffix) = ("digits".to_string(), String::new());
            let file = RemoteFile { name, suffix, bytes: 1..=1, checksum };
            let folder = tempfile::tempdir()?;
            let mirrors = ["http://127.0.0.1:1".to_string()];
            let result = download(&[file], folder.path(), &mirrors, &TimeLimits::default());
            println!("{}", interrupted(result));
        }
        "bar" => {
            let mut bar = ProgressBar::new("count", 3).unit("steps");
            for _ in 0..3 {
                // Longer than the time between two updates.
                sleep(Duration::from_millis(250));
                bar.advance(1);
            }
        }
        "figure" => {
            let lines = Lines::new("Epoch", "Loss");
            let mut figure = live(&lines.clone().series("first", [(1.0, 0.5)]).plot()?);
            figure.update(&lines.series("second", [(1.0, 0.5)]).plot()?);
        }
        other => panic!("no cell {other}"),
    }
    Ok(())
}

fn float() -> (Kind, Device) {
    (Kind::Float, Device::Cpu)
}

/// A hundred images to train on and fifty to measure on, in batches of 25.
fn digits() -> Result<(Batches, Batches)> {
    let digits = Mnist::generated(1, 100, 50)?;
    let transform = Compose::new().to_tensor();
    Ok((
        digits.train.batches(25)?.transform(&transform),
        digits.test.batches(25)?.transform(&transform),
    ))
}

/// Tells the test that the cell has come so far, and waits until it is asked to stop.
fn wait_for_stop() {
    if !stop_requested() {
        println!("waiting");
    }
    while !stop_requested() {
        sleep(Duration::from_millis(1));
    }
}

/// A model that waits in each forward pass, and returns an output of this shape.
fn waiting<'a>(shape: [i64; 2]) -> FuncT<'a> {
    nn::func_t(move |_, _| {
        wait_for_stop();
        Tensor::zeros(shape, float())
    })
}

/// A model that waits in forward passes of whole batches in evaluation mode.
#[derive(Debug)]
struct WaitsInEvaluation(Mlp);

impl ModuleT for WaitsInEvaluation {
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        if !train && images.size()[0] == 25 {
            wait_for_stop();
        }
        self.0.forward_t(images, train)
    }
}

fn interrupted<T>(result: Result<T>) -> String {
    let error = result.err().expect("an error");
    assert!(error.is::<Interrupted>(), "{error:?}");
    error.to_string()
}

struct Quiet;

impl Report for Quiet {}

/// Waits after a batch of an epoch.
struct WaitAt(usize, usize);

impl Report for WaitAt {
    fn batch(&mut self, record: &BatchRecord, _progress: &Progress) -> Result<()> {
        if (record.epoch, record.batch) == (self.0, self.1) {
            wait_for_stop();
        }
        Ok(())
    }
}
