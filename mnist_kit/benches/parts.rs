//! The parts of a training step, each timed by criterion: `make bench ROWS=parts`.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mnist_kit::Result;
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::eval::ConfusionMatrix;
use mnist_kit::model::{Cnn, DeepCnn, LeNet, Mlp, ResNet, predict};
use mnist_kit::train::Adam;
use mnist_kit::transform::{Compose, RandomAffine, RandomRotation};
use std::time::Duration;
use tch::{Device, nn};

/// Number of images in a batch.
const BATCH: usize = 128;
/// Batches of the ResNet are smaller, as in lesson 4.
const SMALL_BATCH: usize = 64;

fn parts(criterion: &mut Criterion) {
    mnist_kit::init();
    tch::manual_seed(1);
    try_parts(criterion).expect("every part runs on generated digits");
}

fn try_parts(criterion: &mut Criterion) -> Result<()> {
    let digits = Mnist::generated(1, 1024, 1024)?;
    let pixels = Compose::new().to_tensor().normalize(0.1307, 0.3081);
    let augmentation = Compose::new()
        .then(RandomRotation::new(10.0))
        .then(RandomAffine::new(0.0).shear(10.0).scale(0.8, 1.2))
        .to_tensor()
        .normalize(0.5, 0.5);
    let batches = digits.train.batches(BATCH)?.transform(&pixels).shuffle(1);
    let flat = digits.train.batches(BATCH)?.transform(&pixels.clone().flatten()).shuffle(1);
    let augmented = digits.train.batches(SMALL_BATCH)?.transform(&augmentation).shuffle(1);
    for (name, batches) in [("pixels", &batches), ("augmented", &augmented)] {
        criterion.bench_function(&format!("batch/{name}"), |bencher| {
            let mut all = batches.epoch(1);
            bencher.iter(|| match all.next() {
                Some(batch) => drop(batch),
                None => all = batches.epoch(1),
            });
        });
    }

    step(criterion, "mlp", |root| Mlp::new(root, 100), &flat)?;
    step(criterion, "lenet", |root| Ok(LeNet::new(root)), &batches)?;
    step(criterion, "cnn", |root| Ok(Cnn::new(root)), &batches)?;
    step(criterion, "deep_cnn", |root| Ok(DeepCnn::new(root)), &batches)?;
    step(criterion, "resnet", |root| Ok(ResNet::new(root)), &augmented)?;

    let vs = nn::VarStore::new(Device::Cpu);
    let model = Cnn::new(vs.root());
    let tests = digits.test.batches(1024)?.transform(&pixels);
    criterion.bench_function("predict/cnn, 1,024 images", |bencher| {
        bencher.iter(|| predict(&model, &tests));
    });
    let truths: Vec<i64> = (0..10_000).map(|index| index % 10).collect();
    let predictions: Vec<i64> = (0..10_000).map(|index| index % 7).collect();
    criterion.bench_function("confusion matrix, 10,000 images", |bencher| {
        bencher.iter(|| ConfusionMatrix::new(&truths, &predictions, 10));
    });
    Ok(())
}

/// Times forward pass, backward pass and optimizer step of a model on one batch.
fn step<M: nn::ModuleT>(
    criterion: &mut Criterion,
    name: &str,
    build: impl Fn(nn::Path) -> Result<M>,
    batches: &Batches,
) -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = build(vs.root())?;
    let (images, labels) = batches.first()?;
    let loss = || model.forward_t(&images, true).cross_entropy_for_logits(&labels);
    criterion.bench_function(&format!("forward/{name}"), |bencher| bencher.iter(loss));
    criterion.bench_function(&format!("backward/{name}"), |bencher| {
        bencher.iter_batched(loss, |loss| loss.backward(), BatchSize::PerIteration);
    });
    let mut optimizer = Adam::new(1e-3).build(&vs)?;
    criterion.bench_function(&format!("adam/{name}"), |bencher| bencher.iter(|| optimizer.step()));
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    targets = parts
}
criterion_main!(benches);
