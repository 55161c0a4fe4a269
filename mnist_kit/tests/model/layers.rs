//! Layers, blocks and filters refuse sizes that no layer has, in plain words.

use crate::common::{assert_plain, assert_plain_error, message};
use mnist_kit::model::{
    ResidualBlock, batch_norm2d, conv2d, conv2d_without_bias, depthwise_conv2d, linear,
    linear_xavier,
};
use mnist_kit::transform::{gaussian_blur, sobel_magnitude};
use std::panic::catch_unwind;
use tch::nn::Module;
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

#[test]
fn a_strided_kernel_of_one_pixel_has_the_right_gradient_for_few_channels() {
    // Memory that oneDNN damages is not always noticed at once.
    for (channels, round) in [3, 4, 6, 8, 12].into_iter().flat_map(|c| (0..10).map(move |r| (c, r)))
    {
        let vs = nn::VarStore::new(Device::Cpu);
        let conv = conv2d_without_bias(vs.root(), channels, 8, 1).stride(2);
        let rows = Tensor::randn([10, 28, 27, channels], (Kind::Float, Device::Cpu));
        let images = rows.permute([0, 3, 1, 2]);
        let output = conv.forward(&images);
        assert_eq!(output.size(), [10, 8, 14, 14]);
        let upstream = Tensor::randn_like(&output);
        (&output * &upstream).sum(Kind::Float).backward();
        let kept = images.slice(2, None, None, 2).slice(3, None, None, 2);
        let expected = Tensor::einsum("nohw,nihw->oi", &[upstream, kept], None::<&[i64]>);
        let found = conv.ws.grad().view([8, channels]);
        let difference = (found - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-3, "{channels} channels, round {round}: {difference}");
    }
}
