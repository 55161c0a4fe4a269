//! State dicts of PyTorch, and files that do not fit.

use crate::common::{generator, message, run_python};
use anyhow::Result;
use mnist_kit::model::{Backbone, Mlp, MlpConfig};
use mnist_kit::weights::{load_pretrained, load_weights, save_weights};
use tch::{Device, Kind, Tensor, nn};

#[test]
fn state_dicts_of_torch_save_are_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    if !run_python("oracle.py", &["state_dicts", &folder.path().display().to_string()]) {
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
    // The second one in the format before PyTorch 1.6.
    for written in ["good.pth", "old.pth"] {
        load_weights(&vs, file(written))?;
        for (name, variable, tensor) in &variables {
            assert_eq!(variable.to_kind(Kind::Double), tensor.to_kind(Kind::Double), "{name}");
            let _ = tch::no_grad(|| variable.shallow_clone().zero_());
        }
    }
    let one = nn::VarStore::new(Device::Cpu);
    let _ = one.root().zeros("w", &[2, 3, 4]);
    load_weights(&one, file("parameter.pth"))?;

    for (name, expected) in [
        ("nested.pth", "model is not a tensor; save model.state_dict() and nothing else"),
        ("module.pth", "refused"),
    ] {
        let text = message(load_weights(&one, file(name)));
        assert!(text.contains(expected) && text.contains(name), "{text}");
    }
    // A file that was cut off, and one that changed on the way.
    for written in ["old.pth", "good.pth"] {
        let whole = std::fs::read(file(written))?;
        for length in [3, 30, whole.len() / 2, whole.len() - 1] {
            std::fs::write(file("cut.pth"), &whole[..length])?;
            assert!(load_weights(&vs, file("cut.pth")).is_err(), "{written}, {length} bytes");
        }
    }
    let whole = std::fs::read(file("good.pth"))?;
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
    let vs = nn::VarStore::new(Device::Cpu);
    Backbone::resnet18(vs.root(), 10)?;
    save_weights(&vs, &path)?;
    let other = nn::VarStore::new(Device::Cpu);
    Backbone::mobilenet_v2(other.root(), 10)?;
    let text = message(load_weights(&other, &path));
    assert!(text.contains("missing features.0.0.weight [32, 3, 3, 3]"), "{text}");
    assert!(text.contains("; and 304 more; extra bn1.bias [64]"), "{text}");
    assert!(text.len() < 2_000, "{text}");
    let wide = nn::VarStore::new(Device::Cpu);
    Backbone::resnet18(wide.root(), 1000)?;
    let text = message(load_weights(&wide, &path));
    assert!(text.contains("fc.bias has shape [10], expected [1000]"), "{text}");
    load_pretrained(&wide, &path, &["fc"])
}

#[test]
fn weights_that_do_not_fit_are_listed_and_change_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("runs").join("weights.safetensors");
    let small = nn::VarStore::new(Device::Cpu);
    MlpConfig::default().hidden([50, 20]).build(small.root())?;
    save_weights(&small, &path)?;
    let vs = nn::VarStore::new(Device::Cpu);
    Mlp::new(vs.root(), 100)?;
    let before = vs.variables()["layers.2.bias"].copy();
    let wrong = message(load_weights(&vs, &path));
    assert!(wrong.contains("layers.0.weight has shape [50, 784], expected [100, 784]"), "{wrong}");
    assert!(wrong.contains("extra layers.4.weight [10, 20]"), "{wrong}");
    assert_eq!(before, vs.variables()["layers.2.bias"]);
    let wrong = message(load_weights(&small, folder.path().join("nothing.safetensors")));
    assert!(wrong.contains("nothing.safetensors"), "{wrong}");
    let bytes = std::fs::read(&path)?;
    for cut in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut])?;
        assert!(
            message(load_weights(&small, &path))
                .contains("neither a safetensors file nor a .pth file")
        );
    }
    Ok(())
}
