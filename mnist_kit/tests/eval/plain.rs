//! No public function shows libtorch's C++ call stack.

use crate::common::assert_plain_error;
use crate::known;
use anyhow::Result;
use mnist_kit::eval::{average_precisions, evaluate, f1_scores};
use mnist_kit::model::{Logits, predict};
use tch::{Device, Kind, Tensor, nn};

#[test]
fn bad_input_ends_in_a_plain_error() -> Result<()> {
    let float = (Kind::Float, Device::Cpu);
    let batches = known()?;
    type Output = fn(&Tensor) -> Tensor;
    let outputs: [Output; 5] = [
        |x| x.matmul(x),
        |x| x.flatten(1, -1).narrow(1, 0, 1),
        |x| x.sum(Kind::Float),
        |x| x.shallow_clone(),
        |x| x.flatten(1, -1).to_kind(Kind::Int64),
    ];
    for (index, output) in outputs.into_iter().enumerate() {
        let model = nn::func(output);
        assert_plain_error(&format!("evaluate {index}"), evaluate(&model, &batches));
        if index != 1 && index != 4 {
            assert_plain_error(&format!("predict {index}"), predict(&model, &batches));
        }
    }

    let good = Tensor::zeros([2, 3], float);
    let labels = Tensor::from_slice(&[0i64, 1]);
    for (logits, labels) in [
        (Tensor::new(), labels.copy()),
        (good.copy(), Tensor::new()),
        (good.narrow(0, 0, 1), labels.copy()),
        (good.sum(Kind::Float), labels.copy()),
        (good.copy(), labels.to_kind(Kind::Float)),
    ] {
        let logits = Logits { logits, labels };
        assert_plain_error("Logits::loss", logits.loss());
        assert_plain_error("Logits::accuracy", logits.accuracy());
    }
    let undefined = Logits { logits: Tensor::new(), labels };
    assert_plain_error("Logits::predictions", undefined.predictions());

    for (scores, truths) in [
        (good.copy(), Tensor::zeros([3, 2], float)),
        (good.to_kind(Kind::ComplexFloat), good.copy()),
        (good.to_kind(Kind::Int64), good.copy()),
        (Tensor::new(), Tensor::new()),
        (Tensor::zeros([0, 3], float), Tensor::zeros([0, 3], float)),
    ] {
        assert_plain_error("f1_scores", f1_scores(&scores, &truths, 0.5));
        assert_plain_error("average_precisions", average_precisions(&scores, &truths));
    }
    Ok(())
}
