//! Kernels of a convolution.

use super::grid::item_grid;
use super::item::GridItem;
use crate::Result;
use crate::figure::Figure;
use anyhow::{Context, ensure};
use tch::Tensor;

/// Most kernels in a row.
const PER_ROW: i64 = 8;

/// Plots the kernels of a convolution on a scale around 0: negative weights are blue, 0 is white and
/// positive weights are orange. The color bar reaches as far as the largest absolute weight.
///
/// # Shapes
/// `weights` `[out, in, H, W]` or `[N, H, W]`, float. With several input channels, each row shows
/// the kernels of one output channel, titled "output, input".
///
/// # Errors
/// Another shape or dtype, a weight that is not finite, or more than 10,000 kernels.
///
/// ```
/// use mnist_kit::{model::LeNet, plot::kernel_grid};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _model = LeNet::new(vs.root());
/// let weights = &vs.variables()["conv1.weight"];
/// let figure = kernel_grid(weights)?.title("The first layer before training");
/// assert!(figure.to_svg()?.contains("kernel 5"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn kernel_grid(weights: &Tensor) -> Result<Figure> {
    kernel_grids(&[("", weights)])
}

/// Plots the kernels of several convolutions below each other on one scale, such as those of a layer
/// before and after training.
///
/// The name of each is written above its kernels; see [`kernel_grid`] for colors and shapes.
///
/// # Errors
/// Those of [`kernel_grid`], and no weights, or different numbers of kernels.
///
/// ```
/// use mnist_kit::plot::kernel_grids;
/// use tch::{Device, Kind, Tensor};
///
/// let before = Tensor::randn([6, 1, 5, 5], (Kind::Float, Device::Cpu));
/// let after = &before * 2.0;
/// let figure = kernel_grids(&[("before training", &before), ("after training", &after)])?;
/// assert!(figure.to_svg()?.contains("after training"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn kernel_grids(named: &[(&str, &Tensor)]) -> Result<Figure> {
    let (_, first) = named.first().context("no weights to show; name at least one tensor")?;
    let (count, channels) = layout(first)?;
    let columns = if channels > 1 { channels } else { count.min(PER_ROW) };
    let rows = (count + columns - 1) / columns;
    let mut items = Vec::new();
    for (name, weights) in named {
        ensure!(
            layout(weights)? == (count, channels),
            "the weights {name:?} are {:?}, the first ones {:?}; expected as many kernels in each",
            weights.size(),
            first.size()
        );
        let size = weights.size();
        let kernels = weights.f_reshape([count, size[size.len() - 2], size[size.len() - 1]])?;
        for index in 0..count {
            let title = if channels > 1 {
                format!("{}, {}", index / channels, index % channels)
            } else {
                format!("kernel {index}")
            };
            let title = if name.is_empty() { title } else { format!("{title}\n{name}") };
            items.push(GridItem::signed(&kernels.f_get(index)?, title)?);
        }
        items.extend((count..rows * columns).map(|_| GridItem::empty()));
    }
    item_grid(&items, rows as usize * named.len(), columns as usize)
}

/// Returns the number of kernels and of input channels.
fn layout(weights: &Tensor) -> Result<(i64, i64)> {
    let (count, channels) = match weights.size()[..] {
        [output, input, _, _] => (output.saturating_mul(input), input),
        [count, _, _] => (count, 1),
        _ => (0, 0),
    };
    ensure!(
        (1..=10_000).contains(&count),
        "the weights are {:?} {:?}, expected Float [out, in, H, W] with 1 to 10,000 kernels",
        weights.kind(),
        weights.size()
    );
    Ok((count, channels))
}
