//! Networks made for ImageNet: their weights, their parts, and PyTorch's answers.

mod common;

use anyhow::{Context, Result, ensure};
use common::{generator, message, run_python};
use mnist_kit::data::{Mnist, Settings, Split};
use mnist_kit::model::{Backbone, features, summary, train_only, try_forward};
use mnist_kit::train::{Adam, Silent, fit};
use mnist_kit::transform::{Compose, RandomRotation};
use mnist_kit::weights::{load_pretrained, load_weights, save_weights};
use proptest::prelude::*;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn};

fn oracle(task: &str, folder: &Path) -> bool {
    run_python("oracle.py", &[task, &folder.display().to_string()])
}

fn resnet18() -> (nn::VarStore, Backbone) {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Backbone::resnet18(vs.root(), 10);
    (vs, model)
}

fn mobilenet_v2() -> (nn::VarStore, Backbone) {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Backbone::mobilenet_v2(vs.root(), 10);
    (vs, model)
}

#[test]
fn networks_answer_as_torchvisions() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    if !oracle("backbones", folder.path()) {
        return Ok(());
    }
    let answer: HashMap<_, _> =
        Tensor::read_safetensors(folder.path().join("answer.safetensors"))?.into_iter().collect();
    for (name, make) in
        [("resnet18", resnet18 as fn() -> (nn::VarStore, Backbone)), ("mobilenet_v2", mobilenet_v2)]
    {
        for extension in ["pth", "safetensors"] {
            let (vs, model) = make();
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
fn state_dicts_of_torch_save_are_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    if !oracle("state_dicts", folder.path()) {
        return Ok(());
    }
    let file = |name: &str| folder.path().join(name);
    let theirs = Tensor::read_safetensors(file("good.safetensors"))?;
    let vs = nn::VarStore::new(Device::Cpu);
    let mut variables = Vec::new();
    for (name, tensor) in &theirs {
        let mut variable = vs.root().zeros_no_train(name, &tensor.size());
        // A store keeps float32; what is read is converted.
        variable.set_data(&variable.to_kind(tensor.kind()));
        variables.push((name, variable, tensor));
    }
    load_weights(&vs, file("good.pth"))?;
    for (name, variable, tensor) in variables {
        assert_eq!(variable.to_kind(Kind::Double), tensor.to_kind(Kind::Double), "{name}");
    }
    let one = nn::VarStore::new(Device::Cpu);
    let _ = one.root().zeros("w", &[2, 3, 4]);
    load_weights(&one, file("parameter.pth"))?;

    for (name, expected) in [
        ("nested.pth", "model is no tensor; save model.state_dict() and nothing else"),
        ("module.pth", "refused"),
        ("old.pth", "neither a safetensors file nor a .pth file of PyTorch 1.6 or newer"),
    ] {
        let text = message(load_weights(&one, file(name)));
        assert!(text.contains(expected) && text.contains(name), "{text}");
    }
    // A file that was cut off, and one that changed on the way.
    let whole = std::fs::read(file("good.pth"))?;
    for length in [3, 30, whole.len() / 2, whole.len() - 1] {
        std::fs::write(file("cut.pth"), &whole[..length])?;
        assert!(load_weights(&vs, file("cut.pth")).is_err(), "{length} bytes");
    }
    let mut changed = whole.clone();
    for byte in changed.iter_mut().skip(60).step_by(97) {
        *byte ^= 0x55;
    }
    std::fs::write(file("changed.pth"), changed)?;
    assert!(load_weights(&vs, file("changed.pth")).is_err());
    Ok(())
}

#[test]
fn weights_that_do_not_fit_are_listed() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("weights.safetensors");
    let (vs, _) = resnet18();
    save_weights(&vs, &path)?;
    let (other, _) = mobilenet_v2();
    let text = message(load_weights(&other, &path));
    assert!(text.contains("missing features.0.0.weight [32, 3, 3, 3]"), "{text}");
    assert!(text.contains("extra layer4.1.conv2.weight [512, 512, 3, 3]"), "{text}");
    let wide = nn::VarStore::new(Device::Cpu);
    Backbone::resnet18(wide.root(), 1000);
    let text = message(load_weights(&wide, &path));
    assert!(text.contains("fc.bias has shape [10], expected [1000]"), "{text}");
    load_pretrained(&wide, &path, &["fc"])
}

