//! Layers, blocks and filters refuse sizes that no layer has, in plain words.

use crate::common::{assert_plain, assert_plain_error, message};
use mnist_kit::model::{
    ResidualBlock, batch_norm2d, conv2d, conv2d_without_bias, depthwise_conv2d, linear,
    linear_xavier,
};
use mnist_kit::transform::{gaussian_blur, sobel_magnitude};
use std::panic::catch_unwind;
use tch::{Device, Kind, Tensor, nn};

type Build = fn(nn::Path);

/// The text of the panic of a constructor, which cannot return an error.
fn refusal(build: Build) -> String {
    let payload = catch_unwind(|| build(nn::VarStore::new(Device::Cpu).root()))
        .expect_err("a layer of this size is refused");
    *payload.downcast::<String>().expect("a text")
}

#[test]
fn layers_of_impossible_sizes_are_refused_in_plain_words() {
    let cases: [(Build, &str); 15] = [
        (|path| drop(linear(path, -1, 10)), "linear: layer sizes [-1, 10]"),
        (|path| drop(linear(path, 0, 10)), "linear: layer sizes [0, 10]"),
        (|path| drop(linear(path, 10, i64::MAX)), "linear: layer sizes [10, 9223372036854775807]"),
        (|path| drop(linear_xavier(path, 784, -5)), "linear: layer sizes [784, -5]"),
        (|path| drop(conv2d(path, 1, 6, 0)), "conv2d: layer sizes [1, 6, 0, 0]"),
        (
            |path| drop(conv2d(path, 1, 6, i64::MAX)),
            "conv2d: layer sizes [1, 6, 9223372036854775807",
        ),
        (
            |path| drop(conv2d_without_bias(path, 65_536, 65_536, 65_536)),
            "conv2d: layer sizes [65536, 65536, 65536, 65536]: expected at most",
        ),
        (|path| drop(depthwise_conv2d(path, -3, 3)), "depthwise_conv2d: layer sizes [-3, 3, 3]"),
        (|path| drop(batch_norm2d(path, -3)), "batch_norm2d: layer sizes [-3]"),
        (|path| drop(conv2d(path, 1, 6, 5).stride(0)), "stride 0"),
        (|path| drop(conv2d(path, 1, 6, 5).stride(i64::MAX)), "stride 9223372036854775807"),
        (|path| drop(conv2d(path, 1, 6, 5).padding(-1)), "padding -1"),
        (|path| drop(ResidualBlock::new(path, 0, 8, 1)), "ResidualBlock: layer sizes [0, 8]"),
        (|path| drop(ResidualBlock::new(path, 8, -8, 1)), "ResidualBlock: layer sizes [8, -8]"),
        (|path| drop(ResidualBlock::new(path, 8, 8, 0)), "stride 0"),
    ];
    for (build, expected) in cases {
        let text = refusal(build);
        assert!(text.contains(expected) && text.contains("expected"), "{text}");
        assert_plain(&text);
    }
}

#[test]
fn filters_refuse_images_without_pixels() {
    let float = (Kind::Float, Device::Cpu);
    for size in [[0, 1, 5, 5], [2, 0, 5, 5], [2, 1, 0, 5], [2, 1, 5, 0]] {
        let filtered = gaussian_blur(&Tensor::zeros(size, float));
        if size[0] == 0 {
            assert_eq!(filtered.unwrap().size(), size);
        } else {
            let text = message(filtered);
            assert!(text.contains(&format!("images are Float {size:?}")), "{text}");
        }
    }
    assert_plain_error("sobel_magnitude", sobel_magnitude(&Tensor::new()));
}
