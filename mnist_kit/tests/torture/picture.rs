//! Pictures in five formats: sizes and chunks of PNG, and bytes of the others.

use crate::{Dice, Part};
use flate2::Crc;
use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use mnist_kit::infer::read_picture;
use std::io::Cursor;

pub const PART: Part = Part {
    name: "pictures",
    mebibytes: 1024,
    bombs,
    change,
    read: |path| read_picture(path).map(drop),
};

const FORMATS: [(ImageFormat, &str); 5] = [
    (ImageFormat::Png, "changed.png"),
    (ImageFormat::Jpeg, "changed.jpg"),
    (ImageFormat::Gif, "changed.gif"),
    (ImageFormat::Bmp, "changed.bmp"),
    (ImageFormat::WebP, "changed.webp"),
];

/// A picture of a stroke, in one of several kinds of pixels.
fn picture(dice: &mut Dice, format: ImageFormat) -> Vec<u8> {
    let (width, height) = *dice.pick(&[(28, 28), (9, 13), (40, 7), (1, 1)]);
    let stroke = GrayImage::from_fn(width, height, |x, _| Luma([if x == 5 { 0 } else { 250 }]));
    let stroke = DynamicImage::from(stroke);
    let kinds = match format {
        ImageFormat::Png => 6,
        ImageFormat::Bmp | ImageFormat::WebP => 2,
        _ => 1,
    };
    let stroke = match dice.below(kinds) {
        0 => DynamicImage::from(stroke.to_rgb8()),
        1 => DynamicImage::from(stroke.to_rgba8()),
        2 => stroke,
        3 => DynamicImage::from(stroke.to_luma16()),
        4 => DynamicImage::from(stroke.to_luma_alpha8()),
        _ => DynamicImage::from(stroke.to_rgba16()),
    };
    let mut file = Cursor::new(Vec::new());
    stroke.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn change(dice: &mut Dice) -> (String, Vec<u8>) {
    let (format, name) = *dice.pick(&FORMATS);
    let mut file = picture(dice, format);
    if format == ImageFormat::Png && !dice.one_in(4) {
        let mut chunks = chunks(&file);
        for _ in 0..1 + dice.below(2) {
            change_chunks(&mut chunks, dice);
        }
        file = assembled(&chunks);
    } else if dice.one_in(2) {
        // Sizes are in the header.
        let at = dice.below(file.len().min(64));
        dice.overwrite_number(&mut file, at);
    } else {
        dice.change_bytes(&mut file);
    }
    (name.to_string(), file)
}

/// The chunks of a PNG file: name and content, which a checksum follows in the file.
fn chunks(file: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut chunks, mut rest) = (Vec::new(), &file[8..]);
    while let [a, b, c, d, more @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        chunks.push((more[..4].to_vec(), more[4..4 + length].to_vec()));
        rest = &more[8 + length..];
    }
    chunks
}

/// A PNG file of these chunks, with the checksums that belong to them.
fn assembled(chunks: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in chunks {
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(content);
        file.extend((content.len() as u32).to_be_bytes());
        file.extend([&name[..], content, &crc.sum().to_be_bytes()].concat());
    }
    file
}

fn change_chunks(chunks: &mut Vec<(Vec<u8>, Vec<u8>)>, dice: &mut Dice) {
    let at = dice.below(chunks.len());
    match dice.below(8) {
        0 => drop(chunks.remove(at)),
        1 => {
            let chunk = chunks[at].clone();
            chunks.splice(at..at, std::iter::repeat_n(chunk, 1 + dice.below(3)));
        }
        2 => chunks[at].0 = dice.pick(&[*b"PLTE", *b"tRNS", *b"acTL", *b"fcTL", *b"iCCP"]).to_vec(),
        3 => {
            let content = dice.bytes(26);
            let name = dice.pick(&[*b"acTL", *b"fcTL", *b"tRNS", *b"PLTE", *b"zTXt"]).to_vec();
            chunks.insert(at, (name, content));
        }
        4 | 5 if !chunks[0].1.is_empty() => {
            // Width, height, bits, color, compression, filter, interlacing.
            let place = dice.below(chunks[0].1.len());
            if place < 8 {
                dice.overwrite_number(&mut chunks[0].1, place);
            } else {
                chunks[0].1[place] = *dice.pick(&[0, 1, 2, 3, 4, 6, 8, 16, 255]);
            }
        }
        _ => dice.change_bytes(&mut chunks[at].1),
    }
    if chunks.is_empty() {
        chunks.push((b"IEND".to_vec(), Vec::new()));
    }
}

/// Pictures as large as they may be and larger, of a few kilobytes.
fn bombs() -> Vec<(String, Vec<u8>)> {
    let png = |width: u32, height: u32, bits: u8, color: u8, interlaced: u8, data: &[u8]| {
        let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
        let header = [&size[..], &[bits, color, 0, 0, interlaced]].concat();
        let chunk = |name: &[u8; 4], content: &[u8]| (name.to_vec(), content.to_vec());
        assembled(&[chunk(b"IHDR", &header), chunk(b"IDAT", data), chunk(b"IEND", b"")])
    };
    // 50 million pixels: 400 MB of them with four colors of 16 bits.
    let zeros = |count: usize| {
        use std::io::Write;
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        let block = vec![0; 1 << 20];
        (0..count >> 20).for_each(|_| encoder.write_all(&block).unwrap());
        encoder.finish().unwrap()
    };
    let wide = zeros(401 << 20);
    let text = {
        let content = [b"iccp\0\0".to_vec(), wide.clone()].concat();
        let mut chunks = chunks(&png(28, 28, 8, 0, 0, &zeros(1 << 20)));
        chunks.insert(1, (b"iCCP".to_vec(), content.clone()));
        chunks.insert(1, (b"zTXt".to_vec(), content));
        assembled(&chunks)
    };
    let mut gif = b"GIF89a\x40\x1f\x40\x1f\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    gif.extend(b"\x2c\0\0\0\0\x40\x1f\x40\x1f\0\x02\x02\x4c\x01\0\x3b");
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend([&7000u32.to_le_bytes()[..], &7000u32.to_le_bytes(), &[1, 0, 24, 0]].concat());
    bmp.extend([0; 24]);
    let mut webp = b"RIFF\x20\0\0\0WEBPVP8L\x10\0\0\0\x2f".to_vec();
    // 14 bits each of width and height, less one.
    webp.extend([&((7_000u32 - 1) | (7_000 - 1) << 14).to_le_bytes()[..], &[0; 12]].concat());
    vec![
        ("wide.png".into(), png(240_000_000, 1, 8, 0, 0, &wide)),
        ("largest.png".into(), png(50_000_000, 1, 16, 6, 0, &wide)),
        ("tall.png".into(), png(1, 50_000_000, 8, 6, 0, &wide)),
        ("square.png".into(), png(7_071, 7_071, 16, 6, 0, &wide)),
        ("interlaced.png".into(), png(7_071, 7_071, 16, 6, 1, &wide)),
        ("gray.png".into(), png(7_071, 7_071, 8, 0, 0, &wide)),
        ("text.png".into(), text),
        ("large.gif".into(), gif),
        ("large.bmp".into(), bmp),
        ("large.webp".into(), webp),
    ]
}
