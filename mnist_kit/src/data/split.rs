//! Images and labels of one split.

use super::download::hex;
use super::set::label_outside;
use crate::Result;
use crate::check::describe;
use crate::table::{Table, thousands};
use anyhow::{bail, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// The largest number of classes; each has a name in memory.
const MAX_CLASSES: i64 = 100_000;

/// The number of images that are hashed at a time, which bounds the memory for it.
const HASHED_AT_ONCE: i64 = 1024;

/// Images and labels of one split (train or test), resident in memory.
///
/// Cloning is cheap: the tensors are shared, not copied.
#[derive(Debug)]
pub struct Split {
    name: String,
    images: Tensor,
    labels: Tensor,
    class_names: Arc<[String]>,
    note: Option<String>,
}

impl Clone for Split {
    fn clone(&self) -> Split {
        Split {
            name: self.name.clone(),
            images: self.images.shallow_clone(),
            labels: self.labels.shallow_clone(),
            class_names: self.class_names.clone(),
            note: self.note.clone(),
        }
    }
}

impl Split {
    /// Makes a split of tensors. The classes are named "0", "1", … in the order of the labels; see
    /// [`with_class_names`](Split::with_class_names).
    ///
    /// # Shapes
    /// `images` `[N, C, H, W]`, uint8 pixels, or float32 for features that a model computed;
    /// `labels` `[N]`, int64 in `0..num_classes`.
    ///
    /// # Errors
    /// When a shape or dtype is another, the lengths differ, a label is out of range, or there are
    /// more than 100,000 classes.
    pub fn new(name: &str, images: Tensor, labels: Tensor, num_classes: i64) -> Result<Split> {
        ensure!(
            (0..=MAX_CLASSES).contains(&num_classes),
            "{name}: {num_classes} classes, expected 0 to {MAX_CLASSES}"
        );
        let class_names = (0..num_classes).map(|class| class.to_string()).collect();
        Split { name: name.to_string(), images, labels, class_names, note: None }.checked()
    }

    /// The split, if its tensors fit each other and the classes.
    fn checked(self) -> Result<Split> {
        let Split { name, images, labels, .. } = &self;
        ensure!(
            images.defined()
                && images.dim() == 4
                && matches!(images.kind(), Kind::Uint8 | Kind::Float),
            "{name}: images are {}, expected Uint8 or Float [N, C, H, W]",
            describe(images)
        );
        ensure!(
            labels.defined() && labels.dim() == 1 && labels.kind() == Kind::Int64,
            "{name}: labels are {}, expected Int64 [N]",
            describe(labels)
        );
        let (image_size, label_size) = (images.size(), labels.size());
        ensure!(
            image_size[0] == label_size[0],
            "{name}: {} images but {} labels; each image needs one label",
            image_size[0],
            label_size[0]
        );
        let last = self.num_classes() - 1;
        if let Some((index, label)) = label_outside(labels, 0, last)? {
            bail!("{name}: label {label} at index {index}, expected 0 to {last}");
        }
        Ok(self)
    }

    /// The name of this split, for example `train`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The note for every table and figure of this split, for example that the digits are
    /// generated and not MNIST.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Replaces the [`note`](Split::note).
    pub fn with_note(self, note: Option<String>) -> Split {
        Split { note, ..self }
    }

    /// The names of the classes, ordered by label.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The name of the class with this label, or "?" if there is none.
    ///
    /// ```
    /// let digits = mnist_kit::data::Mnist::generated(7, 10, 10)?;
    /// assert_eq!(digits.train.class_name(3), "3");
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn class_name(&self, label: i64) -> &str {
        let name = usize::try_from(label).ok().and_then(|label| self.class_names.get(label));
        name.map_or("?", String::as_str)
    }

    /// Names the classes, in the order of the labels.
    ///
    /// # Errors
    /// When the number of names is not the number of classes, or a name is empty.
    ///
    /// ```
    /// use mnist_kit::data::Mnist;
    ///
    /// let words = "zero one two three four five six seven eight nine".split(' ');
    /// let digits = Mnist::generated(7, 10, 10)?.train.with_class_names(words)?;
    /// assert_eq!(digits.class_name(3), "three");
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn with_class_names<T: Into<String>>(
        self,
        names: impl IntoIterator<Item = T>,
    ) -> Result<Split> {
        let class_names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        ensure!(
            class_names.len() as i64 == self.num_classes(),
            "{}: {} names for {} classes; each class needs one name",
            self.name,
            class_names.len(),
            self.num_classes()
        );
        if let Some(label) = class_names.iter().position(|name| name.trim().is_empty()) {
            bail!("{}: the name of class {label} is empty", self.name);
        }
        Ok(Split { class_names, ..self })
    }

    /// All images, `[N, C, H, W]`: uint8 0–255, or float32 features.
    pub fn images(&self) -> &Tensor {
        &self.images
    }

    /// All labels, `[N]`, int64.
    pub fn labels(&self) -> &Tensor {
        &self.labels
    }

    /// Replaces the images, for example by augmented ones, and keeps the labels.
    ///
    /// # Shapes
    /// `images` `[N, C, H, W]`, uint8 or float32, as many as there are labels.
    ///
    /// # Errors
    /// When shape or dtype is another.
    ///
    /// ```
    /// use mnist_kit::data::Mnist;
    /// use mnist_kit::transform::Compose;
    ///
    /// let digits = Mnist::generated(7, 10, 10)?;
    /// let large = Compose::new().resize(56, 56).apply(digits.test.images())?;
    /// assert_eq!(digits.test.with_images(large)?.image_shape(), [1, 56, 56]);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn with_images(&self, images: Tensor) -> Result<Split> {
        Split { images, ..self.clone() }.checked()
    }

    /// The number of classes.
    pub fn num_classes(&self) -> i64 {
        self.class_names.len() as i64
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.images.size()[0] as usize
    }

    /// Returns true if there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one image, `[C, H, W]`.
    pub fn image_shape(&self) -> [i64; 3] {
        let size = self.images.size();
        [size[1], size[2], size[3]]
    }

    /// The shape of one image for tables: `1×28×28`.
    pub(super) fn shape_text(&self) -> String {
        self.image_shape().map(|size| size.to_string()).join("×")
    }

    /// Returns one image, `[C, H, W]` uint8 (or float32 features), and its label.
    ///
    /// # Errors
    /// When `index` is not below [`len`](Split::len).
    pub fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        ensure!(index < self.len(), "{}: no image {index}, there are {}", self.name, self.len());
        let image = self.images.f_select(0, index as i64)?;
        Ok((image, self.labels.f_int64_value(&[index as i64])?))
    }

    /// Selects the images at these positions, in this order.
    ///
    /// # Errors
    /// When a position is not below [`len`](Split::len).
    pub fn select(&self, indices: &[i64]) -> Result<Split> {
        if let Some(wrong) = indices.iter().find(|&&i| i < 0 || i >= self.len() as i64) {
            bail!("{}: no image {wrong}, there are {}", self.name, self.len());
        }
        let index = Tensor::from_slice(indices).to_device(self.images.device());
        Ok(Split {
            images: self.images.f_index_select(0, &index)?,
            labels: self.labels.f_index_select(0, &index)?,
            ..self.clone()
        })
    }

    /// Draws disjoint parts of these names and sizes at random from `seed`, each with the classes
    /// in the proportions that they have here.
    ///
    /// The number of images of a class in a part is rounded, the largest remainders up, so that
    /// the sizes are exact. The parts may add up to the whole split. Images keep their order.
    ///
    /// # Errors
    /// When the sizes add up to more images than there are, or when a part would have none of a
    /// class.
    ///
    /// ```
    /// use mnist_kit::data::Mnist;
    ///
    /// let digits = Mnist::generated(7, 500, 10)?;
    /// let parts = digits.train.stratified(&[("train", 100), ("validation", 50)], 42)?;
    /// assert_eq!(parts[0].class_counts()?.counts(), [10; 10]);
    /// assert_eq!(parts[1].class_counts()?.counts(), [5; 10]);
    /// assert!(digits.test.stratified(&[("test", 11)], 42).is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn stratified(&self, parts: &[(&str, usize)], seed: u64) -> Result<Vec<Split>> {
        let counts = self.class_counts()?.counts;
        let mut by_class: Vec<Vec<i64>> = vec![Vec::new(); counts.len()];
        for (index, label) in Vec::<i64>::try_from(&self.labels)?.into_iter().enumerate() {
            by_class[label as usize].push(index as i64);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for indices in &mut by_class {
            indices.shuffle(&mut rng);
        }
        let mut splits = Vec::new();
        for &(name, size) in parts {
            let left: Vec<usize> = by_class.iter().map(Vec::len).collect();
            let available: usize = left.iter().sum();
            ensure!(
                size <= available,
                "{}: {available} of {} images are left for the {size} of {name}; expected no more \
                 than there are",
                self.name,
                self.len()
            );
            let mut chosen = Vec::new();
            for (class, wanted) in apportion(&counts, &left, size).into_iter().enumerate() {
                ensure!(
                    wanted > 0 || counts[class] == 0,
                    "{}: class {} has {} images, {} of them left, and none would be among the \
                     {size} of {name}; expected at least one for each part",
                    self.name,
                    self.class_name(class as i64),
                    counts[class],
                    left[class]
                );
                chosen.extend(by_class[class].split_off(left[class] - wanted));
            }
            chosen.sort_unstable();
            splits.push(Split { name: name.to_string(), ..self.select(&chosen)? });
        }
        Ok(splits)
    }

    /// Keeps the first `count` images, or all if there are fewer.
    pub fn head(&self, count: usize) -> Split {
        let count = count.min(self.len()) as i64;
        Split {
            images: self.images.narrow(0, 0, count),
            labels: self.labels.narrow(0, 0, count),
            ..self.clone()
        }
    }

    /// Selects the first image of each class that occurs, ordered by class.
    pub fn first_of_each_class(&self) -> Result<Split> {
        let labels = Vec::<i64>::try_from(&self.labels)?;
        let firsts: Vec<i64> = (0..self.num_classes())
            .filter_map(|class| labels.iter().position(|&label| label == class))
            .map(|index| index as i64)
            .collect();
        self.select(&firsts)
    }

    /// Counts the images of each class.
    pub fn class_counts(&self) -> Result<ClassCounts> {
        let counts = self.labels.f_bincount(None::<&Tensor>, self.num_classes())?;
        Ok(ClassCounts {
            title: format!("Images by class, {}", self.name),
            note: self.note.clone(),
            class_names: self.class_names.clone(),
            counts: Vec::<i64>::try_from(counts)?,
        })
    }

    /// Computes mean and standard deviation over all images and channels, of uint8 pixels in 0–1,
    /// of float32 values as they are.
    ///
    /// The deviation is the unbiased one (divided by n − 1), as that of `torch.std`.
    ///
    /// # Errors
    /// When there are no images.
    pub fn mean_std(&self) -> Result<(f64, f64)> {
        ensure!(!self.is_empty(), "{}: no images to take the mean of", self.name);
        let white = if self.images.kind() == Kind::Uint8 { 255.0 } else { 1.0 };
        let pixels = self.images.f_to_kind(Kind::Float)?.f_div_scalar(white)?;
        Ok((
            pixels.f_mean(Kind::Double)?.f_double_value(&[])?,
            pixels.f_to_kind(Kind::Double)?.f_std(true)?.f_double_value(&[])?,
        ))
    }

    /// SHA-256 of images and labels: their dtypes, shapes and values.
    pub(super) fn digest(&self) -> Result<String> {
        let mut digest = Sha256::new();
        for tensor in [&self.images, &self.labels] {
            let (kind, size) = (tensor.kind(), tensor.size());
            digest.update(format!("{kind:?} {size:?};"));
            for start in (0..size[0]).step_by(HASHED_AT_ONCE as usize) {
                let rows = tensor.f_narrow(0, start, HASHED_AT_ONCE.min(size[0] - start))?;
                let rows = rows.f_to_device(Device::Cpu)?.f_contiguous()?;
                let mut bytes = vec![0; rows.numel() * kind.elt_size_in_bytes()];
                rows.f_copy_data_u8(&mut bytes, rows.numel())?;
                digest.update(&bytes);
            }
        }
        Ok(hex(&digest.finalize()))
    }

    /// Shows a line about the split in a notebook.
    pub fn evcxr_display(&self) {
        evcxr_runtime::mime_type("text/plain").text(self.to_string());
    }
}

