//! Parquet files in the layout of the Hugging Face distribution, built by hand, so that they can
//! declare what no writer would.
#![allow(dead_code, reason = "no test binary uses all of it")]

use image::{GrayImage, ImageFormat};
use std::io::Cursor;

/// A value in Thrift's compact encoding.
#[derive(Clone)]
pub enum Value {
    I32(i64),
    I64(i64),
    Bytes(Vec<u8>),
    Struct(Vec<(u8, Value)>),
    List(Vec<Value>),
}

use Value::{Bytes, I32, I64, List, Struct};

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

impl Value {
    fn kind(&self) -> u8 {
        match self {
            I32(_) => 5,
            I64(_) => 6,
            Bytes(_) => 8,
            List(_) => 9,
            Struct(_) => 12,
        }
    }

    pub fn encoded(&self) -> Vec<u8> {
        match self {
            I32(value) | I64(value) => varint(((value << 1) ^ (value >> 63)) as u64),
            Bytes(bytes) => [varint(bytes.len() as u64), bytes.clone()].concat(),
            List(values) => {
                let kind = values.first().map_or(5, Value::kind);
                let mut bytes = match values.len() {
                    length @ 0..15 => vec![(length as u8) << 4 | kind],
                    length => [vec![0xf0 | kind], varint(length as u64)].concat(),
                };
                bytes.extend(values.iter().flat_map(Value::encoded));
                bytes
            }
            Struct(fields) => {
                let (mut bytes, mut last) = (Vec::new(), 0u8);
                for (id, value) in fields {
                    bytes.push(id.wrapping_sub(last) << 4 | value.kind());
                    bytes.extend(value.encoded());
                    last = *id;
                }
                bytes.push(0);
                bytes
            }
        }
    }
}

pub const PLAIN: i64 = 0;
pub const DELTA_LENGTH: i64 = 6;
pub const RLE_DICTIONARY: i64 = 8;
pub const UNCOMPRESSED: i64 = 0;
pub const SNAPPY: i64 = 1;

/// A page of a column: its header, which may declare anything, and its bytes.
#[derive(Clone)]
pub struct Page {
    pub header: Value,
    pub body: Vec<u8>,
    is_dictionary: bool,
}

impl Page {
    pub fn data(values: i64, encoding: i64, body: Vec<u8>) -> Page {
        Page::new(false, values, encoding, body.len(), body)
    }

    /// A page of plain values that snappy has packed into `body`.
    pub fn packed(values: i64, unpacked: usize, body: Vec<u8>) -> Page {
        Page::new(false, values, PLAIN, unpacked, body)
    }

    pub fn dictionary(values: i64, body: Vec<u8>) -> Page {
        Page::new(true, values, PLAIN, body.len(), body)
    }

    /// `count` times the first entry of the dictionary.
    pub fn repeated(count: i64) -> Page {
        let body = [vec![1], varint((count as u64) << 1), vec![0]].concat();
        Page::data(count, RLE_DICTIONARY, body)
    }

    fn new(
        is_dictionary: bool,
        values: i64,
        encoding: i64,
        unpacked: usize,
        body: Vec<u8>,
    ) -> Page {
        let mut counts = vec![(1, I32(values)), (2, I32(encoding))];
        if !is_dictionary {
            counts.extend([(3, I32(3)), (4, I32(3))]);
        }
        let header = Struct(vec![
            (1, I32(if is_dictionary { 2 } else { 0 })),
            (2, I32(unpacked as i64)),
            (3, I32(body.len() as i64)),
            (if is_dictionary { 7 } else { 5 }, Struct(counts)),
        ]);
        Page { header, body, is_dictionary }
    }
}

/// An element of a schema: a column of this physical type.
pub fn leaf(kind: i64, name: &str) -> Value {
    Struct(vec![(1, I32(kind)), (3, I32(0)), (4, Bytes(name.into()))])
}

/// An element of a schema: a group of the next `children` elements.
pub fn group(name: &str, children: i64) -> Value {
    Struct(vec![(3, I32(0)), (4, Bytes(name.into())), (5, I32(children))])
}

/// The schema of a file with the columns `image.bytes` and `label`, both required.
pub fn schema() -> Vec<Value> {
    vec![group("schema", 2), group("image", 1), leaf(6, "bytes"), leaf(2, "label")]
}

