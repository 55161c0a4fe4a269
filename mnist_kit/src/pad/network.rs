//! A model in the form that the page computes.

use crate::Result;
use crate::check::{describe, is_floating};
use crate::infer::SIZE;
use crate::model::{Layer, device};
use crate::table::thousands;
use crate::transform::Compose;
use anyhow::{Context, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// The most weights of a model in a page: 2.7 MB in base64. Jupyter drops an output above 3 MB.
const MOST_WEIGHTS: i64 = 500_000;

#[derive(Debug)]
pub(super) struct Network {
    pub classes: usize,
    /// The transform's values for the levels 0 to 255, as base64 of float32.
    pub levels: String,
    /// The shape of one transformed image.
    pub input: Vec<i64>,
    /// The layers as the script reads them.
    pub layers: Vec<Value>,
    /// The place in `layers` whose output are the feature maps of the first convolution.
    pub maps: Option<usize>,
    model: Vec<Layer>,
    transform: Compose,
}

impl Network {
    pub fn new(model: Vec<Layer>, transform: &Compose) -> Result<Network> {
        let weights: i64 = model.iter().map(Layer::parameters).sum();
        ensure!(
            weights <= MOST_WEIGHTS,
            "the model has {} weights, and a pad takes at most {}, as Jupyter drops larger outputs; \
             use a smaller model",
            thousands(weights),
            thousands(MOST_WEIGHTS)
        );
        let layers: Vec<Value> = model
            .iter()
            .filter(|layer| !matches!(layer, Layer::Dropout(_)))
            .map(description)
            .collect::<Result<_>>()?;
        let convolution = layers.iter().position(|layer| layer["kind"] == "conv2d");
        let maps = convolution.map(|place| {
            let next = layers.get(place + 1).map(|layer| &layer["kind"]);
            let activated = next
                .is_some_and(|kind| ["relu", "tanh", "sigmoid"].iter().any(|name| kind == name));
            if activated { place + 1 } else { place }
        });
        let (levels, input) = levels(transform)?;
        let transform = transform.clone();
        let mut network = Network { classes: 0, levels, input, layers, maps, model, transform };
        let black = Tensor::f_zeros([1, 1, SIZE.into(), SIZE.into()], (Kind::Uint8, Device::Cpu))?;
        network.classes = network.logits(&black)?.size2()?.1 as usize;
        Ok(network)
    }

    /// The logits `[1, classes]` for uint8 pixels `[1, 1, 28, 28]`.
    pub fn logits(&self, pixels: &Tensor) -> Result<Tensor> {
        let input = self.transform.apply(pixels)?.f_to_device(device(&self.model))?;
        let logits = self.model.iter().try_fold(input, |x, layer| layer.forward(&x))?;
        ensure!(
            matches!(logits.size()[..], [1, 2..=1000]) && is_floating(logits.kind()),
            "the model returns {} for one image, expected Float [1, classes] with 2 to 1,000 classes",
            describe(&logits)
        );
        ensure!(
            bool::try_from(logits.f_isfinite()?.f_all()?)?,
            "the model's logits are not finite; train it again with a smaller learning rate"
        );
        Ok(logits.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?)
    }
}

/// Applies the transform to every level, and checks that it treats each pixel by itself.
fn levels(transform: &Compose) -> Result<(String, Vec<i64>)> {
    let size = i64::from(SIZE);
    let ramp = Tensor::f_arange(size * size, (Kind::Int64, Device::Cpu))?.f_remainder(256)?;
    let forward = ramp.f_to_kind(Kind::Uint8)?.f_view([1, 1, size, size])?;
    let backward = forward.f_flip([3])?;
    let [there, back] = [&forward, &backward].map(|images| transform.apply(images));
    let (there, back) = (there?, back?);
    let pixels = |x: &Tensor| -> Result<Tensor> { Ok(x.f_view([size, size])?) };
    let shape = there.size();
    ensure!(
        shape == [1, 1, size, size] || shape == [1, size * size],
        "the transform makes {shape:?} of one image, expected [1, 1, {size}, {size}] or [1, {}]; \
         leave out steps that change the size or the channels",
        size * size
    );
    ensure!(
        there.kind() == Kind::Float,
        "the transform returns {:?}, expected Float; put to_tensor into it",
        there.kind()
    );
    ensure!(
        pixels(&there)?.f_equal(&pixels(&back)?.f_flip([1])?)?,
        "the transform mixes pixels; the pad takes to_tensor, normalize and flatten"
    );
    Ok((floats(&there.f_flatten(0, -1)?.f_narrow(0, 0, 256)?)?, shape[1..].to_vec()))
}

/// A layer as the script reads it.
fn description(layer: &Layer) -> Result<Value> {
    let bias = |bs: &Option<Tensor>| bs.as_ref().map(floats).transpose();
    Ok(match layer {
        Layer::Linear { ws, bs } => {
            let (outputs, inputs) = ws.size2().context("the weight of a linear layer")?;
            json!({
                "kind": "linear",
                "inputs": inputs,
                "outputs": outputs,
                "weight": floats(ws)?,
                "bias": bias(bs)?,
            })
        }
        Layer::Conv2d { ws, bs, stride, padding, groups: 1 } => {
            let (outputs, inputs, height, width) =
                ws.size4().context("the weight of a convolution")?;
            json!({
                "kind": "conv2d",
                "inputs": inputs,
                "outputs": outputs,
                "kernel": [height, width],
                "stride": stride,
                "padding": padding,
                "weight": floats(ws)?,
                "bias": bias(bs)?,
            })
        }
        Layer::Relu => json!({ "kind": "relu" }),
        Layer::Tanh => json!({ "kind": "tanh" }),
        Layer::Sigmoid => json!({ "kind": "sigmoid" }),
        Layer::MaxPool2d { kernel, stride, padding } => {
            json!({ "kind": "maxPool", "kernel": kernel, "stride": stride, "padding": padding })
        }
        Layer::Flatten => json!({ "kind": "flatten" }),
        other => bail!(
            "the pad cannot compute the layer {other} in a page; it can compute linear layers, \
             convolutions, ReLU, tanh, sigmoid, max pooling, flattening and dropout"
        ),
    })
}

/// The values of a tensor as base64 of float32, little-endian.
fn floats(tensor: &Tensor) -> Result<String> {
    let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    let values = Vec::<f32>::try_from(flat.f_contiguous()?.f_flatten(0, -1)?)?;
    let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    Ok(BASE64_STANDARD.encode(bytes))
}
