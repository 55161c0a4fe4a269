//! The multi-layer perceptron and its configuration.

use crate::common::message;
use anyhow::Result;
use mnist_kit::model::{Activation, Mlp, MlpConfig, named_parameters, summary, try_forward};
use tch::{Device, Kind, Tensor, nn};

#[test]
fn an_mlp_takes_images_or_rows_and_nothing_else() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 100)?;
    let images = Tensor::rand([4, 1, 28, 28], (Kind::Float, Device::Cpu));
    let rows = images.flatten(1, -1);
    assert_eq!(try_forward(&model, &images, false)?, try_forward(&model, &rows, false)?);
    let large = Tensor::rand([4, 1, 32, 32], (Kind::Float, Device::Cpu));
    let wrong = message(try_forward(&model, &large, false));
    assert!(wrong.contains("[4, 1, 32, 32]") && wrong.contains("784 values"), "{wrong}");
    let wrong = message(try_forward(&model, &images.to_kind(Kind::Uint8), false));
    assert!(wrong.contains("Uint8"), "{wrong}");
    let names: Vec<String> = named_parameters(&vs).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]);
    Ok(())
}

#[test]
fn an_mlp_is_built_as_configured() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let deep = MlpConfig::default().hidden([128, 64]).activation(Activation::Tanh).dropout(0.5);
    let model = deep.build(vs.root())?;
    assert_eq!(summary(&vs).total(), 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10);
    assert!(vs.variables().contains_key("layers.6.weight"));
    let images = Tensor::rand([8, 784], (Kind::Float, Device::Cpu));
    assert_eq!(try_forward(&model, &images, false)?, try_forward(&model, &images, false)?);
    assert_ne!(
        try_forward(&model, &images, true)?,
        try_forward(&model, &images, true)?,
        "dropout draws anew"
    );
    for hidden in [0, -1, 1 << 40] {
        let wrong = message(MlpConfig::default().hidden([hidden]).build(vs.root()));
        assert!(wrong.contains("expected 1 to 65536"), "{wrong}");
    }
    assert!(message(MlpConfig::default().dropout(1.0).build(vs.root())).contains("dropout 1"));
    Ok(())
}

#[test]
fn a_summary_is_displayed_as_its_table() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    Mlp::new(vs.root(), 100)?;
    let summary = summary(&vs);
    assert_eq!(summary.to_string(), summary.table().to_string());
    assert!(summary.to_string().contains("79,510 parameters"), "{summary}");
    Ok(())
}
