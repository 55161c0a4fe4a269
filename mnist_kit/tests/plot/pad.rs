//! The digit pad: its HTML, its still picture, and the models that it refuses.

use crate::common::message;
use anyhow::Result;
use mnist_kit::model::{
    Activation, Cnn, DeepCnn, LeNet, Mlp, MlpConfig, ResidualBlock, depthwise_conv2d,
};
use mnist_kit::model::{Layer, Layers};
use mnist_kit::pad::digit_pad;
use mnist_kit::transform::{Compose, RandomRotation};
use std::path::Path;
use tch::{Device, nn};

struct Listed<F: Fn() -> Vec<Layer>>(F);

impl<F: Fn() -> Vec<Layer>> Layers for Listed<F> {
    fn layers(&self) -> Vec<Layer> {
        self.0()
    }
}

fn transform() -> Compose {
    Compose::new().to_tensor().normalize(0.5, 0.5)
}

#[test]
fn the_html_needs_nothing_from_outside() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let path = vs.root();
    let mlp = MlpConfig::default().activation(Activation::Tanh).dropout(0.5).build(&path / "a")?;
    let pads = [
        digit_pad(&mlp, &transform().flatten())?,
        digit_pad(&LeNet::new(&path / "b"), &transform())?.feature_maps()?,
        digit_pad(&Cnn::new(&path / "c"), &Compose::new().to_tensor())?,
    ];
    for pad in pads {
        let html = pad.to_html();
        for outside in ["http://", "https://", "import(", "fetch(", " src=\"/", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert_eq!(html.matches("<script>").count(), 1);
        assert_eq!(html.matches("</script>").count(), 1);
        assert!(html.contains("src=\"data:image/png;base64,iVBORw0KGgo"));
        // Another output has another name, also of the same pad.
        assert_ne!(html, pad.to_html());
        if let Some(folder) = std::env::var_os("MNIST_KIT_SAMPLES") {
            pad.figure().save(Path::new(&folder).join("pad_still.png"))?;
        }
    }
    Ok(())
}

#[test]
fn names_of_classes_cannot_end_the_script() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let pad = digit_pad(&Mlp::new(vs.root(), 20)?, &transform())?;
    let mut names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    names[2] = "\"quoted\" & </script><b>'bold'</b>".to_string();
    let pad = pad.class_names(names)?;
    let html = pad.to_html();
    assert_eq!(html.matches("</script>").count(), 1);
    assert!(html.contains(r#"\"quoted\" & \u003c/script>\u003cb>'bold'\u003c/b>"#));
    assert!(pad.figure().to_svg()?.contains("&quot;quoted&quot; &amp; "));
    let text = message(pad.class_names(["one", "two"]));
    assert!(text.contains("2 class names for 10 classes"), "{text}");
    Ok(())
}

#[test]
fn what_the_page_cannot_compute_is_refused() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let path = vs.root();
    let text = message(digit_pad(&DeepCnn::new(&path / "a"), &transform()));
    assert!(
        text.contains("the model has 1,379,557 weights, and a pad takes at most 500,000"),
        "{text}"
    );
    let text = message(digit_pad(&ResidualBlock::new(&path / "b", 1, 4, 1), &transform()));
    assert!(text.contains("the pad cannot compute the layer residual block"), "{text}");
    let depthwise = depthwise_conv2d(&path / "c", 4, 3);
    let text = message(digit_pad(&Listed(|| vec![Layer::from(&depthwise)]), &transform()));
    assert!(text.contains("the pad cannot compute the layer conv 3×3, 4 → 4, groups 4"), "{text}");
    let text = message(digit_pad(&Listed(|| vec![Layer::Relu]), &transform()));
    assert!(text.contains("the model returns Float [1, 1, 28, 28]"), "{text}");

    let model = Mlp::new(&path / "d", 20)?;
    let text = message(digit_pad(&model, &transform())?.feature_maps());
    assert!(text.contains("the model has no convolution"), "{text}");
    let text = message(digit_pad(&model, &Compose::new().resize(14, 14).to_tensor()));
    assert!(text.contains("the transform makes [1, 1, 14, 14] of one image"), "{text}");
    let text = message(digit_pad(&model, &Compose::new()));
    assert!(text.contains("the transform returns Uint8, expected Float"), "{text}");
    let random = Compose::new().then(RandomRotation::new(10.0)).to_tensor();
    let text = message(digit_pad(&model, &random));
    assert!(text.contains("random"), "{text}");
    model.layers().iter().for_each(|layer| {
        if let Layer::Linear { ws, .. } = layer {
            let _ = tch::no_grad(|| ws.shallow_clone().fill_(f64::NAN));
        }
    });
    let text = message(digit_pad(&model, &transform()));
    assert!(text.contains("the model's logits are not finite"), "{text}");
    Ok(())
}
