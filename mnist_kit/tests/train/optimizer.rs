use crate::common::message;
use anyhow::Result;
use mnist_kit::model::{Mlp, try_forward};
use mnist_kit::train::{Adam, AdamW, Sgd};
use tch::{Device, Kind, Tensor, nn};

#[test]
fn settings_out_of_range_are_refused() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    assert!(message(Adam::new(0.1).build(&vs)).contains("build the model before the optimizer"));
    Mlp::new(vs.root(), 8)?;
    assert!(message(Sgd::new(-1.0).build(&vs)).contains("learning rate -1"));
    assert!(message(Sgd::new(0.1).momentum(1.0).build(&vs)).contains("momentum or beta 1"));
    assert!(message(AdamW::new(0.1).weight_decay(-1.0).build(&vs)).contains("weight decay -1"));
    let mut adam = Adam::new(0.1).build(&vs)?;
    assert!(message(adam.set_lr(f64::INFINITY)).contains("learning rate inf"));
    let wrong = message(adam.set_rate("head", 2.0));
    assert!(wrong.contains("no parameter is called head"), "{wrong}");
    assert!(message(adam.set_rate("layers", f64::NAN)).contains("factor NaN of layers"));
    Ok(())
}

#[test]
fn the_state_of_another_optimizer_is_refused_and_changes_nothing() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Mlp::new(vs.root(), 8)?;
    let images = Tensor::rand([4, 784], (Kind::Float, Device::Cpu));
    let mut momentum = Sgd::new(0.1).momentum(0.9).build(&vs)?;
    try_forward(&model, &images, true)?.sum(Kind::Float).backward();
    momentum.step()?;
    let state = momentum.state()?;
    let mut adam = Adam::new(1e-3).build(&vs)?;
    let wrong = message(adam.set_state(&state));
    assert!(wrong.contains("that of another kind of optimizer"), "{wrong}");
    assert_eq!(adam.lr(), 1e-3, "a refused state changes nothing");
    adam.step()?;
    for (name, wrong) in [
        ("lr", Tensor::from_slice(&[f64::NAN])),
        ("lr", Tensor::from_slice(&[1.0, 2.0])),
        ("layers.0.bias.steps", Tensor::from_slice(&[-1i64])),
        ("layers.0.bias.steps", Tensor::from_slice(&[i64::MAX])),
        ("layers.0.bias.0", Tensor::from_slice(&[1.0f32])),
        ("layers.0.bias.0", Tensor::zeros([8], (Kind::Double, Device::Cpu))),
    ] {
        let mut state = adam.state()?;
        state.insert(name.to_string(), wrong);
        assert!(adam.set_state(&state).is_err(), "{name}");
    }
    let mut state = adam.state()?;
    state.remove("layers.2.bias.0");
    assert!(adam.set_state(&state).is_err(), "a part of the state is missing");
    adam.set_state(&adam.state()?)
}

#[test]
fn weights_without_gradient_cost_no_time_for_denormal_numbers() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let weight = vs.root().ones("weight", &[4]);
    let mut optimizer = Adam::new(1e-3).build(&vs)?;
    for step in 0..1500 {
        optimizer.zero_grad();
        let factor = if step == 0 { 1.0 } else { 0.0 };
        (&weight * factor).sum(Kind::Float).backward();
        optimizer.step()?;
    }
    let denormal = |t: &Tensor| {
        let size = t.abs();
        bool::try_from((size.gt(0.0).logical_and(&size.lt(f64::from(f32::MIN_POSITIVE)))).any())
    };
    for (name, tensor) in optimizer.state()? {
        assert!(!denormal(&tensor)?, "{name}: {tensor:?}");
    }
    Ok(())
}
