//! Where the data comes from: readers, folders, cache, downloads, generated digits.

#[path = "../common/mod.rs"]
mod common;
mod download;
mod fixture;
mod folder;
mod generated;
mod idx;
#[cfg(feature = "parquet")]
mod parquet;
mod real;
mod stratified;
