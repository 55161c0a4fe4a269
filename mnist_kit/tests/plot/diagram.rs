//! Diagrams of networks: what they say, and what they refuse.

use crate::common::message;
use anyhow::Result;
use mnist_kit::figure::Figure;
use mnist_kit::model::{
    Activation, Cnn, DeepCnn, Layer, Layers, LeNet, Mlp, MlpConfig, ResNet, ResidualBlock,
};
use mnist_kit::plot::network_diagram;
use std::path::Path;
use tch::{Device, nn};

/// A diagram of each model, with a name.
fn diagrams() -> Result<Vec<(&'static str, Figure)>> {
    let vs = nn::VarStore::new(Device::Cpu);
    let path = vs.root();
    let digit = [1, 28, 28];
    let deep = MlpConfig::default()
        .hidden([200, 100, 50])
        .activation(Activation::Sigmoid)
        .dropout(0.25)
        .build(&path / "a")?;
    Ok(vec![
        ("mlp", network_diagram(&Mlp::new(&path / "b", 100)?, &digit)?),
        ("deep_mlp", network_diagram(&deep, &[784])?),
        ("lenet", network_diagram(&LeNet::new(&path / "c"), &digit)?),
        ("cnn", network_diagram(&Cnn::new(&path / "d"), &digit)?),
        ("deep_cnn", network_diagram(&DeepCnn::new(&path / "e"), &digit)?),
        ("resnet", network_diagram(&ResNet::new(&path / "f"), &digit)?),
        ("block", network_diagram(&ResidualBlock::new(&path / "g", 64, 64, 1), &[64, 28, 28])?),
        ("strided", network_diagram(&ResidualBlock::new(&path / "h", 64, 128, 2), &[64, 28, 28])?),
    ])
}

#[test]
fn diagrams_have_names_counts_and_shapes() -> Result<()> {
    let expected: [(&str, &[&str]); 8] = [
        ("mlp", &["input", "784 → 100", "78,500 parameters", "ReLU", "[10]", "79,510 parameters"]),
        ("deep_mlp", &["[784]", "sigmoid", "dropout 0.25", "50 → 10"]),
        ("lenet", &["conv 5×5", "1 → 6", "[6, 24, 24]", "[16, 4, 4]", "[256]", "flatten"]),
        ("cnn", &["32 → 64", "padding 1", "[64, 7, 7]", "[3136]", "50,186 parameters"]),
        ("deep_cnn", &["max pool 2×2", "[128, 4, 4]", "dropout 0.5", "1,379,557 parameters"]),
        ("resnet", &["residual block", "stride 2", "[512, 4, 4]", "average pool", "512 → 10"]),
        ("block", &["BatchNorm", "shortcut", "+", "[64, 28, 28]"]),
        ("strided", &["conv 1×1, 64 → 128, stride 2, BatchNorm", "[128, 14, 14]"]),
    ];
    for ((name, figure), (expected_name, words)) in diagrams()?.iter().zip(expected) {
        assert_eq!(*name, expected_name);
        let svg = figure.to_svg()?;
        for word in words {
            assert!(svg.contains(&format!(">{word}<")), "{name} lacks {word:?}: {svg}");
        }
        assert!(!svg.contains('…'), "{name}: a text is cut off");
        assert!(figure.to_png()?.starts_with(b"\x89PNG"));
        if let Some(folder) = std::env::var_os("MNIST_KIT_SAMPLES") {
            figure.save(Path::new(&folder).join(format!("diagram_{name}.png")))?;
        }
    }
    Ok(())
}

#[test]
fn a_narrow_diagram_has_more_rows_and_a_tiny_one_is_refused() -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let figure = network_diagram(&LeNet::new(vs.root()), &[1, 28, 28])?;
    assert!(figure.size(400, 900).to_svg()?.contains("84 → 10"));
    let text = message(figure.size(300, 200).to_svg());
    assert!(text.contains("no room for the diagram, which needs"), "{text}");
    Ok(())
}

#[test]
fn layers_that_do_not_fit_are_named() {
    struct Wrong(nn::Linear);
    impl Layers for Wrong {
        fn layers(&self) -> Vec<Layer> {
            vec![Layer::Flatten, Layer::from(&self.0)]
        }
    }
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Wrong(mnist_kit::model::linear(vs.root(), 100, 10));
    let text = message(network_diagram(&model, &[1, 28, 28]));
    assert!(
        text.contains("layer 2: the layer linear, 100 → 10 cannot process Float [1, 784]"),
        "{text}"
    );
    let text = message(network_diagram(&model, &[]));
    assert!(text.contains("the input shape is []"), "{text}");
}
