//! What the modules promise, on small tensors and generated digits.

mod common;

use anyhow::Result;
use common::message;
use mnist_kit::data::{Mnist, Split};
use mnist_kit::eval::{Bins, ConfusionMatrix, Reliability, evaluate};
use mnist_kit::model::{Mlp, MlpConfig, try_forward};
use mnist_kit::train::{Adam, AdamW, Loss, Progress, Sgd, Silent, fit};
use mnist_kit::transform::{Compose, Interpolation, RandomAffine, RandomRotation};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, nn};

/// Images whose every pixel is the image's number, labelled by that number modulo ten.
fn numbered(count: i64) -> Split {
    let numbers = Tensor::arange(count, (Kind::Int64, Device::Cpu));
    let images =
        numbers.to_kind(Kind::Uint8).view([count, 1, 1, 1]).expand([count, 1, 28, 28], false);
    Split::new("numbered", images.contiguous(), numbers.remainder(10), 10).unwrap()
}

/// The numbers of the images in the order in which the batches give them.
fn order(batches: &mnist_kit::data::Batches, epoch: usize) -> Vec<i64> {
    batches
        .epoch(epoch)
        .flat_map(|batch| {
            Vec::<i64>::try_from(
                batch.unwrap().0.select(1, 0).select(1, 0).select(1, 0).to_kind(Kind::Int64),
            )
            .unwrap()
        })
        .collect()
}

proptest! {
    #[test]
    fn an_epoch_gives_every_image_once(count in 1i64..200, batch_size in 1usize..70, seed: u64, epoch in 1usize..50) {
        let batches = numbered(count).batches(batch_size).unwrap().shuffle(seed);
        let mut seen = order(&batches, epoch);
        prop_assert_eq!(batches.epoch(epoch).count(), batches.len());
        seen.sort();
        prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
    }

    #[test]
    fn dropping_the_last_leaves_full_batches(count in 1i64..200, batch_size in 1usize..70) {
        let batches = numbered(count).batches(batch_size).unwrap().drop_last(true);
        prop_assert_eq!(batches.len(), count as usize / batch_size);
        for batch in batches.epoch(1) {
            prop_assert_eq!(batch.unwrap().1.size()[0] as usize, batch_size);
        }
    }

    #[test]
    fn normalisation_is_undone(mean in -1.0f64..1.0, std in 0.01f64..2.0) {
        let transform = Compose::new().to_tensor().normalize(mean, std);
        let images = numbered(200).images().shallow_clone();
        let back = transform.denormalize(&transform.apply(&images).unwrap()).unwrap() * 255.0;
        let difference = (back - images.to_kind(Kind::Float)).abs().max().double_value(&[]);
        prop_assert!(difference < 1e-2, "{}", difference);
    }

    #[test]
    fn a_confusion_matrix_counts_every_image(pairs in proptest::collection::vec((0i64..10, 0i64..10), 0..300)) {
        let (truths, predictions): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let matrix = ConfusionMatrix::new(&truths, &predictions, 10).unwrap();
        prop_assert_eq!(matrix.counts().iter().flatten().sum::<u64>() as usize, pairs.len());
        let right = pairs.iter().filter(|(truth, predicted)| truth == predicted).count();
        prop_assert_eq!((0..10).map(|class| matrix.counts()[class][class]).sum::<u64>() as usize, right);
        let mistakes: u64 = matrix.top_mistakes(100).iter().map(|mistake| mistake.2).sum();
        prop_assert_eq!(mistakes as usize, pairs.len() - right);
    }
}

