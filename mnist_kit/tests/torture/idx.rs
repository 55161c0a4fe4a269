//! IDX files: counts and sizes in the header, and gzip around it.

use crate::{Dice, Part};
use flate2::{Compression, write::GzEncoder};
use mnist_kit::data::{read_images, read_labels};
use std::io::Write;

pub const PART: Part = Part {
    name: "idx",
    mebibytes: 256,
    bombs,
    change,
    read: |path| {
        let images = path.file_name().is_some_and(|name| name == "images");
        (if images { read_images(path) } else { read_labels(path) }).map(drop)
    },
};

fn idx(magic: u32, sizes: &[u32], content: &[u8]) -> Vec<u8> {
    let words = std::iter::once(&magic).chain(sizes);
    [words.flat_map(|word| word.to_be_bytes()).collect(), content.to_vec()].concat()
}

fn gzip(content: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bombs() -> Vec<(String, Vec<u8>)> {
    let zeros = gzip(&vec![0; 1 << 20], 9);
    let announced = |count: u32| gzip(&idx(0x803, &[count, 28, 28], &[]), 9);
    // A gigabyte of zeros, and as many as a file of this size may have.
    let gigabyte = [announced(1_300_000), zeros.repeat(1_000)].concat();
    let allowed = [announced(84_000), zeros.repeat(63)].concat();
    vec![
        ("images".into(), idx(0x803, &[u32::MAX; 3], &[0; 100])),
        ("images".into(), idx(0x803, &[u32::MAX, 28, 28], &[0; 100])),
        ("images".into(), idx(0x803, &[0, u32::MAX, u32::MAX], &[])),
        ("labels".into(), idx(0xc02, &[u32::MAX, u32::MAX], &[0; 100])),
        ("labels".into(), idx(0xc02, &[0, u32::MAX], &[])),
        ("images".into(), gigabyte),
        ("images".into(), allowed),
        ("images".into(), gzip(b"", 9).repeat(100_000)),
    ]
}

fn change(dice: &mut Dice) -> (String, Vec<u8>) {
    let images = dice.one_in(2);
    let mut magic = match (images, dice.one_in(4)) {
        (true, false) => 0x803,
        (false, false) => 0x801,
        _ => *dice.pick(&[0xc02, 0x803, 0x801]),
    };
    let dimensions = magic & 0xff;
    if dice.one_in(20) {
        magic = dice.number() as u32;
    }
    let mut sizes: Vec<u32> = (0..dimensions).map(|_| dice.below(6) as u32).collect();
    let width = if magic == 0xc02 { 4 } else { 1 };
    let length = width * sizes.iter().product::<u32>() as usize;
    if dice.one_in(4) {
        let place = dice.below(sizes.len());
        sizes[place] = dice.number() as u32;
    }
    let content = match dice.below(8) {
        0 => dice.bytes(length.saturating_sub(1)),
        1 => dice.bytes(length + 1),
        2 => vec![],
        _ => dice.bytes(length),
    };
    let mut file = idx(magic, &sizes, &content);
    if dice.one_in(4) {
        dice.change_bytes(&mut file);
    }
    if dice.one_in(2) {
        let cut = dice.below(file.len());
        let level = dice.below(10) as u32;
        // Two archives in a row are one.
        file = match dice.one_in(3) {
            true => [gzip(&file[..cut], level), gzip(&file[cut..], level)].concat(),
            false => gzip(&file, level),
        };
        if dice.one_in(2) {
            dice.change_bytes(&mut file);
        }
    }
    (if images { "images" } else { "labels" }.to_string(), file)
}