/// A file of one row group. `change` may alter its footer.
pub fn file_with(
    rows: i64,
    codec: i64,
    images: &[Page],
    labels: &[Page],
    change: impl FnOnce(&mut Value),
) -> Vec<u8> {
    let name = |text: &str| Bytes(text.into());
    let mut content = b"PAR1".to_vec();
    let mut columns = Vec::new();
    for (kind, path, pages) in
        [(6, vec![name("image"), name("bytes")], images), (2, vec![name("label")], labels)]
    {
        let start = content.len() as i64;
        for page in pages {
            content.extend(page.header.encoded());
            content.extend(&page.body);
        }
        let length = content.len() as i64 - start;
        let mut metadata = vec![
            (1, I32(kind)),
            (2, List(vec![I32(PLAIN)])),
            (3, List(path)),
            (4, I32(codec)),
            (5, I64(rows)),
            (6, I64(length)),
            (7, I64(length)),
            (9, I64(start)),
        ];
        if pages[0].is_dictionary {
            metadata.push((11, I64(start)));
        }
        columns.push(Struct(vec![(2, I64(start)), (3, Struct(metadata))]));
    }
    let group = Struct(vec![(1, List(columns)), (2, I64(content.len() as i64)), (3, I64(rows))]);
    let mut footer =
        Struct(vec![(1, I32(1)), (2, List(schema())), (3, I64(rows)), (4, List(vec![group]))]);
    change(&mut footer);
    let footer = footer.encoded();
    let length = footer.len() as u32;
    [content, footer, length.to_le_bytes().to_vec(), b"PAR1".to_vec()].concat()
}

/// A file of one row group.
pub fn file(rows: i64, codec: i64, images: &[Page], labels: &[Page]) -> Vec<u8> {
    file_with(rows, codec, images, labels, |_| ())
}

/// A text or a picture in PLAIN encoding.
pub fn plain(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

/// A snappy stream of one literal, which declares `length` bytes.
pub fn snappy(length: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(length), vec![61 << 2], (bytes.len() as u16 - 1).to_le_bytes().to_vec(), bytes.to_vec()]
        .concat()
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    GrayImage::new(width, height).write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

pub fn labels(count: i64) -> [Page; 2] {
    [Page::dictionary(1, vec![0; 8]), Page::repeated(count)]
}

pub fn good() -> Vec<u8> {
    let image = plain(&png(28, 28));
    let page = Page::packed(1, image.len(), snappy(image.len() as u64, &image));
    file(1, SNAPPY, &[page], &[Page::packed(1, 8, snappy(8, &[0; 8]))])
}

/// Files of a megabyte at most, with a part of the message they must give.
pub fn hostile_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    const MANY: i64 = i32::MAX as i64;
    let image = || plain(&png(28, 28));
    let one = |page: Page, rows: i64| file(rows, UNCOMPRESSED, &[page], &labels(rows));
    let dictionary = |page: Page, rows: i64| {
        file(rows, UNCOMPRESSED, &[page, Page::repeated(rows)], &labels(rows))
    };
    let packed = |unpacked: usize, length: u64| {
        let page = Page::packed(1, unpacked, snappy(length, &image()));
        file(1, SNAPPY, &[page], &[Page::packed(1, 8, snappy(8, &[0; 8]))])
    };
    let with_schema = |schema: Vec<Value>| {
        file_with(2, UNCOMPRESSED, &[Page::data(2, PLAIN, image())], &labels(2), |footer| {
            let Value::Struct(fields) = footer else { return };
            fields[1].1 = Value::List(schema);
        })
    };
    let delta = [varint(128), varint(4), varint(MANY as u64), varint(0)].concat();
    let mut huge = png(28, 28);
    // Width and height lie behind the signature and the name of the first chunk.
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let mut crc = flate2::Crc::new();
    crc.update(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let mut nested = vec![group("g", 1); 100_000];
    nested.push(leaf(2, "label"));
    let mut unending = good();
    let length = unending.len();
    unending[length - 8..length - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        ("rows", one(Page::data(MANY, PLAIN, image()), MANY), "declares 2147483647 rows"),
        ("page", one(Page::data(MANY, PLAIN, image()), 2), "declares 2147483647 values"),
        ("dictionary", dictionary(Page::dictionary(MANY, image()), 2), "declares 2147483647"),
        ("size", packed(MANY as usize, 80), "declares 2147483647 bytes"),
        ("snappy", packed(image().len(), 1 << 31), ""),
        ("delta", one(Page::data(2, DELTA_LENGTH, delta), 2), "encoding 6"),
        ("repeated", dictionary(Page::dictionary(1, plain(&png(1000, 1000))), 900_000), "pixels"),
        ("huge", one(Page::data(1, PLAIN, plain(&huge)), 1), "60000×60000"),
        ("children", with_schema([vec![group("schema", MANY)], schema()].concat()), "2147483647"),
        ("nested", with_schema(nested), "a schema of 100001 elements"),
        ("footer", unending, "a footer of 4294967295 bytes"),
    ]
}