#[test]
fn imagenet_weights_come_from_folder_cache_or_server() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let (vs, model) = mobilenet_v2();
    let offline = Settings {
        cache_dir: Some(folder.path().join("cache")),
        weights_dir: Some(folder.path().to_path_buf()),
        offline: true,
        ..Settings::default()
    };
    let text = message(model.load_imagenet_with(&vs, &offline));
    for part in ["no ImageNet weights for MobileNetV2", "no mobilenet_v2….pth", "switched off"] {
        assert!(text.contains(part), "{text}");
    }
    // A folder's file may have another name, and need not have the head.
    let other = nn::VarStore::new(Device::Cpu);
    Backbone::mobilenet_v2(other.root(), 1000);
    let path = folder.path().join("mobilenet_v2_mine.safetensors");
    save_weights(&other, &path)?;
    let found = model.load_imagenet_with(&vs, &offline)?;
    assert_eq!(Path::new(&found), path);
    let weight = |vs: &nn::VarStore| vs.variables()["features.18.0.weight"].copy();
    assert_eq!(weight(&vs), weight(&other));

    // A server whose file is not the published one, by its first digits.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/models/", listener.local_addr()?);
    let asked = std::thread::spawn(move || -> Result<String> {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0; 1000];
        let length = stream.read(&mut request)?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfake")?;
        Ok(String::from_utf8_lossy(&request[..length]).into_owned())
    });
    let (vs, resnet) = resnet18();
    let online = Settings { offline: false, weights_mirrors: vec![url], ..offline };
    let text = message(resnet.load_imagenet_with(&vs, &online));
    assert!(text.contains("not the published content, by its SHA-256 sum"), "{text}");
    let request = asked.join().expect("the server ends")?;
    assert!(request.starts_with("GET /models/resnet18-f37072fd.pth "), "{request}");
    assert_eq!(
        std::fs::read_dir(folder.path().join("cache/weights"))?.count(),
        1,
        "the lock alone"
    );
    Ok(())
}

#[test]
fn frozen_stages_keep_their_statistics_unless_told_otherwise() -> Result<()> {
    let _alone = generator();
    let images = Tensor::rand([4, 3, 32, 32], (Kind::Float, Device::Cpu));
    let mean = |vs: &nn::VarStore, name: &str| vs.variables()[name].copy();
    for update in [false, true] {
        let (vs, mut model) = resnet18();
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
        let (vs, model) = resnet18();
        train_only(&vs, &[model.head_name()])?;
        Ok((vs, model))
    };
    let (plain_vs, model) = train()?;
    fit(&model, &plain_vs, &batches).optimizer(Adam::new(1e-2)).epochs(3).report(Silent).run()?;
    let (fast_vs, model) = train()?;
    let features_of = |views| features(&model, &batches, views);
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

    // Without random steps views are alike, with them they differ.
    let view = |split: &Split, view: i64| split.images().narrow(0, 40 * view, 40);
    let same = features_of(2)?;
    assert_eq!(view(&same, 0), view(&same, 1));
    let random = Compose::new().then(RandomRotation::new(20.0)).resize(32, 32).to_tensor();
    let random = digits.train.batches(20)?.transform(&random.repeat_channels(3));
    let different = features(&model, &random, 2)?;
    assert_ne!(view(&different, 0), view(&different, 1));
    Ok(())
}

