//! Parquet files: Thrift's numbers and lists in footer and page headers, pages, and PNGs.

use crate::parquet_file::{
    DELTA_LENGTH, PLAIN, Page, SNAPPY, UNCOMPRESSED, Value, file_with, hostile_files, plain, png,
    snappy,
};
use crate::{Dice, Part};
use mnist_kit::data::Mnist;

pub const PART: Part = Part {
    name: "parquet",
    mebibytes: 256,
    bombs: || {
        let named =
            |(name, content, _): (&str, Vec<u8>, &str)| (format!("{name}.parquet"), content);
        hostile_files().into_iter().map(named).collect()
    },
    change,
    read: |path| Mnist::from_parquet(&[path], &[path]).map(drop),
};

fn change(dice: &mut Dice) -> (String, Vec<u8>) {
    let rows = 1 + dice.below(4);
    let mut picture = png(2 + dice.below(4) as u32, 3);
    if dice.one_in(6) {
        dice.change_bytes(&mut picture);
    }
    let mut images = match dice.below(3) {
        0 => vec![Page::data(rows as i64, PLAIN, plain(&picture).repeat(rows))],
        1 => vec![Page::dictionary(1, plain(&picture)), Page::repeated(rows as i64)],
        _ => {
            let half = rows / 2;
            [half, rows - half]
                .map(|count| Page::data(count as i64, PLAIN, plain(&picture).repeat(count)))
                .to_vec()
        }
    };
    let labels: Vec<u8> = (0..rows).flat_map(|_| (dice.below(10) as i64).to_le_bytes()).collect();
    let mut labels = vec![Page::data(rows as i64, PLAIN, labels)];
    let is_packed = dice.one_in(3);
    if is_packed {
        for page in images.iter_mut().chain(&mut labels) {
            pack(page, dice);
        }
    }
    let which = dice.below(4);
    let pages = if which == 0 { &mut labels } else { &mut images };
    let place = dice.below(pages.len());
    match dice.below(6) {
        0 | 1 => change_value(&mut pages[place].header, dice),
        2 => dice.change_bytes(&mut pages[place].body),
        3 => {
            let page = pages[place].clone();
            pages.splice(place..place, std::iter::repeat_n(page, 1 + dice.below(20)));
        }
        _ => {}
    }
    let codec = if is_packed { SNAPPY } else { UNCOMPRESSED };
    let mut file = file_with(rows as i64, codec, &images, &labels, |footer| {
        if dice.one_in(2) {
            change_value(footer, dice);
        }
    });
    if dice.one_in(5) {
        dice.change_bytes(&mut file);
    }
    ("changed.parquet".to_string(), file)
}

/// Packs a page with snappy, which now and then declares another length.
fn pack(page: &mut Page, dice: &mut Dice) {
    let length = page.body.len();
    let declared = if dice.one_in(10) { dice.number() as u64 } else { length as u64 };
    let body = snappy(declared, &page.body);
    let Value::Struct(fields) = &mut page.header else { return };
    fields[1].1 = Value::I32(length as i64);
    fields[2].1 = Value::I32(body.len() as i64);
    page.body = body;
}

/// Changes one value somewhere inside of another.
fn change_value(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Struct(fields) if !fields.is_empty() && !dice.one_in(8) => {
            let place = dice.below(fields.len());
            match dice.below(12) {
                0 => drop(fields.remove(place)),
                1 => fields[place].0 = dice.below(16) as u8,
                2 => fields.insert(place, fields[place].clone()),
                _ => change_value(&mut fields[place].1, dice),
            }
        }
        Value::List(items) if !items.is_empty() && !dice.one_in(8) => {
            let place = dice.below(items.len());
            match dice.below(8) {
                0 => drop(items.remove(place)),
                1 => {
                    let copies = std::iter::repeat_n(items[place].clone(), 1 + dice.below(200));
                    items.splice(place..place, copies);
                }
                _ => change_value(&mut items[place], dice),
            }
        }
        Value::Bytes(bytes) if !dice.one_in(8) => dice.change_bytes(bytes),
        Value::I32(number) | Value::I64(number) if !dice.one_in(8) => {
            *number = match dice.below(3) {
                0 => number.wrapping_add(dice.number().clamp(-9, 9)),
                // Encodings and the like.
                1 => *dice.pick(&[0, 2, 3, 5, DELTA_LENGTH, 7, 8, 9]),
                _ => dice.number(),
            };
        }
        other => {
            *other = match dice.below(5) {
                0 => Value::I32(dice.number()),
                1 => Value::I64(dice.number()),
                2 => Value::Bytes(vec![7; dice.below(300)]),
                3 => Value::Struct(vec![(1, Value::I32(0))]),
                _ => Value::List(vec![Value::I32(0); dice.below(30)]),
            }
        }
    }
}
