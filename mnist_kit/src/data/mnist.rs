//! MNIST and its relatives: a training and a test split, and their source.

use super::folder::{Pairs, read_folder};
use super::generated::draw;
use super::set::{Conventions, DataSet, EmnistSplit};
use super::{Settings, Source, Split, published};
use crate::table::{Table, thousands};
use crate::{Interrupted, Result};
use anyhow::{Context, anyhow, bail, ensure};
use std::fmt;
use std::path::Path;
use tch::vision::dataset::Dataset;
use tch::{Kind, Tensor};

/// Seed and sizes of the generated digits that stand in for MNIST. Lesson 5 needs this many.
const STAND_IN: (u64, usize, usize) = (1998, 12_000, 2_000);

/// Numbers of training and test images that quick mode keeps.
const QUICK: (usize, usize) = (2_000, 1_000);

/// A training and a test split of one data set: MNIST, one of its relatives, or the kit's own
/// digits.
///
/// ```
/// use mnist_kit::data::Mnist;
///
/// let mnist = Mnist::generated(7, 100, 50)?;
/// assert_eq!(mnist.train.images().size(), [100, 1, 28, 28]);
/// assert_eq!(mnist.test.len(), 50);
/// assert_eq!(mnist.source().to_string(), "generated digits (not MNIST)");
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mnist {
    /// The training split; 60,000 images in MNIST.
    pub train: Split,
    /// The test split; 10,000 images in MNIST.
    pub test: Split,
    source: Source,
}

impl Mnist {
    /// Loads MNIST from the nearest place: the folder `MNIST_KIT_DATA`, else the user's cache, else
    /// a public mirror.
    ///
    /// If none of them has it, digits that the kit draws itself stand in, and a line on standard
    /// output says why. [`Settings`] lists the environment variables;
    /// [`source`](Mnist::source) tells where the images came from.
    ///
    /// # Errors
    /// When `MNIST_KIT_DATA` is set and cannot be used (nothing else is tried then), or the cell is
    /// asked to stop ([`Interrupted`]).
    ///
    /// ```no_run
    /// let mnist = mnist_kit::data::Mnist::load()?;
    /// println!("{mnist}");
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn load() -> Result<Mnist> {
        Mnist::load_with(&Settings::from_env()?)
    }

