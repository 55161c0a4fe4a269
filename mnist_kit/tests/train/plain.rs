//! No public function shows libtorch's C++ call stack.

use crate::common::{assert_plain_error, generator};
use crate::{digits, mlp};
use anyhow::Result;
use mnist_kit::train::{Adam, Loss, Progress, Silent, fit};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor, nn};

#[test]
fn bad_input_ends_in_a_plain_error() -> Result<()> {
    let _alone = generator();
    let float = (Kind::Float, Device::Cpu);
    let labels = Tensor::from_slice(&[0i64, 1]);

    for wrong in [Tensor::zeros([2], float), Tensor::zeros([3, 2], float), Tensor::new()] {
        for loss in [Loss::default(), Loss::NegativeLogLikelihood, Loss::BinaryCrossEntropy] {
            assert_plain_error("Loss::of", loss.of(&wrong, &labels));
        }
        let mut progress = Progress::new();
        assert_plain_error("Progress::batch", progress.batch(&Tensor::from(1.0), &wrong, &labels));
        let logits = Tensor::zeros([2, 3], float);
        assert_plain_error("Progress::batch", progress.batch(&Tensor::new(), &logits, &labels));
        assert_plain_error("Progress::batch", progress.batch(&logits, &logits, &labels));
    }

    let (vs, model) = mlp()?;
    let mut adam = Adam::new(1e-3).build(&vs)?;
    for wrong in [Tensor::new(), Tensor::from_slice(&["a".len() as i64; 3]), labels.copy()] {
        let mut state: BTreeMap<String, Tensor> = adam.state()?;
        state.insert("layers.0.bias.steps".to_string(), wrong.shallow_clone());
        assert_plain_error("Optimizer::set_state", adam.set_state(&state));
        let mut state: BTreeMap<String, Tensor> = adam.state()?;
        state.insert("layers.0.bias.0".to_string(), wrong);
        assert_plain_error("Optimizer::set_state", adam.set_state(&state));
    }

    let (train, _) = digits(3, 50)?;
    let run = |model: &dyn nn::ModuleT| fit(model, &vs, &train).report(Silent).run();
    assert_plain_error("fit", run(&nn::func(|x| x.matmul(&x.transpose(0, 1)))));
    assert_plain_error("fit", run(&nn::func(|x| x.flatten(1, -1).to_kind(Kind::Int64))));
    assert_plain_error("fit", run(&nn::func(|x| x.sum(Kind::Float))));
    assert_plain_error("fit", run(&nn::func(|x| x.flatten(1, -1).narrow(1, 0, 5))));
    let only_in_training = nn::func_t(move |x, train| {
        let logits = nn::ModuleT::forward_t(&model, x, train);
        if train { logits.narrow(1, 0, 5) } else { logits }
    });
    assert_plain_error("fit", run(&only_in_training));
    Ok(())
}
