//! Batches and transforms.

use crate::common::message;
use anyhow::Result;
use mnist_kit::data::{Mnist, Split};
use mnist_kit::transform::{Compose, Interpolation, RandomAffine, RandomRotation};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

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
    assert!(wrong.contains("call to_tensor once"), "{wrong}");
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
    assert!(wrong(RandomAffine::new(0.0).translate(2.0, 0.0)).contains("fractions of 0 to 1"));
    let flat =
        message(Compose::new().then(RandomRotation::new(1.0)).apply_seeded(&dot.squeeze(), 1));
    assert!(flat.contains("expected [N, C, H, W]"), "{flat}");
    Ok(())
}
