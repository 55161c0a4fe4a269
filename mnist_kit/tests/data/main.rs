//! The data room: readers, folders, named sets, cache, downloads, splits, batches.

#[path = "../common/mod.rs"]
mod common;
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
#[cfg(feature = "parquet")]
mod parquet;
mod real;
mod sets;
mod split;
mod stratified;
mod transforms;
