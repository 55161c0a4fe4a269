//! A walk through a struct in Thrift's compact encoding, which keeps nothing of it.
//!
//! The parquet crate allocates what a file declares, and an allocation that fails ends the process,
//! as does a recursion that is too deep. So the declared numbers are checked before it reads them.
//! Source of the encoding:
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

use crate::Result;
use anyhow::{Context, bail, ensure};
use std::io::Read;

/// The most structs and lists inside each other, with room to spare.
const MAX_DEPTH: usize = 16;

/// Something that a struct declares.
pub(super) enum Part {
    Number(i64),
    /// The number of elements of a list, which follow.
    List(u64),
}

/// Reads a struct, and shows its numbers and lists to `visit`, each with the ids of the fields that
/// it is in, the outermost first. The elements of a list have the list's ids.
pub(super) fn walk(
    from: &mut impl Read,
    visit: &mut impl FnMut(&[i16], Part) -> Result<()>,
) -> Result<()> {
    read_struct(from, &mut Vec::new(), MAX_DEPTH, visit)
}

fn read_struct(
    from: &mut impl Read,
    path: &mut Vec<i16>,
    depth: usize,
    visit: &mut impl FnMut(&[i16], Part) -> Result<()>,
) -> Result<()> {
    ensure!(depth > 0, "structs in structs, more than {MAX_DEPTH} deep");
    let mut id: i16 = 0;
    loop {
        let [byte] = bytes(from)?;
        let (step, kind) = (i16::from(byte >> 4), byte & 0x0f);
        if kind == 0 {
            return Ok(());
        }
        id = match step {
            0 => i16::try_from(signed(from)?)?,
            step => id.checked_add(step).context("a field without an id")?,
        };
        path.push(id);
        match kind {
            // A boolean field is its kind.
            1 | 2 => {}
            _ => read_value(from, kind, path, depth, visit)?,
        }
        path.pop();
    }
}

fn read_value(
    from: &mut impl Read,
    kind: u8,
    path: &mut Vec<i16>,
    depth: usize,
    visit: &mut impl FnMut(&[i16], Part) -> Result<()>,
) -> Result<()> {
    match kind {
        1..=3 => drop(bytes::<1>(from)?),
        4..=6 => visit(path, Part::Number(signed(from)?))?,
        7 => drop(bytes::<8>(from)?),
        8 => {
            let length = unsigned(from)?;
            let copied = std::io::copy(&mut from.take(length), &mut std::io::sink())?;
            ensure!(copied == length, "a text of {length} bytes");
        }
        // A list or a set.
        9 | 10 => {
            ensure!(depth > 1, "lists in lists, more than {MAX_DEPTH} deep");
            let [byte] = bytes(from)?;
            let length = if byte >> 4 == 15 { unsigned(from)? } else { u64::from(byte >> 4) };
            visit(path, Part::List(length))?;
            for _ in 0..length {
                read_value(from, byte & 0x0f, path, depth - 1, visit)?;
            }
        }
        12 => read_struct(from, path, depth - 1, visit)?,
        other => bail!("a value of type {other}"),
    }
    Ok(())
}

fn bytes<const COUNT: usize>(from: &mut impl Read) -> Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A number of seven bits a byte, the lowest first.
fn unsigned(from: &mut impl Read) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = bytes(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    bail!("a number of more than 64 bits")
}

/// A number whose lowest bit is its sign.
fn signed(from: &mut impl Read) -> Result<i64> {
    let number = unsigned(from)?;
    Ok((number >> 1) as i64 ^ -((number & 1) as i64))
}
