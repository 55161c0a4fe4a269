//! Checks of the page headers of a parquet file before anything is decoded.
//!
//! The parquet crate allocates what a header declares, and an allocation that fails ends the
//! process. A header is a struct in Thrift's compact encoding; see `parquet.thrift` of the format:
//! <https://github.com/apache/parquet-format>.

use crate::Result;
use anyhow::{Context, bail, ensure};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::ColumnChunkMetaData;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// The most bytes that snappy makes of one: 64 of an element of 3.
const SNAPPY_RATIO: i64 = 22;

/// The types of pages.
const DATA_PAGE: i64 = 0;
const DICTIONARY_PAGE: i64 = 2;
const DATA_PAGE_V2: i64 = 3;

/// The encodings that the `datasets` library and pyarrow write: plain values, and indices into a
/// dictionary. Others declare counts of their own.
const ENCODINGS: [i64; 3] = [0, 2, 8];

/// The deepest struct in a header, with room to spare.
const MAX_DEPTH: u32 = 8;

/// The numbers that a page header declares, each at most once.
#[derive(Default)]
struct Header {
    kind: Option<i64>,
    unpacked: Option<i64>,
    packed: Option<i64>,
    values: Option<i64>,
    encoding: Option<i64>,
}

impl Header {
    /// Takes in a number of the header: the field with this id, in the struct of the field `outer`.
    fn set(&mut self, outer: i16, id: i16, number: i64) -> Result<()> {
        let place = match (outer, id) {
            (0, 1) => &mut self.kind,
            (0, 2) => &mut self.unpacked,
            (0, 3) => &mut self.packed,
            // The header of a data page, of a dictionary page, of a data page of version 2.
            (5 | 7 | 8, 1) => &mut self.values,
            (5 | 7, 2) | (8, 4) => &mut self.encoding,
            _ => return Ok(()),
        };
        ensure!(place.replace(number).is_none(), "field {id} is there twice");
        Ok(())
    }
}

/// Checks the pages of a column in a row group of `rows` rows.
pub(super) fn check_pages(file: &File, column: &ColumnChunkMetaData, rows: i64) -> Result<()> {
    let (start, length) = column.byte_range();
    let end = start.checked_add(length).filter(|&end| i64::try_from(end).is_ok());
    let end = end.context("a column beyond the end of the file")?;
    ensure!(end <= file.metadata()?.len(), "a column beyond the end of the file");
    let mut file = BufReader::new(file);
    let mut place = start;
    let mut values = 0;
    while place < end {
        file.seek(SeekFrom::Start(place))?;
        let mut left = (&mut file).take(end - place);
        let mut header = Header::default();
        read_struct(&mut left, 0, 0, &mut header).context("a page header is damaged")?;
        let left = left.limit();
        let page = check_page(&header, left, column.column_type(), rows)?;
        place = end - left + page.packed;
        values += page.values;
        ensure!(values <= rows, "pages with {values} values for {rows} rows");
    }
    Ok(())
}

/// A page whose header has been checked.
struct Page {
    packed: u64,
    /// The rows of the page, none in a dictionary.
    values: i64,
}

/// Checks a header whose page has `left` bytes at most.
fn check_page(header: &Header, left: u64, column: PhysicalType, rows: i64) -> Result<Page> {
    let Header {
        kind: Some(kind),
        unpacked: Some(unpacked),
        packed: Some(packed),
        values: Some(values),
        encoding: Some(encoding),
    } = *header
    else {
        bail!("a page header lacks a size, a number of values or an encoding");
    };
    let packed_size = u64::try_from(packed).ok().filter(|&packed| packed <= left);
    let packed_size = packed_size.context("a page beyond the end of its column")?;
    ensure!(
        (0..=packed.saturating_mul(SNAPPY_RATIO)).contains(&unpacked),
        "a page of {packed} bytes declares {unpacked} bytes"
    );
    ensure!(
        ENCODINGS.contains(&encoding),
        "a page with encoding {encoding}, expected plain values or a dictionary"
    );
    match kind {
        DATA_PAGE | DATA_PAGE_V2 => {
            let expected = (0..=rows).contains(&values);
            ensure!(expected, "a page declares {values} values for {rows} rows");
            Ok(Page { packed: packed_size, values })
        }
        DICTIONARY_PAGE => {
            // A text has its length in front.
            let width = if column == PhysicalType::BYTE_ARRAY { 4 } else { 8 };
            let expected = (0..=rows.min(unpacked / width)).contains(&values);
            ensure!(
                expected,
                "a dictionary of {unpacked} bytes declares {values} values for {rows} rows"
            );
            Ok(Page { packed: packed_size, values: 0 })
        }
        other => bail!("a page of type {other}, expected data or a dictionary"),
    }
}

/// Reads a struct of the field `outer`, and gives its numbers to the header.
fn read_struct(from: &mut impl Read, outer: i16, depth: u32, header: &mut Header) -> Result<()> {
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
        read_field(from, kind, (outer, id), depth, header)?;
    }
}

/// Reads the value of a field of this kind.
fn read_field(
    from: &mut impl Read,
    kind: u8,
    (outer, id): (i16, i16),
    depth: u32,
    header: &mut Header,
) -> Result<()> {
    match kind {
        // A boolean is its kind.
        1 | 2 => {}
        3 => drop(bytes::<1>(from)?),
        4..=6 => header.set(outer, id, signed(from)?)?,
        7 => drop(bytes::<8>(from)?),
        8 => {
            let length = unsigned(from)?;
            let copied = std::io::copy(&mut from.take(length), &mut std::io::sink())?;
            ensure!(copied == length, "a text of {length} bytes");
        }
        12 => {
            ensure!(depth < MAX_DEPTH, "structs in structs");
            // Only the structs of the outermost one have fields that count.
            let outer = if depth == 0 { id } else { -1 };
            read_struct(from, outer, depth + 1, header)?;
        }
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
