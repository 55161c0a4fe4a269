//! Checks of tensors with one wording for every model, and libtorch errors without C++ call stacks.

use crate::Result;
use anyhow::{anyhow, ensure};
use std::ops::RangeInclusive;
use tch::{Device, Kind, Tensor};

/// The largest layer that a configuration may ask for; two layers of this size take 16 GB.
pub(crate) const LARGEST_LAYER: i64 = 1 << 16;

/// Describes a tensor by dtype, shape and device: `Float [64, 1, 28, 28] on the CPU`.
pub(crate) fn describe(tensor: &Tensor) -> String {
    if !tensor.defined() {
        return "undefined".to_string();
    }
    let device = match tensor.device() {
        Device::Cpu => "the CPU".to_string(),
        other => format!("{other:?}"),
    };
    format!("{:?} {:?} on {device}", tensor.kind(), tensor.size())
}

/// Checks that `images` are float32 `[N, 1, 28, 28]` and lie where `weight` lies.
pub(crate) fn expect_digits(model: &str, images: &Tensor, weight: &Tensor) -> Result<()> {
    expect_square_images(model, images, weight, 28)
}

/// Checks that `images` are float32 `[N, 1, side, side]` and lie where `weight` lies.
pub(crate) fn expect_square_images(
    model: &str,
    images: &Tensor,
    weight: &Tensor,
    side: i64,
) -> Result<()> {
    let size = images.size();
    ensure!(
        size.len() == 4 && size[1..] == [1, side, side],
        "{model}: images of shape {size:?}, expected [N, 1, {side}, {side}]"
    );
    expect_values(model, images, side * side)?;
    expect_together(model, images, weight)
}

/// Checks that `images` are float32 `[N, 3, H, W]`, H and W 32 or more, and lie where `weight` lies.
pub(crate) fn expect_color_images(model: &str, images: &Tensor, weight: &Tensor) -> Result<()> {
    let (size, kind) = (images.size(), images.kind());
    ensure!(
        matches!(size[..], [_, 3, height, width] if height >= 32 && width >= 32)
            && kind == Kind::Float,
        "{model}: images are {kind:?} {size:?}, expected Float [N, 3, H, W] with H and W of 32 or \
         more; put to_tensor, resize and repeat_channels into the transform"
    );
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

/// Checks that a module's `output` for `count` images has one floating-point row for each image.
/// `columns` names the second dimension in the message: `classes`, `features`.
pub(crate) fn expect_rows(output: &Tensor, count: i64, columns: &str) -> Result<()> {
    let (size, kind) = (output.size(), output.kind());
    ensure!(
        matches!(size[..], [rows, _] if rows == count) && is_floating(kind),
        "the model returned {kind:?} {size:?} for {count} images, expected Float [{count}, {columns}]"
    );
    Ok(())
}

pub(crate) fn is_floating(kind: Kind) -> bool {
    matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)
}

/// Checks that logits and labels are floating-point `[N, classes]` and int64 `[N]` on one device.
pub(crate) fn expect_logits(logits: &Tensor, labels: &Tensor) -> Result<()> {
    ensure!(
        logits.defined() && logits.dim() == 2 && is_floating(logits.kind()),
        "logits are {}, expected Float [N, classes]",
        describe(logits)
    );
    ensure!(
        labels.defined() && labels.size() == logits.size()[..1] && labels.kind() == Kind::Int64,
        "labels are {} for logits {:?}, expected Int64 {:?}",
        describe(labels),
        logits.size(),
        &logits.size()[..1]
    );
    ensure!(
        logits.device() == labels.device(),
        "logits are {}, labels {}: expected both on the same device",
        describe(logits),
        describe(labels)
    );
    Ok(())
}

/// Checks what [`expect_logits`] does, and that each label is a class of the logits.
///
/// libtorch skips a label of -100, and on a GPU a label beyond the classes aborts the process.
pub(crate) fn expect_labels(logits: &Tensor, labels: &Tensor) -> Result<()> {
    expect_logits(logits, labels)?;
    let (size, found) = (logits.size(), labels.size());
    if found[0] > 0 {
        let (lowest, highest) = (labels.f_min()?, labels.f_max()?);
        let ends = [lowest.f_int64_value(&[])?, highest.f_int64_value(&[])?];
        let wrong = ends.into_iter().find(|label| !(0..size[1]).contains(label));
        if let Some(label) = wrong {
            return Err(no_such_class(label, size[1]));
        }
    }
    Ok(())
}

/// The error for a label or class that the model does not have.
pub(crate) fn no_such_class(class: i64, classes: i64) -> anyhow::Error {
    anyhow!(
        "label {class} is not among the model's {classes} classes (0 to {}); build the model for \
         as many classes as the data has",
        classes - 1
    )
}

