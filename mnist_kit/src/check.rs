//! Messages about tensors that do not fit, and errors of libtorch without its C++ call stack.

use crate::Result;
use anyhow::{anyhow, ensure};
use tch::{Kind, Tensor};

/// Dtype, shape and device of a tensor: `Float [64, 1, 28, 28] on the CPU`.
pub(crate) fn describe(tensor: &Tensor) -> String {
    if !tensor.defined() {
        return "undefined".to_string();
    }
    let device = match tensor.device() {
        tch::Device::Cpu => "the CPU".to_string(),
        other => format!("{other:?}"),
    };
    format!("{:?} {:?} on {device}", tensor.kind(), tensor.size())
}

/// Checks that `images` are float32 `[N, 1, 28, 28]` and lie where `weight` lies.
pub(crate) fn expect_digits(model: &str, images: &Tensor, weight: &Tensor) -> Result<()> {
    let size = images.size();
    ensure!(
        size.len() == 4 && size[1..] == [1, 28, 28],
        "{model}: images of shape {size:?}, expected [N, 1, 28, 28]"
    );
    expect_values(model, images, 28 * 28)?;
    expect_together(model, images, weight)
}

/// Checks that images and weights have the same dtype and device.
pub(crate) fn expect_together(model: &str, images: &Tensor, weight: &Tensor) -> Result<()> {
    ensure!(
        images.kind() == weight.kind() && images.device() == weight.device(),
        "{model}: images are {:?} on {:?}, the weights {:?} on {:?}; give the batches the store's \
         device, and leave the store's weights as Float",
        images.kind(),
        images.device(),
        weight.kind(),
        weight.device()
    );
    Ok(())
}

/// Checks that `images` are float32 with `values` values each.
pub(crate) fn expect_values(model: &str, images: &Tensor, values: i64) -> Result<()> {
    let size = images.size();
    ensure!(
        images.kind() == Kind::Float,
        "{model}: images are {:?}, expected Float; put to_tensor into the transform",
        images.kind()
    );
    ensure!(
        size.len() >= 2 && size[1..].iter().product::<i64>() == values,
        "{model}: images of shape {size:?}, expected [N, …] with {values} values an image"
    );
    Ok(())
}

/// Ends a forward pass, which cannot return an error, with a panic that carries the error's text;
/// [`try_forward`](crate::model::try_forward) turns it back into an error.
pub(crate) fn or_panic(checked: Result<()>) {
    if let Err(error) = checked {
        panic!("{error:#}");
    }
}

/// Removes libtorch's C++ call stack from a message, and the wrapping that `Result::unwrap` adds.
pub(crate) fn without_trace(message: &str) -> &str {
    // A failed `unwrap` prints the message with its line breaks escaped.
    const WRAPPED: &str = "called `Result::unwrap()` on an `Err` value: Torch(\"";
    let message = message.strip_prefix(WRAPPED).unwrap_or(message);
    let end = ["\nException raised from ", "\\nException raised from "]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min()
        .unwrap_or(message.len());
    message[..end].trim_end()
}

/// Rewrites an error so that none of its messages carries libtorch's C++ call stack.
pub(crate) fn plain<T>(result: Result<T>) -> Result<T> {
    result.map_err(plain_error)
}

fn plain_error(error: anyhow::Error) -> anyhow::Error {
    let messages: Vec<String> = error.chain().map(ToString::to_string).collect();
    if messages.iter().all(|message| without_trace(message) == message) {
        return error;
    }
    let mut messages = messages.iter().rev().map(|message| {
        let message = without_trace(message);
        message.replacen("Internal torch error: ", "libtorch: ", 1)
    });
    let cause = anyhow!(messages.next().unwrap_or_default());
    messages.fold(cause, |error, message| error.context(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_message_loses_the_call_stack_of_libtorch() {
        let plain = "sizes differ\nException raised from infer_size at x.cpp:33\nframe #0: y";
        assert_eq!(without_trace(plain), "sizes differ");
        let unwrapped = "called `Result::unwrap()` on an `Err` value: Torch(\"sizes differ\\nException raised from infer";
        assert_eq!(without_trace(unwrapped), "sizes differ");
        assert_eq!(without_trace("plain"), "plain");
    }

    #[test]
    fn an_error_of_libtorch_keeps_its_message_and_context_only() {
        let failed = || -> Result<()> {
            let (a, b) = (Tensor::from_slice(&[1.0f32]), Tensor::from_slice2(&[[1i64, 2]]));
            let _product = a.f_matmul(&b).context("row 3")?;
            Ok(())
        };
        let error = format!("{:?}", plain(failed()).unwrap_err());
        assert!(error.contains("row 3") && error.contains("libtorch: "), "{error}");
        assert!(!error.contains("Exception raised") && !error.contains("frame #"), "{error}");
    }
}