    /// [`load`](Mnist::load) with settings from the program instead of the environment.
    ///
    /// ```
    /// use mnist_kit::data::{Mnist, Settings};
    ///
    /// let settings = Settings { cache_dir: None, quick: true, ..Settings::default() };
    /// let mnist = Mnist::load_with(&settings)?;
    /// assert!(mnist.is_generated());
    /// assert_eq!(
    ///     mnist.source().to_string(),
    ///     "quick mode: a slice of generated digits (not MNIST)"
    /// );
    /// assert!(mnist.is_quick());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn load_with(settings: &Settings) -> Result<Mnist> {
        let mnist = match &settings.mnist.folder {
            Some(folder) => Mnist::from_set_dir(DataSet::Mnist, folder)?,
            None => Mnist::from_cache(DataSet::Mnist, settings).or_else(|problem| match problem
                .is::<Interrupted>(
            ) {
                true => Err(problem),
                false => stand_in(&format!("{problem:#}")),
            })?,
        };
        Ok(mnist.sliced_if(settings.quick))
    }

    /// Loads Fashion-MNIST: ten kinds of clothing.
    ///
    /// It is searched in the folder `MNIST_KIT_FASHION`, the user's cache, and its publisher's
    /// server. Generated digits never stand in.
    ///
    /// # Errors
    /// When none of them has it. The message says why, and which variables can help.
    ///
    /// ```no_run
    /// let fashion = mnist_kit::data::Mnist::fashion()?;
    /// assert_eq!(fashion.train.class_name(3), "Dress");
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn fashion() -> Result<Mnist> {
        Mnist::load_set(DataSet::Fashion, &Settings::from_env()?)
    }

    /// Loads Kuzushiji-MNIST: ten hiragana. The folder variable is `MNIST_KIT_KMNIST`; otherwise
    /// as [`fashion`](Mnist::fashion).
    pub fn kmnist() -> Result<Mnist> {
        Mnist::load_set(DataSet::Kmnist, &Settings::from_env()?)
    }

    /// Loads QMNIST: MNIST with 60,000 test images. The folder variable is `MNIST_KIT_QMNIST`;
    /// otherwise as [`fashion`](Mnist::fashion).
    pub fn qmnist() -> Result<Mnist> {
        Mnist::load_set(DataSet::Qmnist, &Settings::from_env()?)
    }

    /// Loads a split of EMNIST. The folder variable is `MNIST_KIT_EMNIST`; otherwise as
    /// [`fashion`](Mnist::fashion).
    ///
    /// All splits come in one archive of 562 MB. The images are turned upright, because the
    /// published files have them transposed.
    pub fn emnist(split: EmnistSplit) -> Result<Mnist> {
        Mnist::load_set(DataSet::Emnist(split), &Settings::from_env()?)
    }

    /// Loads EMNIST's letters: 26 classes from "a" to "z", each with both cases of a letter. See
    /// [`emnist`](Mnist::emnist).
    pub fn emnist_letters() -> Result<Mnist> {
        Mnist::emnist(EmnistSplit::Letters)
    }

    /// Loads a published data set from the nearest place that `settings` name.
    ///
    /// Generated digits never stand in, not even for MNIST.
    ///
    /// # Errors
    /// When no place has the set. The message says why, and which variables can help.
    pub fn load_set(set: DataSet, settings: &Settings) -> Result<Mnist> {
        let mnist = match &settings.location(set).folder {
            Some(folder) => Mnist::from_set_dir(set, folder)?,
            None => Mnist::from_cache(set, settings).map_err(|problem| {
                let (folder, mirrors) = set.variables();
                anyhow!(
                    "{set} is not available: {problem:#}; name a folder with its files in \
                     {folder}, or other mirrors in {mirrors}"
                )
            })?,
        };
        Ok(mnist.sliced_if(settings.quick))
    }

    fn from_cache(set: DataSet, settings: &Settings) -> Result<Mnist> {
        let (pairs, names, source) = published::load(set, settings)?;
        Mnist::from_pairs(pairs, names, source)
    }

    /// A set in the folder that its variable names.
    fn from_set_dir(set: DataSet, folder: &Path) -> Result<Mnist> {
        // A folder for MNIST may have any set, as long as its names tell which.
        let set_or_any = Some(set).filter(|set| *set != DataSet::Mnist);
        Mnist::from_folder(folder, set_or_any)
            .map_err(|problem| anyhow!("data folder ({}): {problem:#}", set.variables().0))
    }

    fn sliced_if(self, quick: bool) -> Mnist {
        if !quick {
            return self;
        }
        let source = Source::Slice(Box::new(self.source));
        Mnist::with_source(self.train.head(QUICK.0), self.test.head(QUICK.1), source)
    }

    /// Both splits carry the note of the source into tables and figures.
    fn with_source(train: Split, test: Split, source: Source) -> Mnist {
        let (train, test) = (train.with_note(source.note()), test.with_note(source.note()));
        Mnist { train, test, source }
    }

    /// Loads a data set from a folder of four IDX files: MNIST, one of its relatives, or your own.
    ///
    /// Names are `[prefix-](train|t10k|test)-(images-idx3|labels-idx1)-ubyte`, also `.idx3` and
    /// `.idx1`, each with or without `.gz`, and QMNIST's `labels-idx2-int`. A file `classes.txt`
    /// names the classes, one a line, in the order of the labels. Without it, the prefix
    /// `emnist-<split>-` stands for the classes of that split, and all other names for ten digits.
    ///
    /// Files with the prefix of EMNIST are taken to be as they are published: images are turned
    /// upright, and the letters' labels, which start at 1, are counted from 0.
    ///
    /// # Errors
    /// When one of the four files is missing, damaged or there more than once (the message lists
    /// them), a label has no class, or the files do not fit each other.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Mnist> {
        Mnist::from_folder(folder.as_ref(), None)
    }

    fn from_folder(folder: &Path, set: Option<DataSet>) -> Result<Mnist> {
        let load = || {
            let (pairs, names) = read_folder(folder, set)?;
            Mnist::from_pairs(pairs, names, Source::Folder(folder.to_path_buf()))
        };
        load().with_context(|| folder.display().to_string())
    }

    /// Draws digits: 28×28 pixels, ten classes of equal size (±1).
    ///
    /// The same seed draws the same digits, and a larger set begins with the images of a smaller
    /// one. Training and test images differ.
    pub fn generated(seed: u64, n_train: usize, n_test: usize) -> Result<Mnist> {
        let pairs = [draw(seed, 0, n_train)?, draw(seed, 1, n_test)?];
        let names = Conventions::of(DataSet::Mnist).names;
        Mnist::from_pairs(pairs, names, Source::Generated { seed, reason: None })
    }

    pub(super) fn from_pairs(pairs: Pairs, names: Vec<String>, source: Source) -> Result<Mnist> {
        let num_classes = names.len() as i64;
        let [(train_images, train_labels), (test_images, test_labels)] = pairs;
        let train = Split::new("train", train_images, train_labels, num_classes)?;
        let test = Split::new("test", test_images, test_labels, num_classes)?;
        ensure!(
            train.image_shape() == test.image_shape(),
            "training images are {}, test images {}; they belong to different data sets",
            train.shape_text(),
            test.shape_text()
        );
        let train = train.with_class_names(names)?;
        let test = test.with_class_names(train.class_names())?;
        Ok(Mnist::with_source(train, test, source))
    }

    /// The source of the images.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns true if this is quick mode's slice of the images; see
    /// [`quick_or`](Mnist::quick_or).
    pub fn is_quick(&self) -> bool {
        matches!(self.source, Source::Slice(_))
    }

    /// Returns `quick` in quick mode and `full` otherwise, for numbers of epochs or images.
    ///
    /// ```
    /// use mnist_kit::data::Mnist;
    ///
    /// let mnist = Mnist::generated(7, 100, 50)?;
    /// assert_eq!(mnist.quick_or(1, 10), 10);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn quick_or<T>(&self, quick: T, full: T) -> T {
        if self.is_quick() { quick } else { full }
    }

    /// Returns true if these are the kit's own digits, not MNIST. Tables and figures say so.
    pub fn is_generated(&self) -> bool {
        self.source.is_generated()
    }

    /// A table of the sizes of both splits, with the source as its title.
    ///
    /// ```
    /// let table = mnist_kit::data::Mnist::generated(7, 1000, 50)?.table();
    /// assert_eq!(table.rows()[0], ["train", "1,000", "1×28×28", "10"]);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn table(&self) -> Table {
        let header = ["split", "images", "shape", "classes"];
        let mut table = Table::new(header).title(self.source.to_string());
        for split in [&self.train, &self.test] {
            table.push([
                split.name().to_string(),
                thousands(split.len() as i64),
                split.shape_text(),
                split.num_classes().to_string(),
            ]);
        }
        table
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for Mnist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}

