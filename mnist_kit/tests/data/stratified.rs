//! Stratified subsets.

use crate::common::message;
use anyhow::{Context, Result};
use mnist_kit::data::Split;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// A split whose image number `i` has the value `i` in its pixel.
fn labelled(labels: &[i64]) -> Result<Split> {
    let images = Tensor::arange(labels.len() as i64, (Kind::Uint8, Device::Cpu));
    Split::new("all", images.view([-1, 1, 1, 1]), Tensor::from_slice(labels), 4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn stratified_parts_are_disjoint_exact_and_in_proportion(
        counts in proptest::array::uniform4(8_usize..50),
        first in 8_usize..40,
        seed: u64,
    ) {
        let labels: Vec<i64> = (0..4).flat_map(|c| vec![c; counts[c as usize]]).collect();
        let total = labels.len();
        let all = labelled(&labels).unwrap();
        let Ok(parts) = all.stratified(&[("a", first), ("b", 8)], seed) else {
            // Only where a class is too small for its shares.
            let smallest = *counts.iter().min().unwrap() as f64 / total as f64;
            prop_assert!(smallest * 8.0 < 1.0 || first + 8 + 4 > total);
            return Ok(());
        };
        let mut seen = Vec::new();
        for (part, size) in parts.iter().zip([first, 8]) {
            prop_assert_eq!(part.len(), size);
            let found = part.class_counts().unwrap();
            for (class, &count) in found.counts().iter().enumerate() {
                let exact = size as f64 * counts[class] as f64 / total as f64;
                prop_assert!((count as f64 - exact).abs() < 1.0);
            }
            seen.extend(Vec::<u8>::try_from(part.images().flatten(0, -1)).unwrap());
        }
        let drawn = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), drawn, "an image in two parts");
        let again = all.stratified(&[("a", first), ("b", 8)], seed).unwrap();
        prop_assert_eq!(again[0].images(), parts[0].images());
    }

    #[test]
    fn stratified_parts_can_add_up_to_the_whole(
        counts in proptest::array::uniform4(40_usize..60),
        first in 20_usize..60,
        second in 20_usize..60,
        seed: u64,
    ) {
        let labels: Vec<i64> = (0..4).flat_map(|c| vec![c; counts[c as usize]]).collect();
        let total = labels.len();
        let sizes = [first, second, total - first - second];
        let named = ["train", "validation", "test"].into_iter().zip(sizes);
        let all = labelled(&labels).unwrap();
        let parts = all.stratified(&named.collect::<Vec<_>>(), seed).unwrap();
        let mut seen = Vec::new();
        for (part, size) in parts.iter().zip(sizes) {
            for (class, &count) in part.class_counts().unwrap().counts().iter().enumerate() {
                let exact = size as f64 * counts[class] as f64 / total as f64;
                prop_assert!((count as f64 - exact).abs() < 2.0, "{count} for {exact}");
            }
            seen.extend(Vec::<u8>::try_from(part.images().flatten(0, -1)).unwrap());
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..total as u8).collect::<Vec<_>>());
    }
}

#[test]
fn a_class_with_too_few_images_is_named() -> Result<()> {
    let labels: Vec<i64> = (0..40).map(|i| i64::from(i > 0) + i64::from(i > 1)).collect();
    let all = labelled(&labels)?;
    let text = message(all.stratified(&[("train", 20), ("validation", 10)], 1));
    assert!(text.contains("class 1 has 1 images"), "{text}");
    let text = message(all.stratified(&[("train", 41)], 1)).to_string();
    assert!(text.contains("no more than there are"), "{text}");
    all.stratified(&[("train", 40)], 1).map(drop).context("all of them")
}
