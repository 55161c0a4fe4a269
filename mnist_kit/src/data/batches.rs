//! Batches of a split, transformed.

use super::Split;
use crate::Result;
use crate::transform::Compose;
use anyhow::{Context, ensure};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// Batches of a split, made by [`Split::batches`].
///
/// A loop over `&batches` gives the first epoch; [`epoch`](Batches::epoch) gives any.
///
/// ```
/// use mnist_kit::data::Mnist;
/// use mnist_kit::transform::Compose;
///
/// let digits = Mnist::generated(7, 100, 10)?;
/// let transform = Compose::new().to_tensor().normalize(0.1307, 0.3081);
/// let batches = digits.train.batches(64)?.transform(&transform).shuffle(42);
/// assert_eq!(batches.len(), 2);
/// for batch in &batches {
///     let (images, labels) = batch?;
///     assert_eq!(images.size()[1..], [1, 28, 28]);
///     assert_eq!(images.size()[0], labels.size()[0]);
/// }
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    split: Split,
    batch_size: usize,
    transform: Compose,
    shuffle: Option<u64>,
    drop_last: bool,
    device: Device,
}

/// Everything that decides the contents of the batches of every epoch, but for the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BatchesDescription {
    /// SHA-256 of images and labels: dtypes, shapes and values.
    pub data_sha256: String,
    pub images: usize,
    pub class_names: Vec<String>,
    pub batch_size: usize,
    pub transform: Compose,
    pub shuffle_seed: Option<u64>,
    pub drop_last: bool,
}

impl Split {
    /// Cuts the split into batches.
    ///
    /// Images keep their order and are on the CPU as they are stored, and the last batch may be
    /// smaller; the methods of [`Batches`] change that.
    ///
    /// # Errors
    /// When `batch_size` is 0.
    pub fn batches(&self, batch_size: usize) -> Result<Batches> {
        ensure!(batch_size > 0, "batch size 0: a batch holds at least one image");
        Ok(Batches {
            split: self.clone(),
            batch_size,
            transform: Compose::new(),
            shuffle: None,
            drop_last: false,
            device: Device::Cpu,
        })
    }
}

impl Batches {
    /// Sets the transform of every batch. Defaults to none.
    pub fn transform(mut self, transform: &Compose) -> Batches {
        self.transform = transform.clone();
        self
    }

    /// Shuffles the images in each epoch. The order and the random parameters of the transform
    /// depend on the seed and the epoch only.
    pub fn shuffle(mut self, seed: u64) -> Batches {
        self.shuffle = Some(seed);
        self
    }

    /// Drops the last batch if it is smaller than the others. Defaults to false.
    pub fn drop_last(mut self, drop_last: bool) -> Batches {
        self.drop_last = drop_last;
        self
    }

    /// Moves each batch to this device before it is transformed. Defaults to the CPU.
    pub fn device(mut self, device: Device) -> Batches {
        self.device = device;
        self
    }

    /// Returns the batches in the order of the split, the last one included, for evaluation.
    pub fn in_order(&self) -> Batches {
        Batches { shuffle: None, drop_last: false, ..self.clone() }
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        if self.drop_last {
            self.split.len() / self.batch_size
        } else {
            self.split.len().div_ceil(self.batch_size)
        }
    }

    /// Returns true if an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of images in a full batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The split of the batches.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// A seed for everything else that is random in an epoch, such as dropout. It depends on the
    /// seed of [`shuffle`](Batches::shuffle) and the epoch only.
    pub fn epoch_seed(&self, epoch: usize) -> i64 {
        epoch_rng(self.shuffle.unwrap_or_default(), epoch).random()
    }

    /// Describes everything that decides the contents of the batches.
    ///
    /// Hashing the images takes a fraction of a second for MNIST.
    pub(crate) fn description(&self) -> Result<BatchesDescription> {
        Ok(BatchesDescription {
            data_sha256: self.split.digest()?,
            images: self.split.len(),
            class_names: self.split.class_names().to_vec(),
            batch_size: self.batch_size,
            transform: self.transform.clone(),
            shuffle_seed: self.shuffle,
            drop_last: self.drop_last,
        })
    }