/// Converts to the form of `tch::vision::mnist`: float32 pixels in 0–1, one row an image.
///
/// ```
/// use mnist_kit::data::Mnist;
/// use tch::vision::dataset::Dataset;
///
/// let dataset = Dataset::try_from(&Mnist::generated(7, 100, 50)?)?;
/// assert_eq!(dataset.train_images.size(), [100, 784]);
/// assert_eq!(dataset.labels, 10);
/// # Ok::<(), anyhow::Error>(())
/// ```
impl TryFrom<&Mnist> for Dataset {
    type Error = anyhow::Error;

    fn try_from(mnist: &Mnist) -> Result<Dataset> {
        let rows = |split: &Split| -> Result<Tensor> {
            let images = split.images().f_flatten(1, -1)?;
            Ok(match images.kind() {
                Kind::Uint8 => images.f_to_kind(Kind::Float)?.f_div_scalar_(255.0)?,
                _ => images,
            })
        };
        Ok(Dataset {
            train_images: rows(&mnist.train)?,
            train_labels: mnist.train.labels().shallow_clone(),
            test_images: rows(&mnist.test)?,
            test_labels: mnist.test.labels().shallow_clone(),
            labels: mnist.train.num_classes(),
        })
    }
}

impl TryFrom<Mnist> for Dataset {
    type Error = anyhow::Error;

