//! ImageNet weights from a folder, the cache and a server.

use crate::common::{generator, message};
use crate::server::Server;
use anyhow::Result;
use mnist_kit::data::Settings;
use mnist_kit::model::Backbone;
use mnist_kit::weights::save_weights;
use tch::{Device, nn};

#[test]
fn imagenet_weights_come_from_folder_cache_or_server() -> Result<()> {
    let _alone = generator();
    let folder = tempfile::tempdir()?;
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Backbone::mobilenet_v2(vs.root(), 10)?;
    let offline = Settings {
        cache_dir: Some(folder.path().join("cache")),
        weights_dir: Some(folder.path().to_path_buf()),
        offline: true,
        ..Settings::default()
    };
    let text = message(model.load_imagenet_with(&vs, &offline));
    for part in ["no mobilenet_v2….pth", "switched off"] {
        assert!(text.contains(part), "{text}");
    }
    let sentence = model.load_imagenet_with(&vs, &offline).map_err(|error| error.to_string());
    assert_eq!(
        sentence.err().as_deref(),
        Some(
            "no ImageNet weights for MobileNetV2 were found; download mobilenet_v2-b0353104.pth \
             from https://download.pytorch.org/models/, and set MNIST_KIT_WEIGHTS to its folder"
        )
    );
    // A folder's file may have another name, and need not have the head.
    let other = nn::VarStore::new(Device::Cpu);
    Backbone::mobilenet_v2(other.root(), 1000)?;
    let path = folder.path().join("mobilenet_v2_mine.safetensors");
    save_weights(&other, &path)?;
    let found = model.load_imagenet_with(&vs, &offline)?;
    assert_eq!(found.path, path);
    assert_eq!(
        found.to_string(),
        "weights from mobilenet_v2_mine.safetensors (your own file, not checked)"
    );
    let weight = |vs: &nn::VarStore| vs.variables()["features.18.0.weight"].copy();
    assert_eq!(weight(&vs), weight(&other));

    // A file with the published name must have the published content.
    let published = folder.path().join("mobilenet_v2-b0353104.pth");
    std::fs::copy(&path, &published)?;
    let text = message(model.load_imagenet_with(&vs, &offline));
    assert!(text.contains("has the name of torchvision's but is another"), "{text}");
    std::fs::remove_file(&published)?;

    // A server whose file is not the published one.
    let server = Server::with_files(vec![("resnet18-f37072fd.pth".to_string(), b"fake".to_vec())]);
    let vs = nn::VarStore::new(Device::Cpu);
    let resnet = Backbone::resnet18(vs.root(), 10)?;
    let mirrors = vec![server.url.clone()];
    let online = Settings { offline: false, weights_mirrors: mirrors, ..offline };
    let text = message(resnet.load_imagenet_with(&vs, &online));
    assert!(text.contains("incomplete, 4 of 46830571 bytes"), "{text}");
    assert_eq!(server.requests(), ["resnet18-f37072fd.pth"]);
    assert_eq!(
        std::fs::read_dir(folder.path().join("cache/weights"))?.count(),
        1,
        "the lock alone"
    );
    Ok(())
}