#[test]
fn the_order_depends_on_seed_and_epoch_only() -> Result<()> {
    let batches = numbered(100).batches(16)?.shuffle(42);
    assert_eq!(order(&batches, 3), order(&batches.clone(), 3));
    assert_ne!(order(&batches, 1), order(&batches, 2));
    assert_ne!(order(&batches, 1), order(&numbered(100).batches(16)?.shuffle(43), 1));
    assert_eq!(order(&batches.in_order(), 1), (0..100).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn batches_have_their_channels_last_in_memory() -> Result<()> {
    let images = Tensor::randint(256, [6, 1, 4, 5], (Kind::Uint8, Device::Cpu));
    let labels = Tensor::zeros([6], (Kind::Int64, Device::Cpu));
    let split = Split::new("train", images.shallow_clone(), labels, 10)?;
    for channels in [1, 3] {
        let transform = Compose::new().to_tensor().repeat_channels(channels);
        let (batch, _) = split.batches(6)?.transform(&transform).first()?;
        assert_eq!(batch, transform.apply(&images)?, "the layout changes no value");
        assert_eq!(batch.stride(), [20 * channels, 1, 5 * channels, channels]);
    }
    Ok(())
}

#[test]
fn mean_and_deviation_are_those_of_torch() -> Result<()> {
    // Pixels 0 and 255 in equal number: mean 0.5, unbiased deviation √(n/(n−1))/2.
    let images = Tensor::cat(
        &[
            Tensor::zeros([1, 1, 2, 2], (Kind::Uint8, Device::Cpu)),
            Tensor::full([1, 1, 2, 2], 255, (Kind::Uint8, Device::Cpu)),
        ],
        0,
    );
    let split = Split::new("halves", images, Tensor::from_slice(&[0i64, 1]), 2)?;
    let (mean, std) = split.mean_std()?;
    assert!(
        (mean - 0.5).abs() < 1e-7 && (std - (8.0f64 / 7.0).sqrt() / 2.0).abs() < 1e-6,
        "{mean} {std}"
    );
    let shares = split.images().to_kind(Kind::Float) / 255.0;
    let shares = Split::new("shares", shares, Tensor::from_slice(&[0i64, 1]), 2)?;
    assert_eq!(shares.mean_std()?, (mean, std));
    Ok(())
}

#[test]
fn a_split_of_the_wrong_kind_is_refused() {
    let images = || Tensor::zeros([3, 1, 28, 28], (Kind::Uint8, Device::Cpu));
    let labels = |values: &[i64]| Tensor::from_slice(values);
    let wrong = message(Split::new("train", images(), labels(&[0, 1]), 10));
    assert!(wrong.contains("3 images but 2 labels"), "{wrong}");
    let wrong = message(Split::new("train", images(), labels(&[0, 1, 10]), 10));
    assert!(wrong.contains("label 10 at index"), "{wrong}");
    let wrong = message(Split::new("train", images().to_kind(Kind::Int64), labels(&[0, 1, 2]), 10));
    assert!(wrong.contains("expected Uint8 or Float [N, C, H, W]"), "{wrong}");
    assert!(message(numbered(3).batches(0)).contains("batch size 0"));
    assert!(message(numbered(3).select(&[3])).contains("no image 3"));
    assert!(message(numbered(3).get(3)).contains("no image 3"));
}

#[test]
fn a_transform_says_what_it_cannot_take() -> Result<()> {
    let images = numbered(2).images().shallow_clone();
    let wrong = message(Compose::new().normalize(0.5, 0.5).apply(&images));
    assert!(wrong.contains("call to_tensor before normalize"), "{wrong}");
    let wrong = message(Compose::new().to_tensor().to_tensor().apply(&images));
    assert!(wrong.contains("to_tensor comes first and once"), "{wrong}");
    let wrong = message(Compose::new().to_tensor().normalize(0.5, 0.0).apply(&images));
    assert!(wrong.contains("deviation above 0"), "{wrong}");
    assert!(message(Compose::new().denormalize(&images)).contains("Uint8"));
    Ok(())
}

#[test]
fn random_steps_follow_the_seed_and_the_epoch() -> Result<()> {
    let digits = Mnist::generated(3, 100, 10)?;
    let transform = Compose::new().then(RandomRotation::new(20.0)).to_tensor();
    let batches = digits.train.batches(100)?.transform(&transform).shuffle(7);
    let images = |epoch: usize| batches.epoch(epoch).next().expect("a batch").unwrap().0;
    assert_eq!(images(1), images(1));
    tch::set_num_threads(1);
    let with_one_thread = images(2);
    tch::set_num_threads(2);
    assert_eq!(with_one_thread, images(2), "the number of threads changes nothing");
    assert_ne!(images(1), images(2));
    assert!(message(transform.apply(digits.train.images())).contains("call apply_seeded"));
    Ok(())
}

#[test]
fn neighbouring_movements_are_sampled_once() -> Result<()> {
    // Halved and doubled again: sampled one after the other the images would be blurred.
    let images = Mnist::generated(3, 20, 10)?.train.images().shallow_clone();
    let scale = |factor| {
        RandomAffine::new(0.0).scale(factor, factor).interpolation(Interpolation::Bilinear)
    };
    let once = Compose::new().then(scale(0.5)).then(scale(2.0)).apply_seeded(&images, 1)?;
    assert_eq!(once, images);
    let halved = Compose::new().then(scale(0.5)).apply_seeded(&images, 1)?;
    assert_ne!(Compose::new().then(scale(2.0)).apply_seeded(&halved, 1)?, images);
    Ok(())
}

#[test]
fn random_ranges_are_kept_and_checked() -> Result<()> {
    let dot = Tensor::zeros([400, 1, 21, 21], (Kind::Uint8, Device::Cpu));
    let _ = dot.narrow(2, 10, 1).narrow(3, 10, 1).fill_(255);
    let moved =
        Compose::new().then(RandomAffine::new(0.0).translate(0.2, 0.0)).apply_seeded(&dot, 3)?;
    // 0.2 · 21 = 4.2 pixels each way along x, none along y.
    let columns = moved.sum_dim_intlist([0i64, 1, 2].as_slice(), false, Kind::Int64);
    let seen: Vec<i64> =
        Vec::<i64>::try_from(columns)?.iter().map(|sum| i64::from(*sum > 0)).collect();
    assert_eq!(seen, (0i64..21).map(|x| i64::from((6..=14).contains(&x))).collect::<Vec<_>>());
    let filled = Compose::new()
        .then(RandomAffine::new(0.0).scale(0.5, 0.5).fill(9.0))
        .apply_seeded(&dot, 3)?;
    assert_eq!(filled.int64_value(&[0, 0, 0, 0]), 9);
    let wrong = |random: RandomAffine| message(Compose::new().then(random).apply_seeded(&dot, 1));
    assert!(wrong(RandomAffine::new(-1.0)).contains("expected 0 to 360"));
    assert!(wrong(RandomAffine::new(1e308)).contains("expected 0 to 360"));
    assert!(wrong(RandomAffine::new(0.0).scale(0.0, 1.0)).contains("0 < smallest"));
    assert!(wrong(RandomAffine::new(0.0).translate(2.0, 0.0)).contains("shares of 0 to 1"));
    let flat =
        message(Compose::new().then(RandomRotation::new(1.0)).apply_seeded(&dot.squeeze(), 1));
    assert!(flat.contains("expected [N, C, H, W]"), "{flat}");
    Ok(())
}

#[test]
fn a_label_that_is_no_class_is_refused() {
    let logits = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    for loss in [
        Loss::default(),
        Loss::CrossEntropy { label_smoothing: 0.1 },
        Loss::NegativeLogLikelihood,
        Loss::BinaryCrossEntropy,
    ] {
        assert!(loss.of(&logits, &Tensor::from_slice(&[0i64, 2])).is_ok());
        for wrong in [-100i64, -1, 3] {
            assert!(
                loss.of(&logits, &Tensor::from_slice(&[0, wrong])).is_err(),
                "{loss:?} {wrong}"
            );
        }
    }
}

#[test]
fn an_optimizer_takes_no_other_kinds_state() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 8)?;
    let images = Tensor::rand([4, 784], (Kind::Float, Device::Cpu));
    let mut momentum = Sgd::new(0.1).momentum(0.9).build(&vs)?;
    try_forward(&model, &images, true)?.sum(Kind::Float).backward();
    momentum.step()?;
    let state = momentum.state()?;
    let mut adam = Adam::new(1e-3).build(&vs)?;
    let wrong = message(adam.set_state(&state));
    assert!(wrong.contains("that of another kind of optimizer"), "{wrong}");
    assert_eq!(adam.lr(), 1e-3, "a refused state changes nothing");
    adam.step()?;
    for (name, wrong) in [
        ("lr", Tensor::from_slice(&[f64::NAN])),
        ("layers.0.bias.steps", Tensor::from_slice(&[-1i64])),
    ] {
        let mut state = adam.state()?;
        state.insert(name.to_string(), wrong);
        assert!(adam.set_state(&state).is_err(), "{name}");
    }
    Ok(())
}

