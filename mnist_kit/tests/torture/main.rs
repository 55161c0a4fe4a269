//! Every reader of the kit against files made to break it: bombs made by hand, then valid files with
//! random changes that know the format. `make torture` runs all of it, `make test` a slice.
//!
//! A case is read in a child process that may take the file's size and a stated amount of memory
//! more than it has, and ten seconds of the processor. A case is survived if the file is read, or refused with one
//! message of readable length that names it. Case `n` of a part is the same everywhere. To repeat it:
//!
//! ```sh
//! MNIST_KIT_TORTURE=pth:3317:1 cargo test --release -p mnist_kit --all-features --test torture \
//!     full -- --ignored --nocapture
//! ```

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "parquet")]
#[path = "../common/parquet_file.rs"]
mod parquet_file;
#[path = "../common/pth_file.rs"]
mod pth_file;

mod checkpoint;
mod child;
mod dice;
mod idx;
mod json;
mod parent;
#[cfg(feature = "parquet")]
mod parquet;
mod picture;
mod pth;
mod recipe;
mod safetensors;

use dice::Dice;
use std::path::Path;

/// A reader and the files to try it with.
struct Part {
    name: &'static str,
    /// The memory that reading a small file may take beyond its size, in MiB.
    mebibytes: u64,
    /// Files made by hand, each with its name.
    bombs: fn() -> Vec<(String, Vec<u8>)>,
    /// A changed file and its name.
    change: fn(&mut Dice) -> (String, Vec<u8>),
    read: fn(&Path) -> anyhow::Result<()>,
}

const PARTS: &[Part] = &[
    idx::PART,
    #[cfg(feature = "parquet")]
    parquet::PART,
    safetensors::PART,
    pth::PART,
    picture::PART,
    checkpoint::PART,
    json::PART,
    recipe::PART,
];

/// Runs the first cases of every part.
macro_rules! slices {
    ($($test:ident: $part:expr, $cases:expr;)*) => {$(
        #[test]
        fn $test() {
            let outcome = parent::run(&$part, 0, $cases);
            assert_eq!(outcome.lost, 0);
            assert!(outcome.read > 0 && outcome.read < $cases / 2, "{} were read", outcome.read);
        }
    )*};
}

slices! {
    idx_survives: idx::PART, 5_000;
    safetensors_survive: safetensors::PART, 1_000;
    pth_survives: pth::PART, 1_000;
    pictures_survive: picture::PART, 500;
    checkpoints_survive: checkpoint::PART, 300;
    json_survives: json::PART, 1_000;
    recipes_survive: recipe::PART, 1_000;
}
#[cfg(feature = "parquet")]
slices! {
    parquet_survives: parquet::PART, 1_000;
}

/// Runs the cases of a part that `MNIST_KIT_TORTURE` names, as `part:first:count`, and prints a line
/// of JSON.
#[test]
#[ignore = "run by make torture"]
fn full() {
    let asked = std::env::var("MNIST_KIT_TORTURE").expect("MNIST_KIT_TORTURE=part:first:count");
    let words: Vec<&str> = asked.split(':').collect();
    let [name, first, count] = words[..] else { panic!("{asked}: expected part:first:count") };
    let part = PARTS.iter().find(|part| part.name == name).expect("a part");
    let (first, count) = (first.parse().expect("a number"), count.parse().expect("a number"));
    let outcome = parent::run(part, first, count);
    println!("\n{}", outcome.json(part));
    assert_eq!(outcome.lost, 0);
}

/// Reads cases in a process of its own.
#[test]
#[ignore = "run by the other tests in a process of its own"]
fn child() {
    child::main();
}