/// Writes name, sizes and note: `train: 60,000 images of 1×28×28, 10 classes`.
impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, classes) = (thousands(self.len() as i64), thousands(self.num_classes()));
        write!(f, "{}: {count} images of {}, {classes} classes", self.name, self.shape_text())?;
        self.note.iter().try_for_each(|note| write!(f, " — {note}"))
    }
}

/// Splits `size` in proportion to the counts, by largest remainders, with at most `left` of a class.
///
/// `size` must not exceed the sum of `left`.
fn apportion(counts: &[i64], left: &[usize], size: usize) -> Vec<usize> {
    let total = counts.iter().sum::<i64>().max(1) as u128;
    // The product of two sizes can exceed 64 bits.
    let exact = |count: i64| {
        let product = size as u128 * count as u128;
        ((product / total) as usize, product % total)
    };
    let mut parts: Vec<usize> =
        counts.iter().zip(left).map(|(&count, &left)| exact(count).0.min(left)).collect();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(exact(counts[class]).1));
    let mut missing = size - parts.iter().sum::<usize>();
    // One round is enough, unless earlier parts have been rounded up and left a class too few.
    while missing > 0 {
        for &class in &by_remainder {
            if missing > 0 && parts[class] < left[class] {
                parts[class] += 1;
                missing -= 1;
            }
        }
    }
    parts
}

/// The number of images of each class, shown as a table with bars.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassCounts {
    title: String,
    note: Option<String>,
    class_names: Arc<[String]>,
    counts: Vec<i64>,
}

impl ClassCounts {
    /// The numbers of images, ordered by label.
    pub fn counts(&self) -> &[i64] {
        &self.counts
    }

    /// The names of the classes, ordered by label.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The title of the table.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The note of the split, see [`Split::note`].
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// A table of the counts with a bar for each class; the longest bar is the largest class.
    pub fn table(&self) -> Table {
        let largest = self.counts.iter().copied().max().unwrap_or(0).max(1);
        let header = ["class", "images", ""];
        let mut table = Table::new(header).title(&self.title).note(self.note.as_deref());
        for (name, &count) in self.class_names.iter().zip(&self.counts) {
            let bar = "█".repeat((count * 24 / largest) as usize);
            table.push([name.clone(), thousands(count), bar]);
        }
        table
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for ClassCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}