#[test]
fn what_is_made_of_generated_digits_says_so() -> Result<()> {
    let digits = Mnist::generated(3, 100, 20)?;
    let says =
        |table: mnist_kit::table::Table| table.to_string().contains("generated digits (not MNIST)");
    assert!(says(digits.table()) && says(digits.train.class_counts()?.table()));
    let batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor());
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 8)?;
    assert!(says(fit(&model, &vs, &batches).report(Silent).run()?.table()));
    let evaluation = evaluate(&model, &batches)?;
    assert!(says(evaluation.table()));
    assert!(says(evaluation.confusion_matrix()?.per_class_table()));
    assert!(says(evaluation.confusion_matrix()?.top_mistakes_table(3)));
    Ok(())
}

#[test]
fn a_run_that_cannot_work_says_why() -> Result<()> {
    let digits = Mnist::generated(3, 100, 20)?;
    let train_batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor());
    let vs = nn::VarStore::new(Device::Cpu);
    let wrong = message(
        fit(&Mlp::new(nn::VarStore::new(Device::Cpu).root(), 8)?, &vs, &train_batches).run(),
    );
    assert!(wrong.contains("build the model before the optimizer"), "{wrong}");
    let model = Mlp::new(vs.root(), 8)?;
    let wrong = message(fit(&model, &vs, &train_batches).optimizer(Adam::new(-1.0)).run());
    assert!(wrong.contains("learning rate -1"), "{wrong}");
    assert!(message(Sgd::new(0.1).momentum(1.0).build(&vs)).contains("momentum or beta 1"));
    assert!(message(AdamW::new(0.1).weight_decay(-1.0).build(&vs)).contains("weight decay -1"));
    let bytes = digits.train.batches(50)?;
    assert!(
        message(fit(&model, &vs, &bytes).report(Silent).run())
            .contains("put to_tensor into the transform")
    );
    let diverged = message(
        fit(&model, &vs, &train_batches).optimizer(Sgd::new(1e30)).epochs(3).report(Silent).run(),
    );
    assert!(diverged.contains("a smaller learning rate often helps"), "{diverged}");
    let nothing = digits.train.head(0).batches(10)?;
    assert!(message(fit(&model, &vs, &nothing).run()).contains("no batch to train on"));
    assert!(message(evaluate(&model, &nothing)).contains("no images to predict"));
    let two = MlpConfig::default().classes(2).build(nn::VarStore::new(Device::Cpu).root())?;
    assert!(!message(evaluate(&two, &train_batches)).is_empty());
    Ok(())
}