    /// Two fixed images and their labels, transformed as in the first epoch.
    pub(crate) fn probe(&self) -> Result<(Tensor, Tensor)> {
        Batches { split: self.split.head(2), batch_size: 2, ..self.in_order() }.first()
    }

    /// Returns the batches of one epoch, counted from 1.
    ///
    /// Each item is `(images, labels)`: the transformed images, and labels `[B]` int64. An item is
    /// an error if the transform cannot take the images.
    pub fn epoch(&self, epoch: usize) -> Epoch {
        let mut rng = epoch_rng(self.shuffle.unwrap_or_default(), epoch);
        let transform_seed = rng.random();
        let order = self.shuffle.map(|_| {
            let mut order: Vec<i64> = (0..self.split.len() as i64).collect();
            order.shuffle(&mut rng);
            Tensor::from_slice(&order)
        });
        Epoch { batches: self.clone(), order, transform_seed, next: 0 }
    }

    /// Returns the first batch of the first epoch, to look at shapes.
    ///
    /// # Errors
    /// When there is no batch, or the transform cannot take the images.
    pub fn first(&self) -> Result<(Tensor, Tensor)> {
        self.epoch(1).next().with_context(|| {
            format!(
                "{}: no batch of {} among {} images",
                self.split.name(),
                self.batch_size,
                self.split.len()
            )
        })?
    }
}

/// Iterates over the first epoch.
impl IntoIterator for &Batches {
    type Item = Result<(Tensor, Tensor)>;
    type IntoIter = Epoch;

    fn into_iter(self) -> Epoch {
        self.epoch(1)
    }
}

/// Makes a generator that depends on the seed and the epoch only, so that a run can resume at any
/// epoch.
fn epoch_rng(seed: u64, epoch: usize) -> impl Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    rng
}

/// An iterator over the batches of one epoch, made by [`Batches::epoch`].
#[derive(Debug)]
pub struct Epoch {
    batches: Batches,
    order: Option<Tensor>,
    transform_seed: u64,
    next: usize,
}

impl Epoch {
    fn batch(&self, index: usize) -> Result<(Tensor, Tensor)> {
        let Batches { split, batch_size, transform, device, .. } = &self.batches;
        let start = index * batch_size;
        let length = (*batch_size).min(split.len() - start);
        let (start, length) = (start as i64, length as i64);
        let (images, labels) = match &self.order {
            Some(order) => {
                let order =
                    order.f_narrow(0, start, length)?.f_to_device(split.images().device())?;
                (
                    split.images().f_index_select(0, &order)?,
                    split.labels().f_index_select(0, &order)?,
                )
            }
            None => (
                split.images().f_narrow(0, start, length)?,
                split.labels().f_narrow(0, start, length)?,
            ),
        };
        let seed = self.transform_seed.wrapping_add(index as u64);
        let images = transform.apply_seeded(&images.f_to_device(*device)?, seed)?;
        let images = if *device == Device::Cpu { channels_last(images)? } else { images };
        Ok((images, labels.f_to_device(*device)?))
    }
}

/// Stores images with their channels last in memory; shape and values stay.
///
/// libtorch's convolutions and pools keep the memory layout of their input, and on a CPU they are
/// faster with this one: the networks of lesson 3 train a fifth to a half faster.
fn channels_last(images: Tensor) -> Result<Tensor> {
    let [count, channels, height, width] = images.size()[..] else { return Ok(images) };
    let rows = images.f_permute([0, 2, 3, 1])?.f_contiguous()?;
    // With one channel the values stay in place, and only the strides tell the layouts apart.
    // Viewed from a flat row of numbers, the strides are those of the new layout.
    let rows = rows.f_view([-1])?.f_view([count, height, width, channels])?;
    Ok(rows.f_permute([0, 3, 1, 2])?)
}

impl Iterator for Epoch {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.next < self.batches.len()).then(|| {
            self.next += 1;
            self.batch(self.next - 1)
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batches.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Epoch {}
