//! Parquet files made to exhaust memory or time: each is refused, within a limited amount of both.

use crate::common::{limit_memory, message, run_alone};
use image::{GrayImage, ImageFormat};
use mnist_kit::data::Mnist;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

/// A value in Thrift's compact encoding.
enum Value {
    I32(i64),
    I64(i64),
    Bytes(Vec<u8>),
    Struct(Vec<(u8, Value)>),
    List(Vec<Value>),
}

use Value::{Bytes, I32, I64, List, Struct};

fn varint(mut value: u64) -> Vec<u8> {
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

    fn encoded(&self) -> Vec<u8> {
        match self {
            I32(value) | I64(value) => varint(((value << 1) ^ (value >> 63)) as u64),
            Bytes(bytes) => [varint(bytes.len() as u64), bytes.clone()].concat(),
            List(values) => {
                let kind = values.first().map_or(5, Value::kind);
                let mut bytes = vec![(values.len() as u8) << 4 | kind];
                bytes.extend(values.iter().flat_map(Value::encoded));
                bytes
            }
            Struct(fields) => {
                let (mut bytes, mut last) = (Vec::new(), 0);
                for (id, value) in fields {
                    bytes.push((id - last) << 4 | value.kind());
                    bytes.extend(value.encoded());
                    last = *id;
                }
                bytes.push(0);
                bytes
            }
        }
    }
}

const PLAIN: i64 = 0;
const DELTA_LENGTH: i64 = 6;
const RLE_DICTIONARY: i64 = 8;
const UNCOMPRESSED: i64 = 0;
const SNAPPY: i64 = 1;

/// A page of a column, whose header declares what is asked for.
struct Page {
    is_dictionary: bool,
    values: i64,
    encoding: i64,
    uncompressed: i64,
    body: Vec<u8>,
}

impl Page {
    fn data(values: i64, encoding: i64, body: Vec<u8>) -> Page {
        Page { is_dictionary: false, values, encoding, uncompressed: body.len() as i64, body }
    }

    fn dictionary(values: i64, body: Vec<u8>) -> Page {
        Page { is_dictionary: true, ..Page::data(values, PLAIN, body) }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut fields = vec![
            (1, I32(if self.is_dictionary { 2 } else { 0 })),
            (2, I32(self.uncompressed)),
            (3, I32(self.body.len() as i64)),
        ];
        let mut counts = vec![(1, I32(self.values)), (2, I32(self.encoding))];
        if !self.is_dictionary {
            counts.extend([(3, I32(3)), (4, I32(3))]);
        }
        fields.push((if self.is_dictionary { 7 } else { 5 }, Struct(counts)));
        [Struct(fields).encoded(), self.body.clone()].concat()
    }
}

