//! Backbones: PyTorch's answers, frozen stages, features, and what they refuse.

use crate::common::{generator, message, run_python};
use anyhow::{Result, ensure};
use mnist_kit::data::{Mnist, Split};
use mnist_kit::model::{Backbone, extract_features, summary, train_only, try_forward};
use mnist_kit::train::{Adam, Silent, fit};
use mnist_kit::transform::{Compose, RandomRotation};
use mnist_kit::weights::load_weights;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor, nn};

fn resnet18() -> Result<(nn::VarStore, Backbone)> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Backbone::resnet18(vs.root(), 10)?;
    Ok((vs, model))
}

fn mobilenet_v2() -> Result<(nn::VarStore, Backbone)> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Backbone::mobilenet_v2(vs.root(), 10)?;
    Ok((vs, model))
}

#[test]
fn networks_answer_as_torchvisions() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    if !run_python("oracle.py", &["backbones", &folder.path().display().to_string()]) {
        return Ok(());
    }
    let answer: HashMap<_, _> =
        Tensor::read_safetensors(folder.path().join("answer.safetensors"))?.into_iter().collect();
    for name in ["resnet18", "mobilenet_v2"] {
        for extension in ["pth", "safetensors"] {
            let (vs, model) = if name == "resnet18" { resnet18()? } else { mobilenet_v2()? };
            load_weights(&vs, folder.path().join(format!("{name}.{extension}")))?;
            let logits = try_forward(&model, &answer["images"], false)?;
            let theirs = &answer[&format!("{name}.logits")];
            let difference = (&logits - theirs).abs().max().double_value(&[]);
            ensure!(difference < 1e-4, "{name}.{extension}: logits differ by {difference}");
        }
    }
    Ok(())
}

