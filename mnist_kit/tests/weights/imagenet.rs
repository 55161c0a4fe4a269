//! ImageNet weights from a folder, the cache and a server.

use crate::common::{generator, message};
use anyhow::Result;
use mnist_kit::data::Settings;
use mnist_kit::model::Backbone;
use mnist_kit::weights::save_weights;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
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
    for part in ["no ImageNet weights for MobileNetV2", "no mobilenet_v2….pth", "switched off"] {
        assert!(text.contains(part), "{text}");
    }
    // A folder's file may have another name, and need not have the head.
    let other = nn::VarStore::new(Device::Cpu);
    Backbone::mobilenet_v2(other.root(), 1000)?;
    let path = folder.path().join("mobilenet_v2_mine.safetensors");
    save_weights(&other, &path)?;
    let found = model.load_imagenet_with(&vs, &offline)?;
    assert_eq!(Path::new(&found), path);
    let weight = |vs: &nn::VarStore| vs.variables()["features.18.0.weight"].copy();
    assert_eq!(weight(&vs), weight(&other));

    // A file with the published name must have the published content.
    let published = folder.path().join("mobilenet_v2-b0353104.pth");
    std::fs::copy(&path, &published)?;
    let text = message(model.load_imagenet_with(&vs, &offline));
    assert!(text.contains("has the name of torchvision's but is another"), "{text}");
    std::fs::remove_file(&published)?;

    // A server whose file is not the published one.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/models/", listener.local_addr()?);
    let asked = std::thread::spawn(move || -> Result<String> {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0; 1000];
        let length = stream.read(&mut request)?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfake")?;
        Ok(String::from_utf8_lossy(&request[..length]).into_owned())
    });
    let vs = nn::VarStore::new(Device::Cpu);
    let resnet = Backbone::resnet18(vs.root(), 10)?;
    let online = Settings { offline: false, weights_mirrors: vec![url], ..offline };
    let text = message(resnet.load_imagenet_with(&vs, &online));
    assert!(text.contains("incomplete, 4 of 46830571 bytes"), "{text}");
    let request = asked.join().expect("the server ends")?;
    assert!(request.starts_with("GET /models/resnet18-f37072fd.pth "), "{request}");
    assert_eq!(
        std::fs::read_dir(folder.path().join("cache/weights"))?.count(),
        1,
        "the lock alone"
    );
    Ok(())
}
