//! Images and labels: their sources, splits, and the batches for a model.

mod batches;
mod download;
mod folder;
mod generated;
mod idx;
mod limits;
mod mnist;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_pages;
mod published;
mod set;
mod settings;
mod source;
mod split;
#[cfg(feature = "parquet")]
mod thrift;

pub(crate) use batches::BatchesDescription;
pub use batches::{Batches, Epoch};
pub(crate) use download::sha256_of;
pub use download::{Checksum, RemoteFile, TimeLimits, download};
pub(crate) use generated::example_digit;
pub use idx::{read_images, read_labels};
pub use mnist::Mnist;
pub use set::{DataSet, EmnistSplit};
pub use settings::{Location, MIRRORS, Settings, WEIGHTS_MIRROR};
pub use source::Source;
pub use split::{ClassCounts, Split};