#[test]
fn images_have_the_same_features_alone_and_among_others() -> Result<()> {
    let _alone = generator();
    let (_, model) = mobilenet_v2();
    let images = Tensor::rand([19, 3, 32, 32], (Kind::Float, Device::Cpu));
    let together = model.features(&images, false)?;
    assert_eq!(together.size(), [19, 1280]);
    for index in 0..19 {
        let alone = model.features(&images.narrow(0, index, 1), false)?;
        let difference = (alone - together.narrow(0, index, 1)).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "image {index}: {difference}");
    }
    Ok(())
}

#[test]
fn what_a_backbone_cannot_take_is_refused() -> Result<()> {
    let _alone = generator();
    let (vs, model) = mobilenet_v2();
    assert_eq!(summary(&vs).total(), 2_223_872 + 12_810);
    let grey = Tensor::zeros([2, 1, 224, 224], (Kind::Float, Device::Cpu));
    assert!(message(try_forward(&model, &grey, false)).contains("expected Float [N, 3, H, W]"));
    let images = Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let one = images.narrow(0, 0, 1);
    assert!(message(try_forward(&model, &one, true)).contains("a single value"));
    assert!(try_forward(&model, &one, false).is_ok());
    assert!(message(model.activations(&images, "layer4")).contains("there are features.0, "));
    assert_eq!(model.activations(&images, "features")?.size(), [2, 1280, 1, 1]);
    let rows = Tensor::zeros([2, 7], (Kind::Float, Device::Cpu));
    assert!(message(try_forward(&model.head(), &rows, false)).contains("features of shape [2, 7]"));
    assert!(message(train_only(&vs, &["layer4"])).contains("no parameter is called layer4"));
    Ok(())
}

/// A split whose image number `i` has the value `i` in its pixel.
fn labelled(labels: &[i64]) -> Result<Split> {
    let images = Tensor::arange(labels.len() as i64, (Kind::Uint8, Device::Cpu));
    Split::new("all", images.view([-1, 1, 1, 1]), Tensor::from_slice(labels), 4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn stratified_parts_are_disjoint_exact_and_in_proportion(
        counts in proptest::array::uniform4(8_usize..50),
        first in 8_usize..40,
        seed: u64,
    ) {
        let labels: Vec<i64> = (0..4).flat_map(|c| vec![c; counts[c as usize]]).collect();
        let total = labels.len();
        let all = labelled(&labels).unwrap();
        let Ok(parts) = all.stratified(&[("a", first), ("b", 8)], seed) else {
            // Only where a class is too small for its shares.
            let smallest = *counts.iter().min().unwrap() as f64 / total as f64;
            prop_assert!(smallest * 8.0 < 1.0 || first + 8 + 4 > total);
            return Ok(());
        };
        let mut seen = Vec::new();
        for (part, size) in parts.iter().zip([first, 8]) {
            prop_assert_eq!(part.len(), size);
            let found = part.class_counts().unwrap();
            for (class, &count) in found.counts().iter().enumerate() {
                let exact = size as f64 * counts[class] as f64 / total as f64;
                prop_assert!((count as f64 - exact).abs() < 1.0);
            }
            seen.extend(Vec::<u8>::try_from(part.images().flatten(0, -1)).unwrap());
        }
        let drawn = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), drawn, "an image in two parts");
        let again = all.stratified(&[("a", first), ("b", 8)], seed).unwrap();
        prop_assert_eq!(again[0].images(), parts[0].images());
    }
}

#[test]
fn a_class_with_too_few_images_is_named() -> Result<()> {
    let labels: Vec<i64> = (0..40).map(|i| i64::from(i > 0) + i64::from(i > 1)).collect();
    let all = labelled(&labels)?;
    let text = message(all.stratified(&[("train", 20), ("validation", 10)], 1));
    assert!(text.contains("class 1 has 1 images"), "{text}");
    let text = message(all.stratified(&[("train", 41)], 1)).to_string();
    assert!(text.contains("no more than there are"), "{text}");
    all.stratified(&[("train", 40)], 1).map(drop).context("all of them")
}
