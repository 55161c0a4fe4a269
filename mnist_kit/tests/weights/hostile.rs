//! `.pth` files made to exhaust the memory: each is refused, within a limited amount of it.

use crate::common::{memory, message, run_alone};
use crate::pth_file::{archive, dictionary, hostile_files, tensor, text};
use anyhow::Result;
use mnist_kit::weights::load_weights;
use std::path::Path;
use tch::{Device, nn};

#[test]
#[ignore = "run by hostile_files_are_refused in a process of its own"]
fn read_hostile_files() -> Result<()> {
    let folder = std::env::var("MNIST_KIT_TEST_FOLDER")?;
    let vs = nn::VarStore::new(Device::Cpu);
    let _weight = vs.root().zeros("w", &[4]);
    for (name, _, expected) in hostile_files() {
        let before = memory("VmHWM");
        let text = message(load_weights(&vs, Path::new(&folder).join(name)));
        assert!(text.contains(expected) && text.len() < 2_000, "{name}: {text}");
        let megabytes = (memory("VmHWM") - before) >> 20;
        assert!(megabytes < 200, "{name}: {megabytes} MiB");
    }
    Ok(())
}

#[test]
fn hostile_files_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, content, _) in hostile_files() {
        std::fs::write(folder.path().join(name), content)?;
    }
    // The archives that these are variations of are read.
    let program = dictionary([[text("w"), tensor("0", &[4], &[1])].concat()]);
    let path = folder.path().join("good.pth");
    std::fs::write(
        &path,
        archive(&[("a/data.pkl", Some(&program)), ("a/data/0", Some(&[0; 16]))]),
    )?;
    let vs = nn::VarStore::new(Device::Cpu);
    let _weight = vs.root().ones("w", &[4]);
    load_weights(&vs, &path)?;
    assert_eq!(vs.variables()["w"].sum(tch::Kind::Float).double_value(&[]), 0.0);

    let folder = folder.path().display().to_string();
    run_alone("hostile::read_hostile_files", &[("MNIST_KIT_TEST_FOLDER", &folder)]);
    Ok(())
}
