//! `.pth` files built by hand, so that they can hold what torch.save never writes.
#![allow(dead_code, reason = "no test binary uses all of it")]

use flate2::Crc;

/// A zip archive of stored entries. An entry without content refers to the one before it.
pub fn archive(entries: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
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
pub fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// The instructions that push a tuple of numbers.
pub fn numbers(values: &[i64]) -> Vec<u8> {
    let number = |value: &i64| [&[0x8a, 8][..], &value.to_le_bytes()].concat();
    [&b"("[..], &values.iter().flat_map(number).collect::<Vec<u8>>(), b"t"].concat()
}

/// The instructions that push a float tensor over the entry `data/<key>`.
pub fn tensor(key: &str, size: &[i64], stride: &[i64]) -> Vec<u8> {
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
pub fn dictionary(entries: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.into_iter().flat_map(|entry| [entry, b"s".to_vec()].concat()).collect();
    [&b"\x80\x02}"[..], &entries, b"."].concat()
}

/// A file as PyTorch wrote it before version 1.6: pickles in a row, then for each key a count and
/// the bytes of its storage.
pub fn legacy(program: &[u8], storages: &[(&str, i64, &[u8])]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let keys: Vec<u8> =
        storages.iter().flat_map(|(key, ..)| [text(key), b"a".to_vec()].concat()).collect();
    let keys = [&b"\x80\x02]"[..], &keys, b"."].concat();
    let mut file = [&magic[..], b"\x80\x02M\xe9\x03.", b"\x80\x02}.", program, &keys].concat();
    for (_, count, bytes) in storages {
        file.extend(count.to_le_bytes());
        file.extend(*bytes);
    }
    file
}

/// Files of a few megabytes at most, with a part of the message they must give.
pub fn hostile_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
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

    let one = dictionary([[text("w"), tensor("0", &[4], &[1])].concat()]);
    let bytes = &zeros[..16];
    let unknown = legacy(&one, &[("0", 4, bytes), ("1", 4, bytes)]);

    vec![
        (
            "endless.pth",
            legacy(&one, &[("0", i64::MAX / 4, bytes)]),
            "the file ends after 16 of its",
        ),
        ("overflow.pth", legacy(&one, &[("0", i64::MAX, bytes)]), "9223372036854775807 numbers"),
        ("negative.pth", legacy(&one, &[("0", -1, bytes)]), "-1 numbers"),
        ("missing.pth", legacy(&one, &[]), "w: its data (0) is missing"),
        ("unknown.pth", unknown, "no tensor uses its storage 1"),
        ("beyond.pth", legacy(&huge, &[("0", 0, &[])]), "reach beyond its 0 numbers"),
        ("huge.pth", one_storage(&huge), "w has shape [4294967296], expected [4]"),
        ("overflowing.pth", one_storage(&overflowing), "reach beyond its 1000000 numbers"),
        ("text.pth", one_storage(&repeated_text), "a text of 500000 bytes, refused"),
        ("storage.pth", one_storage(&repeated_storage), "and 49990 more"),
        ("overlapping.pth", overlapping, "entries of the archive overlap"),
        ("long.pth", one_storage(&vec![b')'; 2_000_000]), "has more than 1048576 bytes"),
    ]
}
