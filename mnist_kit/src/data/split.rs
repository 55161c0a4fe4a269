//! One resident set of images with labels.

use crate::Result;
use crate::table::{Table, thousands};
use anyhow::{bail, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Images and labels of one split (train or test), resident in memory.
///
/// Cloning is cheap: the tensors are shared, not copied.
#[derive(Debug)]
pub struct Split {
    name: String,
    images: Tensor,
    labels: Tensor,
    num_classes: i64,
    class_names: Arc<[String]>,
    note: Option<String>,
}

impl Clone for Split {
    fn clone(&self) -> Split {
        Split {
            name: self.name.clone(),
            images: self.images.shallow_clone(),
            labels: self.labels.shallow_clone(),
            num_classes: self.num_classes,
            class_names: self.class_names.clone(),
            note: self.note.clone(),
        }
    }
}

impl Split {
    /// A split from its tensors.
    ///
    /// # Shapes
    /// `images` `[N, C, H, W]`, uint8 pixels, or float32 for features that a model has made of them;
    /// `labels` `[N]`, int64 in `0..num_classes`.
    ///
    /// # Errors
    /// When a shape or dtype is another, the lengths differ, or a label is out of range.
    pub fn new(name: &str, images: Tensor, labels: Tensor, num_classes: i64) -> Result<Split> {
        let (image_size, label_size) = (images.size(), labels.size());
        ensure!(
            image_size.len() == 4 && matches!(images.kind(), Kind::Uint8 | Kind::Float),
            "{name}: images are {:?} {image_size:?}, expected Uint8 or Float [N, C, H, W]",
            images.kind()
        );
        ensure!(
            label_size.len() == 1 && labels.kind() == Kind::Int64,
            "{name}: labels are {:?} {label_size:?}, expected Int64 [N]",
            labels.kind()
        );
        ensure!(
            image_size[0] == label_size[0],
            "{name}: {} images but {} labels; each image needs one label",
            image_size[0],
            label_size[0]
        );
        if label_size[0] > 0 {
            let (low, high) = (i64::try_from(labels.f_min()?)?, i64::try_from(labels.f_max()?)?);
            if low < 0 || high >= num_classes {
                bail!("{name}: labels run from {low} to {high}, expected 0 to {}", num_classes - 1);
            }
        }
        let class_names = (0..num_classes).map(|class| class.to_string()).collect();
        Ok(Split { name: name.to_string(), images, labels, num_classes, class_names, note: None })
    }

    /// What this split is called, for example `train`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What every table and figure made of this split has to say, for example that the digits were
    /// generated and are not MNIST.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The split with another [`note`](Split::note).
    pub fn with_note(self, note: Option<String>) -> Split {
        Split { note, ..self }
    }

    /// All images, `[N, C, H, W]`: uint8 0–255, or float32 features.
    pub fn images(&self) -> &Tensor {
        &self.images
    }

    /// All labels, `[N]`, int64.
    pub fn labels(&self) -> &Tensor {
        &self.labels
    }

    /// The same labels with other images, for example augmented or shifted ones.
    ///
    /// # Shapes
    /// `images` `[N, C, H, W]`, uint8, as many as there are labels.
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
        let split = Split::new(&self.name, images, self.labels.shallow_clone(), self.num_classes)?;
        Ok(Split { class_names: self.class_names.clone(), ..split.with_note(self.note.clone()) })
    }

    /// The names of the classes, in the order of the labels; "0", "1", … where none were given.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// How many classes the labels can name.
    pub fn num_classes(&self) -> i64 {
        self.num_classes
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.images.size()[0] as usize
    }

    /// Whether there is no image at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one image, `[C, H, W]`.
    pub fn image_shape(&self) -> [i64; 3] {
        let size = self.images.size();
        [size[1], size[2], size[3]]
    }

    /// One image, `[C, H, W]` uint8 (or float32 features), and its label.
    ///
    /// # Errors
    /// When `index` is not below [`len`](Split::len).
    pub fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        ensure!(index < self.len(), "{}: no image {index}, there are {}", self.name, self.len());
        let image = self.images.f_select(0, index as i64)?;
        Ok((image, self.labels.f_int64_value(&[index as i64])?))
    }

    /// The images at these positions, in this order.
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

    /// Disjoint parts of these names and sizes, drawn at random from `seed`, each with the classes in
    /// the shares that they have here.
    ///
    /// A class's share of a part is rounded to a whole number, so that the sizes come out exactly:
    /// the largest remainders are rounded up. Images keep their order.
    ///
    /// # Errors
    /// When a class has too few images for its shares of all parts, or so few that a part would have
    /// none of it.
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
            let mut chosen = Vec::new();
            for (class, share) in shares(&counts, size).into_iter().enumerate() {
                let left = by_class[class].len();
                ensure!(
                    share <= left && (share > 0 || counts[class] == 0),
                    "{}: class {class} has {} images, {left} of them left for {share} of the {size} \
                     of {name}; expected at least one for each part, and no more than there are",
                    self.name,
                    counts[class]
                );
                chosen.extend(by_class[class].split_off(left - share));
            }
            ensure!(
                chosen.len() == size,
                "{}: {size} images for {name}, but there are {}",
                self.name,
                self.len()
            );
            chosen.sort_unstable();
            splits.push(Split { name: name.to_string(), ..self.select(&chosen)? });
        }
        Ok(splits)
    }

    /// The first `count` images, or all where there are fewer.
    pub fn head(&self, count: usize) -> Split {
        let count = count.min(self.len()) as i64;
        Split {
            images: self.images.narrow(0, 0, count),
            labels: self.labels.narrow(0, 0, count),
            ..self.clone()
        }
    }

    /// The first image of each class that occurs, ordered by class.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn first_of_each_class(&self) -> Result<Split> {
        let labels = Vec::<i64>::try_from(&self.labels)?;
        let firsts: Vec<i64> = (0..self.num_classes)
            .filter_map(|class| labels.iter().position(|&label| label == class))
            .map(|index| index as i64)
            .collect();
        self.select(&firsts)
    }

    /// How many images each class has.
    ///
    /// # Errors
    /// When libtorch cannot compute it, for lack of memory for example.
    pub fn class_counts(&self) -> Result<ClassCounts> {
        let counts = self.labels.f_bincount(None::<&Tensor>, self.num_classes)?;
        let title = format!("Images by class, {}", self.name);
        let note = self.note.clone();
        Ok(ClassCounts { title, note, counts: Vec::<i64>::try_from(counts)? })
    }

    /// Mean and standard deviation of the pixels, over all images and channels: of uint8 pixels in 0–1, of
    /// float32 values as they are.
    ///
    /// The deviation is the unbiased one (divided by n − 1), as `torch.std` gives it.
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
}