#[test]
fn known_answers_are_counted_right() -> Result<()> {
    /// Says the class that stands in the first pixel, surer the brighter the second is.
    #[derive(Debug)]
    struct Reader;
    impl nn::Module for Reader {
        fn forward(&self, images: &Tensor) -> Tensor {
            let pixels = images.flatten(1, -1) * 255.0;
            let class = pixels.select(1, 0).to_kind(Kind::Int64);
            class.one_hot(3) * (pixels.select(1, 1).unsqueeze(1) / 10.0)
        }
    }
    let images = Tensor::from_slice(&[0u8, 10, 1, 20, 2, 30, 0, 40, 1, 50]).view([5, 1, 1, 2]);
    let split = Split::new("known", images, Tensor::from_slice(&[0i64, 1, 2, 1, 2]), 3)?;
    let evaluation = evaluate(&Reader, &split.batches(2)?.transform(&Compose::new().to_tensor()))?;
    assert_eq!(evaluation.accuracy(), 0.6);
    assert_eq!(evaluation.confusion_matrix()?.counts(), [[1, 0, 0], [1, 1, 0], [0, 1, 1]]);
    let by_class = evaluation.confusion_matrix()?.per_class_accuracy();
    assert_eq!(by_class, [Some(1.0), Some(0.5), Some(0.5)]);
    assert_eq!(evaluation.confusion_matrix()?.top_mistakes(1), [(1, 0, 1)]);
    let mistakes = evaluation.mistakes()?;
    assert_eq!(mistakes.first(9)?.iter().map(|sample| sample.index).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(mistakes.most_confident(1)?[0].index, 4);
    assert_eq!(evaluation.correct()?.get(2)?.index, 2);
    assert!(message(mistakes.get(2)).contains("there are 2"));
    assert_eq!(evaluation.top_k_accuracy(3)?, 1.0);
    assert!(message(evaluation.top_k_accuracy(4)).contains("expected 1 to 3"));
    assert!(mistakes.get(0)?.top(1)[0].1 > 0.9);
    Ok(())
}

#[test]
fn progress_weighs_every_image_and_notices_divergence() -> Result<()> {
    let mut progress = Progress::new();
    assert!(message(progress.mean_loss()).contains("diverged or never began"));
    let logits = Tensor::from_slice2(&[[1.0f32, 0.0], [1.0, 0.0], [1.0, 0.0]]);
    progress.batch(&Tensor::from(1.0f32), &logits, &Tensor::from_slice(&[0i64, 0, 1]))?;
    progress.batch(&Tensor::from(3.0f32), &logits.narrow(0, 0, 1), &Tensor::from_slice(&[0i64]))?;
    assert_eq!((progress.mean_loss()?, progress.accuracy()?), (2.0, 0.75));
    assert!(
        message(progress.batch(&Tensor::from(0.0f32), &logits, &Tensor::from_slice(&[0i64])))
            .contains("[B, classes]")
    );
    progress.batch(&Tensor::from(f32::NAN), &logits, &Tensor::from_slice(&[0i64, 0, 0]))?;
    assert!(progress.mean_loss().is_err());
    Ok(())
}

#[test]
fn bins_of_equal_width_and_of_equal_mass() -> Result<()> {
    let confidences = [0.05, 0.1, 0.5, 0.55, 0.95, 1.0];
    let right = [false, true, true, false, true, true];
    let width = Reliability::new(&confidences, &right, Bins::EqualWidth(10))?;
    let counts: Vec<usize> = width.bins().iter().map(|bin| bin.count).collect();
    assert_eq!(counts, [1, 1, 0, 0, 0, 2, 0, 0, 0, 2], "0.1 opens a bin, 1.0 is in the last");
    assert_eq!(width.bins()[5].accuracy, 0.5);
    assert_eq!(width.table().rows().len(), 4, "empty bins are left out");
    let mass = Reliability::new(&confidences, &right, Bins::EqualMass(4))?;
    let counts: Vec<usize> = mass.bins().iter().map(|bin| bin.count).collect();
    assert_eq!(counts, [1, 2, 1, 2]);
    assert_eq!(mass.bins()[3].range, (0.95, 1.0));
    assert!(message(ConfusionMatrix::new(&[], &[], usize::MAX)).contains("10,000 at most"));
    for (confidences, right, bins) in [
        (&[0.5][..], &[true, false][..], Bins::EqualWidth(10)),
        (&[], &[], Bins::EqualWidth(10)),
        (&[1.5], &[true], Bins::EqualWidth(10)),
        (&[f64::NAN], &[true], Bins::EqualMass(10)),
        (&[0.5], &[true], Bins::EqualMass(0)),
        (&[0.5], &[true], Bins::EqualWidth(usize::MAX)),
    ] {
        assert!(Reliability::new(confidences, right, bins).is_err(), "{confidences:?}");
    }
    Ok(())
}