#[test]
fn frozen_stages_keep_their_statistics_unless_told_otherwise() -> Result<()> {
    let _alone = generator();
    let images = Tensor::rand([4, 3, 32, 32], (Kind::Float, Device::Cpu));
    let mean = |vs: &nn::VarStore, name: &str| vs.variables()[name].copy();
    for update in [false, true] {
        let (vs, mut model) = resnet18()?;
        train_only(&vs, &["layer4", "fc"])?;
        model.update_frozen_norm(update);
        let names = ["bn1.running_mean", "layer3.1.bn2.running_mean", "layer4.0.bn1.running_mean"];
        let before = names.map(|name| mean(&vs, name));
        try_forward(&model, &images, true)?.sum(Kind::Float).backward();
        let moved = [0, 1, 2].map(|i| mean(&vs, names[i]) != before[i]);
        assert_eq!(moved, [update, update, true]);
        let with_gradient =
            vs.variables().into_iter().filter(|(_, variable)| variable.grad().defined());
        for (name, _) in with_gradient {
            assert!(name.starts_with("layer4.") || name.starts_with("fc."), "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_head_learns_from_features_as_from_images() -> Result<()> {
    let _alone = generator();
    let digits = Mnist::generated(3, 40, 20)?;
    let plain = Compose::new().resize(32, 32).to_tensor().repeat_channels(3);
    let batches = digits.train.batches(20)?.transform(&plain);
    let train = || -> Result<(nn::VarStore, Backbone)> {
        tch::manual_seed(5);
        let (vs, model) = resnet18()?;
        train_only(&vs, &[model.head_name()])?;
        Ok((vs, model))
    };
    let (plain_vs, model) = train()?;
    fit(&model, &plain_vs, &batches).optimizer(Adam::new(1e-2)).epochs(3).report(Silent).run()?;
    let (fast_vs, model) = train()?;
    let features_of = |views| extract_features(&model.body(), &batches, views);
    let cached = features_of(1)?.batches(20)?;
    fit(&model.head(), &fast_vs, &cached)
        .optimizer(Adam::new(1e-2))
        .epochs(3)
        .report(Silent)
        .run()?;
    let weight = |vs: &nn::VarStore| vs.variables()["fc.weight"].copy();
    let difference = (weight(&plain_vs) - weight(&fast_vs)).abs().max().double_value(&[]);
    assert!(difference < 1e-4, "{difference}");
    assert_eq!(features_of(2)?.images().size(), [80, 512, 1, 1]);
    assert!(message(features_of(0)).contains("0 views"));
    // Activations keep their height and width.
    let (lower, upper) = model.split_before_last_stage();
    let activations = extract_features(&lower, &batches, 1)?;
    assert_eq!(activations.images().size(), [40, 256, 2, 2]);
    let logits = try_forward(&upper, activations.images(), false)?;
    let again = try_forward(&model.head(), features_of(1)?.images(), false)?;
    let difference = (&logits - &again).abs().max().double_value(&[]);
    assert!(difference < 1e-4, "{difference}");

    // Without random steps views are alike, with them they differ.
    let view = |split: &Split, view: i64| split.images().narrow(0, 40 * view, 40);
    let same = features_of(2)?;
    assert_eq!(view(&same, 0), view(&same, 1));
    let random = Compose::new().then(RandomRotation::new(20.0)).resize(32, 32).to_tensor();
    let random = digits.train.batches(20)?.transform(&random.repeat_channels(3));
    let different = extract_features(&model.body(), &random, 2)?;
    assert_ne!(view(&different, 0), view(&different, 1));
    Ok(())
}

#[test]
fn images_have_the_same_features_alone_and_among_others() -> Result<()> {
    let _alone = generator();
    let (_, model) = mobilenet_v2()?;
    let images = Tensor::rand([19, 3, 32, 32], (Kind::Float, Device::Cpu));
    let body = model.body();
    let together = try_forward(&body, &images, false)?;
    assert_eq!(together.size(), [19, 1280]);
    for index in 0..19 {
        let alone = try_forward(&body, &images.narrow(0, index, 1), false)?;
        let difference = (alone - together.narrow(0, index, 1)).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "image {index}: {difference}");
    }
    Ok(())
}

#[test]
fn wrong_input_of_a_backbone_is_refused() -> Result<()> {
    let _alone = generator();
    let (vs, model) = mobilenet_v2()?;
    assert_eq!(summary(&vs).total(), 2_223_872 + 12_810);
    let grey = Tensor::zeros([2, 1, 224, 224], (Kind::Float, Device::Cpu));
    assert!(message(try_forward(&model, &grey, false)).contains("expected Float [N, 3, H, W]"));
    let images = Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let one = images.narrow(0, 0, 1);
    assert!(message(try_forward(&model, &one, true)).contains("a single value"));
    assert!(try_forward(&model, &one, false).is_ok());
    assert!(message(model.split_after("layer4")).contains("there are features.0, "));
    let (lower, upper) = model.split_after("features")?;
    let activations = try_forward(&lower, &images, false)?;
    assert_eq!(activations.size(), [2, 1280, 1, 1]);
    let flat = activations.flatten(1, -1);
    assert!(message(try_forward(&upper, &flat, false)).contains("expected [N, C, h, w]"));
    for classes in [-1, 0, 65_537] {
        let root = nn::VarStore::new(Device::Cpu);
        for model in
            [Backbone::resnet18(root.root(), classes), Backbone::mobilenet_v2(root.root(), classes)]
        {
            assert!(message(model).contains("expected 1 to 65536"));
        }
    }
    let rows = Tensor::zeros([2, 7], (Kind::Float, Device::Cpu));
    assert!(
        message(try_forward(&model.head(), &rows, false))
            .contains("features Float [2, 7], expected Float [N, 1280]")
    );
    assert!(message(train_only(&vs, &["layer4"])).contains("no parameter is called layer4"));
    Ok(())
}

#[test]
fn the_parts_of_a_backbone_share_its_weights() -> Result<()> {
    let _alone = generator();
    let (vs, model) = resnet18()?;
    let images = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let (body, head) = (model.body(), model.head());
    let (lower, upper) = model.split_after("layer2")?;
    let check = || -> Result<Tensor> {
        let logits = try_forward(&model, &images, false)?;
        let features = try_forward(&body, &images, false)?;
        ensure!(try_forward(&head, &features, false)? == logits);
        let activations = try_forward(&lower, &images, false)?;
        ensure!(try_forward(&upper, &activations, false)? == logits);
        Ok(logits)
    };
    let before = check()?;
    tch::no_grad(|| vs.trainable_variables().iter_mut().for_each(|weight| *weight *= 1.1));
    assert_ne!(check()?, before);
    assert_eq!(model.last_stage(), ["layer4"]);
    train_only(&vs, &[model.last_stage(), &[model.head_name()]].concat())?;
    assert_eq!(summary(&vs).trainable(), 8_398_858);
    Ok(())
}
