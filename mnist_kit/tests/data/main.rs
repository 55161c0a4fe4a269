//! The data room: readers, folders, named sets, cache, downloads, splits, batches.

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "parquet")]
#[path = "../common/parquet_file.rs"]
mod parquet_file;
#[path = "../common/server.rs"]
mod server;

mod batches;
mod classes;
mod download;
mod fixture;
mod folder;
mod generated;
#[cfg(feature = "parquet")]
mod hostile_parquet;
mod idx;
mod network;
#[cfg(feature = "parquet")]
mod parquet;
mod real;
mod sets;
mod split;
mod stratified;
mod transforms;