    fn try_from(mnist: Mnist) -> Result<Dataset> {
        Dataset::try_from(&mnist)
    }
}

/// Converts from the form of `tch::vision::mnist`: pixels in 0–1, which become uint8.
///
/// Rows become square images. Images `[N, C, H, W]` are taken too.
///
/// # Errors
/// When a row is not square, or a pixel is outside of 0–1.
///
/// ```
/// use mnist_kit::data::Mnist;
/// use tch::vision::dataset::Dataset;
///
/// let digits = Mnist::generated(7, 100, 50)?;
/// let back = Mnist::try_from(&Dataset::try_from(&digits)?)?;
/// assert_eq!(back.train.images(), digits.train.images());
/// # Ok::<(), anyhow::Error>(())
/// ```
impl TryFrom<&Dataset> for Mnist {
    type Error = anyhow::Error;

    fn try_from(dataset: &Dataset) -> Result<Mnist> {
        let train = pixels("train", &dataset.train_images)?;
        let test = pixels("test", &dataset.test_images)?;
        let train =
            Split::new("train", train, dataset.train_labels.shallow_clone(), dataset.labels)?;
        let test = Split::new("test", test, dataset.test_labels.shallow_clone(), dataset.labels)?;
        Ok(Mnist { train, test, source: Source::Tensors })
    }
}

impl TryFrom<Dataset> for Mnist {
    type Error = anyhow::Error;

    fn try_from(dataset: Dataset) -> Result<Mnist> {
        Mnist::try_from(&dataset)
    }
}

/// Images `[N, C, H, W]` uint8 of rows or images of float pixels in 0–1.
fn pixels(name: &str, images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    let images = match size[..] {
        [_, _, _, _] => images.shallow_clone(),
        [count, values] => {
            let side = values.isqrt();
            ensure!(
                side * side == values,
                "{name}: rows of {values} pixels, expected a square number, such as 784 for 28×28"
            );
            images.f_view([count, 1, side, side])?
        }
        _ => bail!("{name}: images of shape {size:?}, expected [N, pixels] or [N, C, H, W]"),
    };
    ensure!(
        images.kind() == Kind::Float,
        "{name}: pixels are {:?}, expected Float from 0 to 1",
        images.kind()
    );
    let inside = images.f_ge(0.0)?.f_logical_and(&images.f_le(1.0)?)?.f_all()?;
    ensure!(
        bool::try_from(inside)?,
        "{name}: pixels outside of 0 to 1, expected Float from 0 to 1"
    );
    Ok(images.f_mul_scalar(255.0)?.f_round_()?.f_to_kind(Kind::Uint8)?)
}

/// Generated digits, with the reason why they are not MNIST.
fn stand_in(reason: &str) -> Result<Mnist> {
    println!("Generated digits stand in for MNIST: {reason}");
    let (seed, n_train, n_test) = STAND_IN;
    let source = Source::Generated { seed, reason: Some(reason.to_string()) };
    Ok(Mnist { source, ..Mnist::generated(seed, n_train, n_test)? })
}
