//! The layers that models list, applied one after another, are the models.

use crate::common::{assert_plain, message};
use anyhow::Result;
use mnist_kit::model::{
    Activation, Cnn, DeepCnn, FastCnn, Layer, Layers, LeNet, Mlp, MlpConfig, ResNet, ResidualBlock,
    StagedCnn, conv2d, depthwise_conv2d, summary,
};
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor, nn};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Checks a model's output and number of parameters.
fn check<M: Layers + ModuleT>(build: impl FnOnce(nn::Path) -> M, size: &[i64]) -> Result<()> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = build(vs.root());
    // Statistics that are not 0 and 1, so that BatchNorm does something.
    let _updated =
        tch::no_grad(|| model.forward_t(&Tensor::randn([&[8], &size[1..]].concat(), FLOAT), true));
    let images = Tensor::randn(size, FLOAT);
    let layers = model.layers();
    let output = layers.iter().try_fold(images.shallow_clone(), |x, layer| layer.forward(&x))?;
    let expected = model.forward_t(&images, false);
    assert!(output.allclose(&expected, 1e-5, 1e-5, false));
    let parameters: i64 = layers.iter().map(Layer::parameters).sum();
    assert_eq!(parameters, summary(&vs).total());
    Ok(())
}

#[test]
fn listed_layers_give_the_logits_of_their_model() -> Result<()> {
    let digits = [3, 1, 28, 28];
    check(|path| Mlp::new(path, 50).unwrap(), &digits)?;
    for activation in [Activation::Tanh, Activation::Sigmoid] {
        let config = MlpConfig::default().hidden([40, 30]).activation(activation).dropout(0.5);
        check(|path| config.build(path).unwrap(), &digits)?;
    }
    check(|path| LeNet::new(path), &digits)?;
    check(|path| Cnn::new(path), &digits)?;
    check(|path| DeepCnn::new(path), &digits)?;
    check(|path| FastCnn::new(path), &[3, 1, 24, 24])?;
    let channels = [vec![3, 4], vec![5], vec![6, 7]];
    check(|path| StagedCnn::new(path, &channels).unwrap(), &digits)?;
    check(|path| ResNet::new(path), &digits)?;
    check(|path| ResidualBlock::new(path, 4, 4, 1), &[3, 4, 28, 28])?;
    check(|path| ResidualBlock::new(path, 4, 6, 2), &[3, 4, 28, 28])
}

#[test]
fn a_layer_says_in_words_what_it_is() {
    let vs = nn::VarStore::new(Device::Cpu);
    let path = vs.root();
    let words = |layer: Layer| layer.to_string();
    assert_eq!(words((&conv2d(&path / "a", 1, 6, 5)).into()), "conv 5×5, 1 → 6");
    let strided = conv2d(&path / "b", 3, 6, 3).stride(2).padding(1);
    assert_eq!(words((&strided).into()), "conv 3×3, 3 → 6, stride 2, padding 1");
    let depthwise = depthwise_conv2d(&path / "c", 8, 3);
    assert_eq!(words((&depthwise).into()), "conv 3×3, 8 → 8, groups 8");
    assert_eq!(words(Layer::max_pool(2)), "max pool 2×2");
    assert_eq!(words(Activation::Tanh.into()), "tanh");
    assert_eq!(words(Layer::Dropout(0.5)), "dropout 0.5");
    let block = ResidualBlock::new(&path / "d", 64, 128, 2);
    assert_eq!(words((&block).into()), "residual block, 64 → 128, stride 2");
}

#[test]
fn a_layer_names_itself_where_the_input_does_not_fit() {
    let vs = nn::VarStore::new(Device::Cpu);
    let layer = Layer::from(&conv2d(vs.root(), 3, 6, 5));
    let result = layer.forward(&Tensor::zeros([1, 1, 28, 28], FLOAT));
    let text = message(result);
    assert!(
        text.contains("the layer conv 5×5, 3 → 6 cannot process Float [1, 1, 28, 28]"),
        "{text}"
    );
    assert_plain(&text);
}
