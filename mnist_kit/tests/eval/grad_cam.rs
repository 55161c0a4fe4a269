//! Class activation maps of more images than are computed together.

use anyhow::Result;
use mnist_kit::eval::grad_cam;
use tch::{Device, Kind, Tensor, nn};

#[test]
fn a_map_depends_on_its_own_image_only() -> Result<()> {
    // A logit is three times the mean of its channel, whose 9 gradients are all 3 / 9. The other
    // channel's are 0.
    let lower = nn::func_t(|images, _| images.shallow_clone());
    let upper = nn::func_t(|activations, _| activations.mean_dim(&[2, 3][..], false, None) * 3.0);
    let images = Tensor::rand([150, 2, 3, 3], (Kind::Float, Device::Cpu));
    let classes: Vec<i64> = (0..150).map(|index| index % 2).collect();
    let maps = grad_cam(&lower, &upper, &images, &classes)?;
    assert_eq!(maps.size(), [150, 3, 3]);
    for (index, &class) in classes.iter().enumerate() {
        let expected = images.get(index as i64).get(class) / 3.0;
        let map = maps.get(index as i64);
        assert!(map.allclose(&expected, 1e-5, 1e-6, false), "image {index}");
    }
    Ok(())
}
