//! Digits drawn by the kit, for machines without MNIST: jittered strokes.

use crate::Result;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

/// Height and width of an image in pixels, as in MNIST.
const SIZE: usize = 28;

type Point = [f32; 2];

/// The points of a stroke, x to the right and y down, in a box of 1×1.
enum Stroke {
    /// Straight lines from point to point.
    Line(&'static [Point]),
    /// A smooth curve through the points.
    Curve(&'static [Point]),
}
use Stroke::{Curve, Line};

/// The variants of each digit, which are equally frequent.
const DIGITS: [&[&[Stroke]]; 10] = [
    &[&[Curve(&[
        [0.52, 0.0],
        [0.2, 0.18],
        [0.1, 0.55],
        [0.25, 0.92],
        [0.52, 1.0],
        [0.8, 0.85],
        [0.9, 0.45],
        [0.78, 0.1],
        [0.5, 0.01],
    ])]],
    &[&[Line(&[[0.55, 0.0], [0.48, 1.0]])], &[Line(&[[0.28, 0.2], [0.55, 0.0], [0.52, 1.0]])]],
    &[
        &[
            Curve(&[
                [0.15, 0.2],
                [0.4, 0.01],
                [0.75, 0.08],
                [0.8, 0.33],
                [0.55, 0.66],
                [0.14, 1.0],
            ]),
            Line(&[[0.14, 1.0], [0.88, 0.97]]),
        ],
        &[Curve(&[
            [0.15, 0.2],
            [0.4, 0.01],
            [0.75, 0.08],
            [0.76, 0.35],
            [0.48, 0.75],
            [0.2, 0.97],
            [0.14, 0.82],
            [0.3, 0.76],
            [0.6, 0.93],
            [0.92, 0.94],
        ])],
    ],
    &[&[
        Curve(&[[0.18, 0.1], [0.5, 0.0], [0.8, 0.14], [0.74, 0.36], [0.42, 0.47]]),
        Curve(&[[0.42, 0.47], [0.78, 0.56], [0.85, 0.8], [0.55, 1.0], [0.15, 0.9]]),
    ]],
    &[
        &[Line(&[[0.32, 0.0], [0.12, 0.55], [0.88, 0.53]]), Line(&[[0.78, 0.05], [0.66, 1.0]])],
        &[Line(&[[0.9, 0.66], [0.08, 0.68], [0.66, 0.0], [0.62, 1.0]])],
    ],
    &[&[
        Line(&[[0.86, 0.02], [0.32, 0.03], [0.24, 0.44]]),
        Curve(&[[0.24, 0.44], [0.6, 0.38], [0.85, 0.6], [0.75, 0.9], [0.42, 1.0], [0.12, 0.88]]),
    ]],
    &[&[Curve(&[
        [0.7, 0.0],
        [0.4, 0.2],
        [0.18, 0.6],
        [0.25, 0.92],
        [0.55, 1.0],
        [0.8, 0.82],
        [0.74, 0.58],
        [0.48, 0.52],
        [0.2, 0.7],
    ])]],
    &[
        &[Line(&[[0.12, 0.06], [0.86, 0.03], [0.4, 1.0]])],
        &[Line(&[[0.12, 0.06], [0.86, 0.03], [0.4, 1.0]]), Line(&[[0.34, 0.5], [0.82, 0.48]])],
    ],
    &[&[Curve(&[
        [0.5, 0.46],
        [0.22, 0.28],
        [0.32, 0.04],
        [0.62, 0.01],
        [0.78, 0.2],
        [0.5, 0.47],
        [0.2, 0.72],
        [0.3, 0.97],
        [0.65, 0.99],
        [0.8, 0.74],
        [0.5, 0.46],
    ])]],
    &[&[
        Curve(&[
            [0.8, 0.25],
            [0.58, 0.02],
            [0.25, 0.12],
            [0.2, 0.38],
            [0.45, 0.52],
            [0.74, 0.38],
            [0.8, 0.2],
        ]),
        Curve(&[[0.8, 0.2], [0.78, 0.6], [0.62, 1.0]]),
    ]],
];

/// Draws images `[count, 1, 28, 28]` uint8 with labels `[count]` int64.
///
/// Each ten consecutive images contain each digit once. Streams of one seed are independent.
pub(super) fn draw(seed: u64, stream: u64, count: usize) -> Result<(Tensor, Tensor)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(count.saturating_mul(SIZE * SIZE))?;
    let mut labels = Vec::new();
    let mut digits: Vec<usize> = (0..DIGITS.len()).collect();
    for index in 0..count {
        let place = index % digits.len();
        if place == 0 {
            digits.shuffle(&mut rng);
        }
        let digit = digits[place];
        pixels.extend(image(digit, &mut rng));
        labels.push(digit as i64);
    }
    let size = [count as i64, 1, SIZE as i64, SIZE as i64];
    Ok((Tensor::f_from_data_size(&pixels, &size, Kind::Uint8)?, Tensor::f_from_slice(&labels)?))
}

/// Draws one image of a digit: a random variant with jittered points, and random slant, rotation,
/// size, position and pen width.
fn image(digit: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let variants = DIGITS[digit];
    let strokes = variants[rng.random_range(0..variants.len())];
    let (sin, cos) = around(rng, 0.0, 0.35).sin_cos();
    let slant = around(rng, 0.12, 0.4);
    let height = around(rng, 18.5, 3.0);
    let width = height * around(rng, 0.76, 0.25);
    let middle = [around(rng, 14.0, 2.0), around(rng, 14.0, 2.0)];
    let pen = around(rng, 1.25, 0.5);
    let ink = around(rng, 0.94, 0.06);
    let mut coverage = vec![0.0; SIZE * SIZE];
    for stroke in strokes {
        let (Line(points) | Curve(points)) = stroke;
        let points: Vec<Point> = points
            .iter()
            .map(|&[x, y]| {
                let y = (around(rng, y, 0.08) - 0.5) * height;
                let x = (around(rng, x, 0.08) - 0.5) * width - y * slant;
                [middle[0] + x * cos - y * sin, middle[1] + x * sin + y * cos]
            })
            .collect();
        let path = if matches!(stroke, Curve(_)) { smooth(&points) } else { points };
        for ends in path.windows(2) {
            ink_segment(&mut coverage, SIZE, ends[0], ends[1], pen);
        }
    }
    coverage.into_iter().map(|fraction| (255.0 * ink * fraction) as u8).collect()
}

/// The strokes of a digit without jitter as lines through points, in a square of 1×1, and a drawing
/// of them with a pen of this radius as `size` × `size` pixels.
///
/// `digit` is below 10, and the digit fills the middle 60 % of the square.
pub(crate) fn example_digit(digit: usize, size: usize, pen: f32) -> (Vec<Vec<Point>>, Vec<u8>) {
    let place = |&[x, y]: &Point| [0.5 + 0.5 * (x - 0.5), 0.5 + 0.6 * (y - 0.5)];
    let mut strokes = Vec::new();
    let mut coverage = vec![0.0; size * size];
    for stroke in DIGITS[digit][0] {
        let (Line(points) | Curve(points)) = stroke;
        let points: Vec<Point> = points.iter().map(place).collect();
        let path = if matches!(stroke, Curve(_)) { smooth(&points) } else { points };
        for ends in path.windows(2) {
            let [from, to] = [ends[0], ends[1]].map(|point| point.map(|at| at * size as f32));
            ink_segment(&mut coverage, size, from, to, pen);
        }
        strokes.push(path);
    }
    (strokes, coverage.into_iter().map(|fraction| (255.0 * fraction).round() as u8).collect())
}

/// Draws a number within `spread` of `middle` from a triangular distribution.
fn around(rng: &mut ChaCha8Rng, middle: f32, spread: f32) -> f32 {
    middle + spread * (rng.random::<f32>() + rng.random::<f32>() - 1.0)
}

/// Approximates the Catmull–Rom curve through the points by short straight pieces.
fn smooth(points: &[Point]) -> Vec<Point> {
    const PIECES: usize = 6;
    let last = points.len() - 1;
    let mut path = vec![points[0]];
    for i in 0..last {
        let [a, b, c, d] = [i.saturating_sub(1), i, i + 1, (i + 2).min(last)].map(|i| points[i]);
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            path.push([0, 1].map(|axis| {
                let (a, b, c, d) = (a[axis], b[axis], c[axis], d[axis]);
                b + 0.5
                    * t
                    * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
            }));
        }
    }
    path
}

/// Draws a line with round ends. Coverage falls from 1 to 0 over one pixel at the edge of the pen.
///
/// `coverage` has `size` × `size` pixels.
fn ink_segment(coverage: &mut [f32], size: usize, from: Point, to: Point, pen: f32) {
    let pixels = |axis: usize| {
        let (low, high) = (from[axis].min(to[axis]), from[axis].max(to[axis]));
        let bound = |position: f32| position.clamp(0.0, size as f32) as usize;
        bound((low - pen - 1.0).floor())..bound((high + pen + 1.0).ceil())
    };
    let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    let length_squared = (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
    for row in pixels(1) {
        for column in pixels(0) {
            let [x, y] = [column as f32 + 0.5 - from[0], row as f32 + 0.5 - from[1]];
            let along = ((x * dx + y * dy) / length_squared).clamp(0.0, 1.0);
            let distance = (x - along * dx).hypot(y - along * dy);
            let covered = (pen + 0.5 - distance).clamp(0.0, 1.0);
            let pixel = &mut coverage[row * size + column];
            *pixel = pixel.max(covered);
        }
    }
}
