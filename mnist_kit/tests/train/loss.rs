use crate::common::message;
use mnist_kit::train::Loss;
use tch::{Device, Kind, Tensor};

const ALL: [Loss; 4] = [
    Loss::CrossEntropy { label_smoothing: 0.0 },
    Loss::CrossEntropy { label_smoothing: 0.1 },
    Loss::NegativeLogLikelihood,
    Loss::BinaryCrossEntropy,
];

#[test]
fn a_label_that_is_no_class_is_refused() {
    let logits = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    for loss in ALL {
        assert!(loss.of(&logits, &Tensor::from_slice(&[0i64, 2])).is_ok());
        for wrong in [-100i64, -1, 3] {
            let error = message(loss.of(&logits, &Tensor::from_slice(&[0, wrong])));
            assert!(
                error.contains("is not among the model's 3 classes"),
                "{loss:?} {wrong}: {error}"
            );
        }
    }
}

#[test]
fn shapes_and_dtypes_are_checked_before_libtorch_sees_them() {
    let logits = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    let labels = Tensor::from_slice(&[0i64, 2]);
    for loss in ALL {
        for (logits, labels, expected) in [
            (
                logits.to_kind(Kind::Int64),
                labels.copy(),
                "logits are Int64 [2, 3] on the CPU, expected Float",
            ),
            (
                logits.copy(),
                labels.to_kind(Kind::Float),
                "labels are Float [2] on the CPU for logits [2, 3], expected Int64 [2]",
            ),
            (logits.copy(), labels.to_kind(Kind::Int), "labels are Int [2] on the CPU"),
            (
                logits.copy(),
                labels.narrow(0, 0, 1),
                "labels are Int64 [1] on the CPU for logits [2, 3]",
            ),
            (logits.flatten(0, -1), labels.copy(), "logits are Float [6] on the CPU"),
            (logits.narrow(1, 0, 0), labels.copy(), "the model's 0 classes"),
        ] {
            let error = message(loss.of(&logits, &labels));
            assert!(error.contains(expected), "{loss:?}: {error}");
        }
    }
    let wrong = Loss::CrossEntropy { label_smoothing: 1.0 };
    assert!(message(wrong.of(&logits, &labels)).contains("label smoothing 1"));
}
