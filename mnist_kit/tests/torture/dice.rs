//! A seeded source of changes to files.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

/// Numbers at which sizes overflow, signs change or memory ends.
const NUMBERS: [i64; 24] = [
    0,
    1,
    -1,
    2,
    3,
    7,
    8,
    28,
    100,
    127,
    128,
    255,
    256,
    32_767,
    65_535,
    65_536,
    1 << 24,
    i32::MAX as i64,
    1 << 31,
    u32::MAX as i64,
    1 << 32,
    1 << 40,
    i64::MAX,
    i64::MIN,
];

pub struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// True once in `count` times.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A number that readers may stumble over.
    pub fn number(&mut self) -> i64 {
        match self.below(4) {
            0 => self.below(16) as i64,
            1 => 1 << self.below(63),
            _ => *self.pick(&NUMBERS),
        }
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.0.random()).collect()
    }

    /// Changes bytes in a few places, wherever they are.
    pub fn change_bytes(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(16)).min(bytes.len());
            match self.below(9) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let part = bytes[at..end].to_vec();
                    let copies = part.repeat(1 + self.below(40));
                    bytes.splice(at..at, copies);
                }
                3 => {
                    let count = self.below(9);
                    let more = self.bytes(count);
                    bytes.splice(at..at, more);
                }
                4 | 5 => self.overwrite_number(bytes, at),
                _ if at < bytes.len() => {
                    bytes[at] = if self.one_in(2) {
                        bytes[at] ^ 1 << self.below(8)
                    } else {
                        self.number() as u8
                    };
                }
                _ => {}
            }
        }
    }

    /// Writes a number of 2, 4 or 8 bytes, in either order.
    pub fn overwrite_number(&mut self, bytes: &mut [u8], at: usize) {
        let number = self.number();
        let width = *self.pick(&[2, 4, 8]);
        let mut written = number.to_le_bytes()[..width].to_vec();
        if self.one_in(2) {
            written.reverse();
        }
        for (byte, new) in bytes.iter_mut().skip(at).zip(written) {
            *byte = new;
        }
    }

    /// Changes values of a JSON document in a few places.
    pub fn change_json(&mut self, document: &mut Value) {
        for _ in 0..1 + self.below(3) {
            let place = self.below(count(document));
            self.change_value(nth(document, &mut { place }).expect("one of the values"));
        }
    }

    fn change_value(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) if self.one_in(2) => {
                let (from, to) = (self.below(items.len()), self.below(items.len() + 1));
                match items.get(from).cloned() {
                    Some(item) if self.one_in(2) => {
                        let copies = 1 + self.below(20);
                        items.splice(to..to, std::iter::repeat_n(item, copies));
                    }
                    Some(_) => drop(items.remove(from)),
                    None => items.push(self.number().into()),
                }
            }
            Value::Object(fields) if self.one_in(2) => self.change_fields(fields),
            Value::Number(number) if self.one_in(2) => {
                *value = match number.as_i64() {
                    Some(number) => number.wrapping_add(self.number().clamp(-9, 9)).into(),
                    None => (-number.as_f64().unwrap_or(0.0)).into(),
                };
            }
            _ => *value = self.value(),
        }
    }

    fn change_fields(&mut self, fields: &mut Map<String, Value>) {
        let Some(name) = fields.keys().nth(self.below(fields.len())).cloned() else { return };
        let value = if self.one_in(2) { fields.remove(&name) } else { fields.get(&name).cloned() };
        if self.one_in(2) {
            let name = self.text();
            fields.insert(name, value.unwrap_or_default());
        }
    }

    fn value(&mut self) -> Value {
        match self.below(8) {
            0 => Value::Null,
            1 => self.one_in(2).into(),
            2 => self.text().into(),
            3 => (*self.pick(&[1e308, -1e308, 5e-324, -0.0, 0.5, 1e19])).into(),
            4 => Value::Object(Map::new()),
            // Deeper than what serde_json follows.
            5 => (0..self.below(200)).fold(Value::Null, |inner, _| Value::Array(vec![inner])),
            _ => self.number().into(),
        }
    }

    fn text(&mut self) -> String {
        let length = self.below(300);
        match self.below(6) {
            0 => String::new(),
            1 => "w".to_string(),
            2 => "é漢\u{0}\n".repeat(length),
            3 => "long".repeat(25 * length),
            4 => self.number().to_string(),
            _ => (*self.pick(&["NaN", "Infinity", "../../w", "F32", "F8_E4M3", "BOOL"])).into(),
        }
    }
}

/// The number of values in a document.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The value with `place` others before it, parents before their children.
fn nth<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, place)),
        Value::Object(fields) => fields.values_mut().find_map(|item| nth(item, place)),
        _ => None,
    }
}
