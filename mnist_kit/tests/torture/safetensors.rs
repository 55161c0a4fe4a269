//! Safetensors files: the JSON header, its length, and the bytes behind it.

use crate::{Dice, Part};
use mnist_kit::weights::load_weights;
use serde_json::{Value, json};
use tch::{Device, nn};

pub const PART: Part = Part {
    name: "safetensors",
    mebibytes: 64,
    bombs,
    change: |dice| {
        let mut header = header();
        let mut data = dice.bytes(80);
        change(&mut header, &mut data, dice);
        let mut file = assembled(&header, &data, dice);
        if dice.one_in(5) {
            dice.change_bytes(&mut file);
        }
        ("changed.safetensors".to_string(), file)
    },
    read: |path| {
        let vs = nn::VarStore::new(Device::Cpu);
        let _variables = [vs.root().zeros("w", &[2, 3]), vs.root().zeros("b", &[3])];
        load_weights(&vs, path)
    },
};

/// Two variables, the second with numbers of 8 bytes, and what the format allows besides.
fn header() -> Value {
    json!({
        "__metadata__": {"format": "pt"},
        "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "F64", "shape": [3], "data_offsets": [24, 48]},
    })
}

fn change(header: &mut Value, data: &mut Vec<u8>, dice: &mut Dice) {
    data.truncate(48);
    if dice.one_in(8) {
        data.truncate(dice.below(49));
    }
    if !dice.one_in(20) {
        dice.change_json(header);
    }
}

/// A file of this header and data. Its header's length is right most of the time.
pub fn assembled(header: &Value, data: &[u8], dice: &mut Dice) -> Vec<u8> {
    let header = header.to_string();
    let length = if dice.one_in(20) { dice.number() as u64 } else { header.len() as u64 };
    [&length.to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn bombs() -> Vec<(String, Vec<u8>)> {
    let file = |header: String, data: &[u8]| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    };
    let tensor = |shape: Value, end: u64| {
        json!({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).to_string()
    };
    let many: serde_json::Map<String, Value> = (0..20_000)
        .map(|index| {
            (index.to_string(), json!({"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}))
        })
        .collect();
    [
        file(tensor(json!([1u64 << 62, 4]), 0), &[]),
        file(tensor(json!([1u64 << 40]), 1 << 42), &[0; 16]),
        file(tensor(json!([0, u64::MAX]), 0), &[]),
        file(tensor(json!([i64::MAX, 0, i64::MAX]), 0), &[]),
        file(tensor(json!(vec![1; 100_000]), 4), &[0; 4]),
        file("[".repeat(1_000_000), &[]),
        file(format!("{{\"w\":{}", "{\"a\":".repeat(200_000)), &[]),
        file(Value::Object(many).to_string(), &[]),
        u64::MAX.to_le_bytes().to_vec(),
    ]
    .into_iter()
    .map(|content| ("bomb.safetensors".to_string(), content))
    .collect()
}
