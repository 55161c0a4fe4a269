//! `.pth` files: valid instructions of a pickle in another order, and the directory of the archive.

use crate::pth_file::{archive, dictionary, hostile_files, numbers, tensor, text};
use crate::{Dice, Part};
use mnist_kit::weights::load_weights;
use tch::{Device, nn};

pub const PART: Part = Part {
    name: "pth",
    mebibytes: 64,
    bombs: || {
        hostile_files().into_iter().map(|(name, content, _)| (name.to_string(), content)).collect()
    },
    change,
    read: |path| {
        let vs = nn::VarStore::new(Device::Cpu);
        let _variables = [vs.root().zeros("w", &[2, 3]), vs.root().zeros("b", &[3])];
        load_weights(&vs, path)
    },
};

fn change(dice: &mut Dice) -> (String, Vec<u8>) {
    let entries = [
        [text("w"), tensor("0", &[2, 3], &[3, 1]), b"q\x00".to_vec()].concat(),
        [text("b"), tensor("1", &[3], &[1])].concat(),
    ];
    let mut program = dictionary(entries);
    if !dice.one_in(4) {
        let mut instructions = split(&program);
        for _ in 0..1 + dice.below(3) {
            change_instructions(&mut instructions, dice);
        }
        program = instructions.concat();
    }
    let storages = [24, 12].map(|length| {
        let length = if dice.one_in(10) { dice.below(100) } else { length };
        dice.bytes(length)
    });
    let mut contents: Vec<(&str, Option<&[u8]>)> = vec![
        ("a/data.pkl", Some(&program)),
        ("a/byteorder", Some(b"little")),
        ("a/data/0", Some(&storages[0])),
        ("a/data/1", Some(&storages[1])),
    ];
    match dice.below(12) {
        0 => drop(contents.remove(dice.below(4))),
        1 => contents[2 + dice.below(2)].1 = None,
        2 => contents.push(contents[dice.below(4)]),
        3 => contents[dice.below(4)].0 = "b/data.pkl",
        _ => {}
    }
    let mut file = archive(&contents);
    if dice.one_in(3) {
        // The directory lies at the end, and headers between the entries.
        let from = if dice.one_in(4) { 0 } else { file.len().saturating_sub(300) };
        for _ in 0..1 + dice.below(3) {
            let at = from + dice.below(file.len() - from);
            dice.overwrite_number(&mut file, at);
        }
    }
    if dice.one_in(8) {
        dice.change_bytes(&mut file);
    }
    ("changed.pth".to_string(), file)
}

/// The instructions of a valid program, each with its argument.
fn split(mut program: &[u8]) -> Vec<Vec<u8>> {
    let mut instructions = Vec::new();
    while let Some(code) = program.first() {
        let line =
            |from: usize| from + program[from..].iter().position(|&b| b == b'\n').unwrap() + 1;
        let length = match code {
            0x80 | b'K' | b'q' | b'h' => 2,
            b'M' => 3,
            b'J' | b'r' | b'j' => 5,
            0x95 => 9,
            0x8a | 0x8c => 2 + program[1] as usize,
            b'X' => 5 + u32::from_le_bytes(program[1..5].try_into().unwrap()) as usize,
            b'c' => line(line(1)),
            _ => 1,
        };
        instructions.push(program[..length].to_vec());
        program = &program[length..];
    }
    instructions
}

fn change_instructions(instructions: &mut Vec<Vec<u8>>, dice: &mut Dice) {
    let (at, other) = (dice.below(instructions.len()), dice.below(instructions.len()));
    match dice.below(7) {
        0 => drop(instructions.remove(at)),
        1 => instructions.swap(at, other),
        2 => {
            let end = (at + 1 + dice.below(8)).min(instructions.len());
            let part = instructions[at..end].to_vec();
            let times = if dice.one_in(10) { 2_000 } else { 1 + dice.below(20) };
            instructions.splice(other..other, part.into_iter().cycle().take(times));
        }
        3 | 4 => instructions[at] = instruction(dice),
        _ => {
            let new = instruction(dice);
            instructions.insert(at, new);
        }
    }
    if instructions.is_empty() {
        instructions.push(b".".to_vec());
    }
}

/// An instruction that the reader knows, with any argument, and now and then one that it does not.
fn instruction(dice: &mut Dice) -> Vec<u8> {
    const PLAIN: &[u8] = b".(N\x88\x89})\x85\x86\x87t\x94suQRb";
    const NAMES: [&str; 6] = [
        "torch._utils\n_rebuild_tensor_v2",
        "torch._utils\n_rebuild_parameter",
        "torch\nHalfStorage",
        "torch\nLongStorage",
        "collections\nOrderedDict",
        "posix\nsystem",
    ];
    let number = dice.number();
    match dice.below(10) {
        0 => [b"K", &number.to_le_bytes()[..1]].concat(),
        1 => [b"J", &number.to_le_bytes()[..4]].concat(),
        2 => [&[0x8a, 8], &number.to_le_bytes()[..]].concat(),
        3 => [&[*dice.pick(b"qh")], &[dice.below(4) as u8][..]].concat(),
        4 => [&[*dice.pick(b"rj")], &number.to_le_bytes()[..4]].concat(),
        5 => {
            let texts = ["w", "b", "storage", "0", "1", "cpu", ""];
            text(texts[dice.below(texts.len())])
        }
        6 => [b"c", dice.pick(&NAMES).as_bytes(), b"\n"].concat(),
        7 => numbers(&[number, dice.number()]),
        8 => dice.bytes(1),
        _ => vec![*dice.pick(PLAIN)],
    }
}
