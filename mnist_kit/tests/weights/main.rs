//! Weights in and out: PyTorch's files, published files, and hostile ones.

#[path = "../common/mod.rs"]
mod common;
mod files;
mod hostile;
mod imagenet;
#[path = "../common/pth_file.rs"]
mod pth_file;
#[path = "../common/server.rs"]
mod server;
