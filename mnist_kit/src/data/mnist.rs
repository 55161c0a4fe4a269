//! MNIST: a training and a test split, and where they came from.

use super::download::download;
use super::folder::{Pairs, read_folder};
use super::generated::draw;
use super::idx::{images_from, labels_from};
use super::{Settings, Source, Split};
use crate::Result;
use crate::table::{Table, thousands};
use anyhow::{Context, anyhow, bail, ensure};
use std::fmt;
use std::path::Path;

/// Seed and sizes of the digits that stand in where MNIST is not to be had; lesson 5 takes all of them.
const STAND_IN: (u64, usize, usize) = (1998, 12_000, 2_000);

/// How many images quick mode keeps of each split.
const QUICK: (usize, usize) = (2_000, 1_000);

/// A training and a test split of one data set: MNIST, one of its relatives, or the kit's own digits.
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
    /// What models learn from; 60,000 images in MNIST.
    pub train: Split,
    /// What they are judged by; 10,000 images in MNIST.
    pub test: Split,
    source: Source,
}

impl Mnist {
    /// MNIST from where it is nearest: the folder `MNIST_KIT_DATA`, else the user's cache, else a public mirror, else
    /// digits that the kit draws itself, with a line on standard output that says why.
    ///
    /// [`Settings`] lists the environment variables; [`source`](Mnist::source) tells what it came to.
    ///
    /// # Errors
    /// When `MNIST_KIT_DATA` is set and cannot be used (nothing else is then tried), or a variable has an impossible value.
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
    /// # Errors
    /// When [`Settings::data_dir`] is given and cannot be used.
    ///
    /// ```
    /// use mnist_kit::data::{Mnist, Settings};
    ///
    /// let settings = Settings { cache_dir: None, quick: true, ..Settings::default() };
    /// let mnist = Mnist::load_with(&settings)?;
    /// assert!(mnist.is_generated());
    /// assert_eq!(mnist.source().to_string(), "quick mode: a slice of generated digits (not MNIST)");
    /// assert!(mnist.is_quick());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn load_with(settings: &Settings) -> Result<Mnist> {
        let whole = match &settings.data_dir {
            Some(folder) => Mnist::from_dir(folder)
                .map_err(|problem| anyhow!("data folder (MNIST_KIT_DATA): {problem:#}"))?,
            None => published(settings).or_else(|problem| stand_in(&format!("{problem:#}")))?,
        };
        Ok(if settings.quick {
            let source = Source::Slice(Box::new(whole.source));
            Mnist::with_source(whole.train.head(QUICK.0), whole.test.head(QUICK.1), source)
        } else {
            whole
        })
    }

    /// Both splits carry the note of the source into tables and figures.
    fn with_source(train: Split, test: Split, source: Source) -> Mnist {
        let (train, test) = (train.with_note(source.note()), test.with_note(source.note()));
        Mnist { train, test, source }
    }

    /// Any data set of four IDX files in one folder: MNIST, Fashion-MNIST, KMNIST, EMNIST, one's own.
    ///
    /// Names are `[prefix-](train|t10k|test)-(images-idx3|labels-idx1)-ubyte`, also `.idx3`/`.idx1`, each with or without `.gz`.
    /// Sizes are the files' own; the number of classes is the largest label of both splits plus one. Pixels stay as they are
    /// stored: EMNIST's images are transposed.
    ///
    /// # Errors
    /// When one of the four files is missing, wrong or there more than once (the message lists them), or the files do not
    /// fit each other.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Mnist> {
        let folder = folder.as_ref();
        Mnist::from_pairs(read_folder(folder)?, Source::Folder(folder.to_path_buf()))
            .with_context(|| folder.display().to_string())
    }

    /// Digits drawn by the kit, 28×28 pixels, ten classes of equal size (±1). The same seed draws the same digits, and a larger
    /// set begins with the images of a smaller one. Train and test share none.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn generated(seed: u64, n_train: usize, n_test: usize) -> Result<Mnist> {
        let pairs = [draw(seed, 0, n_train)?, draw(seed, 1, n_test)?];
        Mnist::from_pairs(pairs, Source::Generated { seed, reason: None })
    }

    /// Splits whose classes run to the largest label of both.
    pub(super) fn from_pairs(pairs: Pairs, source: Source) -> Result<Mnist> {
        let mut num_classes = 0;
        for (_, labels) in &pairs {
            if labels.numel() > 0 {
                num_classes = num_classes.max(i64::try_from(labels.f_max()?)? + 1);
            }
        }
        let [(train_images, train_labels), (test_images, test_labels)] = pairs;
        let train = Split::new("train", train_images, train_labels, num_classes)?;
        let test = Split::new("test", test_images, test_labels, num_classes)?;
        ensure!(
            train.image_shape() == test.image_shape(),
            "training images are {}, test images {}; they belong to different data sets",
            shape(&train),
            shape(&test)
        );
        Ok(Mnist::with_source(train, test, source))
    }

    /// Where the images came from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether this is quick mode's slice of the images; lessons that train for hours then train less.
    pub fn is_quick(&self) -> bool {
        matches!(self.source, Source::Slice(_))
    }

    /// Whether these are the kit's own digits, not MNIST; outputs and figures then have to say so.
    pub fn is_generated(&self) -> bool {
        self.source.is_generated()
    }

    /// Sizes of both splits, under the source.
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
                shape(split),
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

fn shape(split: &Split) -> String {
    split.image_shape().map(|size| size.to_string()).join("×")
}

/// MNIST from the cache, where need be after a download into it.
fn published(settings: &Settings) -> Result<Mnist> {
    let folder = settings
        .cache_dir
        .as_ref()
        .context("this user has no cache folder; MNIST_KIT_CACHE can name one")?
        .join("mnist");
    let cached = |source| {
        let content = |file: usize| {
            let file = &settings.files[file];
            Ok::<_, anyhow::Error>((file.content(&folder.join(&file.name))?, &file.name))
        };
        let pair = |first: usize| {
            let ((images, name), (labels, labels_name)) = (content(first)?, content(first + 1)?);
            Ok::<_, anyhow::Error>((
                images_from(&images[..], name)?,
                labels_from(&labels[..], labels_name)?,
            ))
        };
        Mnist::from_pairs([pair(0)?, pair(2)?], source)
    };
    match cached(Source::Cache(folder.clone())) {
        Ok(mnist) => return Ok(mnist),
        Err(problem) if settings.offline => {
            bail!("MNIST_KIT_OFFLINE is set, and the cache has no MNIST: {problem:#}")
        }
        Err(_) => {}
    }
    let mirrors = download(&settings.files, &folder, &settings.mirrors, &settings.time_limits)?;
    cached(match &mirrors[..] {
        [] => Source::Cache(folder.clone()),
        mirrors => Source::Downloaded(mirrors.join(" and ")),
    })
}

/// Generated digits, with the reason why they are not MNIST.
fn stand_in(reason: &str) -> Result<Mnist> {
    println!("Generated digits stand in for MNIST: {reason}");
    let (seed, n_train, n_test) = STAND_IN;
    let source = Source::Generated { seed, reason: Some(reason.to_string()) };
    Ok(Mnist { source, ..Mnist::generated(seed, n_train, n_test)? })
}
