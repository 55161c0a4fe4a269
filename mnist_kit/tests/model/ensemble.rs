//! The mean of several models' probabilities.

use crate::common::message;
use anyhow::Result;
use mnist_kit::model::{Ensemble, StagedCnn};
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor, nn};

/// A model that gives each image the same logits.
fn constant(logits: [f32; 2]) -> nn::Func<'static> {
    nn::func(move |images| Tensor::from_slice(&logits).repeat([images.size()[0], 1]))
}

#[test]
fn probabilities_are_averaged_not_logits() -> Result<()> {
    // Probabilities (3/4, 1/4) and (1/101, 100/101), whose means are 0.37995… and 0.62005….
    let members = [constant([3f32.ln(), 0.0]), constant([0.0, 100f32.ln()])];
    let ensemble = Ensemble::new(members)?;
    let images = Tensor::zeros([2, 1], (Kind::Float, Device::Cpu));
    let probabilities = ensemble.forward_t(&images, false).exp();
    let expected = (0.75 + 1.0 / 101.0) / 2.0;
    for row in 0..2 {
        assert!((probabilities.double_value(&[row, 0]) - expected).abs() < 1e-6);
        assert!((probabilities.double_value(&[row, 1]) - (1.0 - expected)).abs() < 1e-6);
    }
    // A probability that float32 cannot hold does not become NaN.
    let certain = Ensemble::new([constant([0.0, -200.0]), constant([0.0, -300.0])])?;
    let answer = certain.forward_t(&images, false);
    assert!((answer.double_value(&[0, 1]) - (-200.0 - 2f64.ln())).abs() < 1e-3);
    Ok(())
}

#[test]
fn an_ensemble_needs_a_model() {
    let none: [nn::Func; 0] = [];
    assert!(message(Ensemble::new(none)).contains("expected one or more"));
}

#[test]
fn channels_that_make_no_network_are_refused() {
    let refused = |channels: &[Vec<i64>]| {
        let vs = nn::VarStore::new(Device::Cpu);
        message(StagedCnn::new(vs.root(), channels))
    };
    assert!(refused(&[]).contains("no stage"));
    assert!(refused(&[vec![4], vec![]]).contains("stage 1 has no convolution"));
    assert!(refused(&[vec![4, 0]]).contains("expected 1 to 65536"));
    // 28 → 24 → 12 → 4 → 2 → 0.
    let deep = [vec![4, 4], vec![4; 4], vec![4]];
    assert!(refused(&deep).contains("nothing is left of an image of 28×28 pixels after stage 2"));
    assert!(refused(&[vec![4; 14]]).contains("after stage 0"));
}