/// Checks the size of a layer, or the number of classes, that a configuration asks for.
pub(crate) fn expect_layer_sizes(sizes: &[i64]) -> Result<()> {
    ensure!(
        sizes.iter().all(|size| (1..=LARGEST_LAYER).contains(size)),
        "layer sizes {sizes:?}: expected 1 to {LARGEST_LAYER}"
    );
    Ok(())
}

/// Checks the sizes of the weight of a layer, each and together.
pub(crate) fn expect_layer(layer: &str, sizes: &[i64]) -> Result<()> {
    let weights = sizes.iter().try_fold(1i64, |product, &size| product.checked_mul(size));
    expect_layer_sizes(sizes)
        .and_then(|()| {
            let most = LARGEST_LAYER * LARGEST_LAYER;
            ensure!(
                weights.is_some_and(|weights| weights <= most),
                "layer sizes {sizes:?}: expected at most {most} weights"
            );
            Ok(())
        })
        .map_err(|problem| anyhow!("{layer}: {problem}"))
}

/// Checks one number of a configuration, which `name` is called in the message.
pub(crate) fn expect_within(name: &str, value: i64, range: RangeInclusive<i64>) -> Result<()> {
    ensure!(
        range.contains(&value),
        "{name} {value}: expected {} to {}",
        range.start(),
        range.end()
    );
    Ok(())
}

/// Ends a forward pass or a constructor, which cannot return an error, with a panic that carries the
/// error's text; [`try_forward`](crate::model::try_forward) turns it back into an error.
pub(crate) fn or_panic(checked: Result<()>) {
    if let Err(error) = checked {
        panic!("{error:#}");
    }
}

/// Removes libtorch's C++ call stack from a message, and the wrapping that `Result::unwrap` adds.
pub(crate) fn without_trace(message: &str) -> String {
    // A failed `unwrap` prints the message as a string literal, with its line breaks escaped.
    const WRAPPED: &str = "called `Result::unwrap()` on an `Err` value: Torch(\"";
    let unwrapped = message.strip_prefix(WRAPPED).map(|literal| {
        let literal = literal.strip_suffix("\")").unwrap_or(literal);
        literal.replace("\\n", "\n").replace("\\\"", "\"").replace("\\'", "'")
    });
    let message = unwrapped.as_deref().unwrap_or(message);
    let end = ["\nException raised from ", "\nC++ CapturedTraceback:", "\nframe #"]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min()
        .unwrap_or(message.len());
    message[..end].trim_end().to_string()
}

/// The most characters of a message. Names in a file can be as long as the file.
const LONGEST_MESSAGE: usize = 1_900;

/// The beginning of a message that is too long to be read.
fn shortened(message: String) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

/// Rewrites an error so that none of its messages carries libtorch's C++ call stack, or is too long
/// to be read.
pub(crate) fn plain<T>(result: Result<T>) -> Result<T> {
    result.map_err(plain_error)
}

fn plain_error(error: anyhow::Error) -> anyhow::Error {
    let messages: Vec<String> = error.chain().map(ToString::to_string).collect();
    let tidy = |message: &String| shortened(without_trace(message));
    if messages.iter().all(|message| tidy(message) == *message) {
        return error;
    }
    let mut messages = messages
        .iter()
        .rev()
        .map(|message| tidy(message).replacen("Internal torch error: ", "libtorch: ", 1));
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
        let unwrapped = "called `Result::unwrap()` on an `Err` value: Torch(\"sizes \\\"a\\\" \
                         differ\\nException raised from infer";
        assert_eq!(without_trace(unwrapped), "sizes \"a\" differ");
        let short = "called `Result::unwrap()` on an `Err` value: Torch(\"no driver\")";
        assert_eq!(without_trace(short), "no driver");
        assert_eq!(without_trace("plain"), "plain");
    }

    #[test]
    fn a_message_as_long_as_a_file_is_cut() {
        let long = anyhow!("ä".repeat(1_000_000)).context("record.json");
        let text = format!("{:#}", plain::<()>(Err(long)).unwrap_err());
        assert!(text.starts_with("record.json: ää") && text.ends_with("ä…"), "{text}");
        assert_eq!(text.chars().count(), "record.json: ".len() + LONGEST_MESSAGE + 1);
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

    #[test]
    fn labels_are_classes() {
        let logits = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let check = |labels: &[i64]| expect_labels(&logits, &Tensor::from_slice(labels));
        assert!(check(&[0, 2]).is_ok());
        for wrong in [-100, -1, 3] {
            let error = check(&[1, wrong]).unwrap_err().to_string();
            assert!(error.contains(&format!("label {wrong} is not among")), "{error}");
        }
        let error = check(&[0]).unwrap_err().to_string();
        assert!(error.contains("labels are Int64 [1] on the CPU"), "{error}");
    }
}
