//! Checks of the footer and the page headers of a parquet file before the parquet crate reads them.
//!
//! Both are structs in Thrift's encoding; see `parquet.thrift` of the format:
//! <https://github.com/apache/parquet-format>.

use super::thrift::{Part, walk};
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

/// The most bytes of a footer. One of a million images in groups of a hundred has about 4 MB.
const MAX_FOOTER: u64 = 8 << 20;

/// The most elements of a schema: columns, and the groups that they are in. The parquet crate walks
/// through groups in groups by recursion.
const MAX_SCHEMA: u64 = 100;

/// The most elements of a list, as a part of the footer's bytes: the shortest element that is valid,
/// of those that take up much memory, has so many.
const MIN_ELEMENT: u64 = 3;

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
    /// Takes in a number of the header: the field with these ids.
    fn set(&mut self, field: &[i16], number: i64) -> Result<()> {
        let place = match field {
            [1] => &mut self.kind,
            [2] => &mut self.unpacked,
            [3] => &mut self.packed,
            // The header of a data page, of a dictionary page, of a data page of version 2.
            [5 | 7 | 8, 1] => &mut self.values,
            [5 | 7, 2] | [8, 4] => &mut self.encoding,
            _ => return Ok(()),
        };
        ensure!(place.replace(number).is_none(), "field {field:?} is there twice");
        Ok(())
    }
}

/// Checks the footer of a file, which describes its columns and row groups.
pub(super) fn check_footer(file: &File) -> Result<()> {
    let mut file = BufReader::new(file);
    let stored = file.seek(SeekFrom::End(0))?;
    let end = stored.checked_sub(8).context("too short for a parquet file")?;
    let mut last = [0; 8];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut last)?;
    let [a, b, c, d, magic @ ..] = last;
    ensure!(magic == *b"PAR1", "ends with {magic:02x?}, expected the four letters PAR1");
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let most = end.min(MAX_FOOTER);
    ensure!(length <= most, "a footer of {length} bytes, expected at most {most}");
    file.seek(SeekFrom::Start(end - length))?;
    walk(&mut file.take(length), &mut |field, part| match (field, part) {
        ([2], Part::List(count)) => {
            ensure!(count <= MAX_SCHEMA, "a schema of {count} elements, expected {MAX_SCHEMA}");
            Ok(())
        }
        // The children of a group in the schema.
        ([2, 5], Part::Number(count)) => {
            let expected = (0..=MAX_SCHEMA as i64).contains(&count);
            ensure!(expected, "a group of {count} columns, expected at most {MAX_SCHEMA}");
            Ok(())
        }
        (_, Part::List(count)) => {
            let most = length / MIN_ELEMENT;
            ensure!(count <= most, "a list of {count} in a footer of {length} bytes");
            Ok(())
        }
        (_, Part::Number(_)) => Ok(()),
    })
    .context("the footer is damaged")
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
        walk(&mut left, &mut |field, part| match part {
            Part::Number(number) => header.set(field, number),
            Part::List(_) => bail!("a list"),
        })
        .context("a page header is damaged")?;
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