/// A file of one row group with the columns `image.bytes` and `label`, both required.
fn file(rows: i64, codec: i64, images: &[Page], labels: &[Page]) -> Vec<u8> {
    let name = |text: &str| Bytes(text.as_bytes().to_vec());
    let mut content = b"PAR1".to_vec();
    let mut columns = Vec::new();
    for (kind, path, pages) in
        [(6, vec![name("image"), name("bytes")], images), (2, vec![name("label")], labels)]
    {
        let start = content.len() as i64;
        pages.iter().for_each(|page| content.extend(page.encoded()));
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
    let leaf = |kind: i64, text: &str| Struct(vec![(1, I32(kind)), (3, I32(0)), (4, name(text))]);
    let schema = vec![
        Struct(vec![(4, name("schema")), (5, I32(2))]),
        Struct(vec![(3, I32(0)), (4, name("image")), (5, I32(1))]),
        leaf(6, "bytes"),
        leaf(2, "label"),
    ];
    let group = Struct(vec![(1, List(columns)), (2, I64(content.len() as i64)), (3, I64(rows))]);
    let footer =
        Struct(vec![(1, I32(1)), (2, List(schema)), (3, I64(rows)), (4, List(vec![group]))]);
    let footer = footer.encoded();
    let length = footer.len() as u32;
    [content, footer, length.to_le_bytes().to_vec(), b"PAR1".to_vec()].concat()
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    GrayImage::new(width, height).write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// A text or a picture in PLAIN encoding.
fn plain(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

/// `count` times the first entry of the dictionary.
fn repeated(count: i64) -> Page {
    let body = [vec![1], varint((count as u64) << 1), vec![0]].concat();
    Page::data(count, RLE_DICTIONARY, body)
}

fn labels(count: i64) -> [Page; 2] {
    [Page::dictionary(1, vec![0; 8]), repeated(count)]
}

/// A snappy stream of one literal, which declares `length` bytes.
fn snappy(length: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(length), vec![61 << 2], (bytes.len() as u16 - 1).to_le_bytes().to_vec(), bytes.to_vec()]
        .concat()
}

fn good() -> Vec<u8> {
    let image = plain(&png(28, 28));
    let packed = snappy(image.len() as u64, &image);
    let page = Page { uncompressed: image.len() as i64, ..Page::data(1, PLAIN, packed) };
    let label = Page { uncompressed: 8, ..Page::data(1, PLAIN, snappy(8, &[0; 8])) };
    file(1, SNAPPY, &[page], &[label])
}

/// Files of a few kilobytes, with a part of the message they must give.
fn hostile_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    const MANY: i64 = i32::MAX as i64;
    let image = || plain(&png(28, 28));
    let one = |page: Page, rows: i64| file(rows, UNCOMPRESSED, &[page], &labels(rows));
    let dictionary =
        |page: Page, rows: i64| file(rows, UNCOMPRESSED, &[page, repeated(rows)], &labels(rows));
    let packed = |uncompressed: i64, length: u64| {
        let label = Page { uncompressed: 8, ..Page::data(1, PLAIN, snappy(8, &[0; 8])) };
        let page = Page { uncompressed, ..Page::data(1, PLAIN, snappy(length, &image())) };
        file(1, SNAPPY, &[page], &[label])
    };
    let delta = [varint(128), varint(4), varint(MANY as u64), varint(0)].concat();
    let mut huge = png(28, 28);
    // Width and height lie behind the signature and the name of the first chunk.
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let mut crc = flate2::Crc::new();
    crc.update(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    vec![
        ("rows", one(Page::data(MANY, PLAIN, image()), MANY), "declares 2147483647 rows"),
        ("page", one(Page::data(MANY, PLAIN, image()), 2), "declares 2147483647 values"),
        ("dictionary", dictionary(Page::dictionary(MANY, image()), 2), "declares 2147483647"),
        ("size", packed(MANY, 80), "declares 2147483647 bytes"),
        ("snappy", packed(image().len() as i64, 1 << 31), ""),
        ("delta", one(Page::data(2, DELTA_LENGTH, delta), 2), "encoding 6"),
        ("repeated", dictionary(Page::dictionary(1, plain(&png(1000, 1000))), 900_000), "pixels"),
        ("huge", one(Page::data(1, PLAIN, plain(&huge)), 1), "60000×60000"),
    ]
}

#[test]
#[ignore = "run by hostile_parquet_files_are_refused in processes of its own"]
fn read_hostile_file() {
    let folder = std::env::var("MNIST_KIT_TEST_FOLDER").unwrap();
    let case = std::env::var("MNIST_KIT_TEST_CASE").unwrap();
    let (_, _, expected) = hostile_files().into_iter().find(|(name, ..)| *name == case).unwrap();
    let path = Path::new(&folder).join(format!("{case}.parquet"));
    limit_memory(300);
    let start = Instant::now();
    let text = message(Mnist::from_parquet(&[&path], &[&path]));
    assert!(text.contains(expected) && text.contains(&format!("{case}.parquet")), "{case}: {text}");
    assert!(start.elapsed() < Duration::from_secs(10), "{case}: {:?}", start.elapsed());
}

#[test]
fn hostile_parquet_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.parquet");
    fs::write(&path, good()).unwrap();
    assert_eq!(Mnist::from_parquet(&[&path], &[&path]).unwrap().train.len(), 1);
    for (name, content, _) in hostile_files() {
        fs::write(folder.path().join(format!("{name}.parquet")), content).unwrap();
        let folder = folder.path().display().to_string();
        run_alone(
            "hostile_parquet::read_hostile_file",
            &[("MNIST_KIT_TEST_FOLDER", &folder), ("MNIST_KIT_TEST_CASE", name)],
        );
    }
}
