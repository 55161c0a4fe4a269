//! `.pth` files made to exhaust the memory: each is refused, within a limited amount of it.

use crate::common::{memory, message, run_alone};
use anyhow::Result;
use flate2::Crc;
use mnist_kit::weights::load_weights;
use std::path::Path;
use tch::{Device, nn};

/// A zip archive of stored entries. An entry without content refers to the one before it.
fn archive(entries: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    let (mut start, mut described) = (0, Vec::new());
    for (name, content) in entries {
        if let Some(content) = content {
            let mut crc = Crc::new();
            crc.update(content);
            let length = content.len() as u32;
            start = file.len() as u32;
            // Version 2.0, no flags, stored, no time, then checksum, sizes and the name's length.
            described = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &crc.sum().to_le_bytes()].concat();
            described.extend([length.to_le_bytes(), length.to_le_bytes()].concat());
            described.extend((name.len() as u16).to_le_bytes());
            file.extend([&b"PK\x03\x04"[..], &described, &[0, 0], name.as_bytes()].concat());
            file.extend(*content);
        }
        let length = described.len();
        described[length - 2..].copy_from_slice(&(name.len() as u16).to_le_bytes());
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &described, &[0; 12]].concat());
        directory.extend([&start.to_le_bytes()[..], name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (at, length) = (file.len() as u32, directory.len() as u32);
    file.extend(directory);
    file.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count].concat());
    file.extend([&length.to_le_bytes()[..], &at.to_le_bytes(), &[0, 0]].concat());
    file
}

/// The instructions that push a text.
fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// The instructions that push a tuple of numbers.
fn numbers(values: &[i64]) -> Vec<u8> {
    let number = |value: &i64| [&[0x8a, 8][..], &value.to_le_bytes()].concat();
    [&b"("[..], &values.iter().flat_map(number).collect::<Vec<u8>>(), b"t"].concat()
}

/// The instructions that push a float tensor over the entry `data/<key>`.
fn tensor(key: &str, size: &[i64], stride: &[i64]) -> Vec<u8> {
    [
        &b"ctorch._utils\n_rebuild_tensor_v2\n(("[..],
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text(key),
        &text("cpu"),
        b"K\x01tQK\x00",
        &numbers(size),
        &numbers(stride),
        b"\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat()
}

/// The pickle of a dictionary of these instructions for names and values.
fn dictionary(entries: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.into_iter().flat_map(|entry| [entry, b"s".to_vec()].concat()).collect();
    [&b"\x80\x02}"[..], &entries, b"."].concat()
}

/// Files of a few megabytes at most, with a part of the message they must give.
fn hostile_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let zeros = vec![0; 4_000_000];
    let one_storage =
        |program: &[u8]| archive(&[("a/data.pkl", Some(program)), ("a/data/0", Some(&zeros))]);
    let huge = dictionary([[text("w"), tensor("0", &[1 << 32], &[0])].concat()]);
    let overflowing = dictionary([[text("w"), tensor("0", &[1 << 40; 2], &[0; 2])].concat()]);

    let name = text(&"long".repeat(125_000));
    let first = [name, b"q\x00N".to_vec()].concat();
    let repeated_text =
        dictionary(std::iter::once(first).chain(std::iter::repeat_n(b"h\x00N".to_vec(), 100_000)));

    let first = [text("w"), tensor("0", &[1_000_000], &[1]), b"q\x00".to_vec()].concat();
    let others = (0..50_000).map(|i| [text(&format!("{i}")), b"h\x00".to_vec()].concat());
    let repeated_storage = dictionary(std::iter::once(first).chain(others));

    let keys: Vec<String> = (0..1_000).map(|key| format!("a/data/{key}")).collect();
    let described = (0..1_000)
        .map(|key| [text(&format!("w{key}")), tensor(&key.to_string(), &[4], &[1])].concat());
    let program = dictionary(described);
    let mut entries: Vec<(&str, Option<&[u8]>)> = vec![("a/data.pkl", Some(&program))];
    entries
        .extend(keys.iter().map(|key| (key.as_str(), (key == "a/data/0").then_some(&zeros[..]))));
    let overlapping = archive(&entries);

    vec![
        ("huge.pth", one_storage(&huge), "w has shape [4294967296], expected [4]"),
        ("overflowing.pth", one_storage(&overflowing), "reach beyond its 1000000 numbers"),
        ("text.pth", one_storage(&repeated_text), "a text of 500000 bytes, refused"),
        ("storage.pth", one_storage(&repeated_storage), "and 49990 more"),
        ("overlapping.pth", overlapping, "entries of the archive overlap"),
        ("long.pth", one_storage(&vec![b')'; 2_000_000]), "has more than 1048576 bytes"),
    ]
}

#[test]
#[ignore = "run by hostile_files_are_refused in a process of its own"]
fn read_hostile_files() -> Result<()> {
    let folder = std::env::var("MNIST_KIT_TEST_FOLDER")?;
    let vs = nn::VarStore::new(Device::Cpu);
    let _weight = vs.root().zeros("w", &[4]);
    for (name, _, expected) in hostile_files() {
        let before = memory("VmHWM");
        let text = message(load_weights(&vs, Path::new(&folder).join(name)));
        assert!(text.contains(expected) && text.len() < 2_000, "{name}: {text}");
        let megabytes = (memory("VmHWM") - before) >> 20;
        assert!(megabytes < 200, "{name}: {megabytes} MiB");
    }
    Ok(())
}

#[test]
fn hostile_files_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, content, _) in hostile_files() {
        std::fs::write(folder.path().join(name), content)?;
    }
    // The archives that these are variations of are read.
    let program = dictionary([[text("w"), tensor("0", &[4], &[1])].concat()]);
    let path = folder.path().join("good.pth");
    std::fs::write(
        &path,
        archive(&[("a/data.pkl", Some(&program)), ("a/data/0", Some(&[0; 16]))]),
    )?;
    let vs = nn::VarStore::new(Device::Cpu);
    let _weight = vs.root().ones("w", &[4]);
    load_weights(&vs, &path)?;
    assert_eq!(vs.variables()["w"].sum(tch::Kind::Float).double_value(&[]), 0.0);

    let folder = folder.path().display().to_string();
    run_alone("hostile::read_hostile_files", &[("MNIST_KIT_TEST_FOLDER", &folder)]);
    Ok(())
}
