//! Where images and labels come from, and how they reach the model in batches.

mod batches;
mod download;
mod folder;
mod generated;
mod idx;
mod mnist;
#[cfg(feature = "parquet")]
mod parquet;
mod settings;
mod source;
mod split;

pub use batches::{Batches, Epoch};
pub(crate) use batches::{BatchesDescription, bytes_of};
pub use download::{RemoteFile, TimeLimits, download};
pub use idx::{read_images, read_labels};
pub use mnist::Mnist;
pub use settings::{MIRRORS, Settings, WEIGHTS_MIRROR};
pub use source::Source;
pub use split::{ClassCounts, Split};