/// Splits `size` in proportion to the counts, by largest remainders.
fn shares(counts: &[i64], size: usize) -> Vec<usize> {
    let total = counts.iter().sum::<i64>().max(1) as usize;
    let exact = |count: i64| (size * count as usize / total, size * count as usize % total);
    let mut shares: Vec<usize> = counts.iter().map(|&count| exact(count).0).collect();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(exact(counts[class]).1));
    let missing = size - shares.iter().sum::<usize>();
    for &class in by_remainder.iter().take(missing) {
        shares[class] += 1;
    }
    shares
}

/// How many images each class has; shows itself as a table with bars.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassCounts {
    title: String,
    note: Option<String>,
    counts: Vec<i64>,
}

impl ClassCounts {
    /// Images by class, in order.
    pub fn counts(&self) -> &[i64] {
        &self.counts
    }

    /// What is counted, in words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// See [`Split::note`].
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The counts as a table; the longest bar is the largest class.
    pub fn table(&self) -> Table {
        let largest = self.counts.iter().copied().max().unwrap_or(0).max(1);
        let header = ["class", "images", ""];
        let mut table = Table::new(header).title(&self.title).note(self.note.as_deref());
        for (class, &count) in self.counts.iter().enumerate() {
            let bar = "█".repeat((count * 24 / largest) as usize);
            table.push([class.to_string(), thousands(count), bar]);
        }
        table
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}
