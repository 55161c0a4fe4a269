//! Errors in place of panics and call stacks, for the kit's modules and a learner's own.

use crate::common::{assert_plain, message, run_alone};
use anyhow::Result;
use mnist_kit::data::{Batches, Mnist};
use mnist_kit::eval::{evaluate, grad_cam};
use mnist_kit::infer::read_picture;
use mnist_kit::model::{
    Backbone, Cnn, DeepCnn, LeNet, Logits, Mlp, MlpConfig, ResNet, extract_features, linear,
    predict, train_only, try_forward,
};
use mnist_kit::train::{Silent, fit};
use mnist_kit::transform::Compose;
use mnist_kit::weights::{load_pretrained, load_weights, save_weights};
use tch::nn::{Module, ModuleT};
use tch::{Device, Kind, Tensor, nn};

/// Ten images `[10, 1, 28, 28]` with the labels 0 to 9, in batches of five.
fn batches(transform: &Compose) -> Result<Batches> {
    let digits = Mnist::generated(3, 100, 10)?.train.first_of_each_class()?;
    Ok(digits.batches(5)?.transform(transform))
}

/// Gives `module` to every function that runs one, and returns the messages of their errors.
fn messages(module: &dyn ModuleT, batches: &Batches) -> Result<Vec<(&'static str, String)>> {
    let vs = nn::VarStore::new(Device::Cpu);
    linear(vs.root(), 2, 2);
    let (images, _) = batches.first()?;
    let lower = nn::func(|x| x.to_kind(Kind::Float));
    let classes = [0, 1, 2, 3, 9];
    Ok(vec![
        ("try_forward", message(try_forward(module, &images, true))),
        ("fit", message(fit(module, &vs, batches).report(Silent).run())),
        ("predict", message(predict(module, batches))),
        ("evaluate", message(evaluate(module, batches))),
        ("extract_features", message(extract_features(module, batches, 1))),
        ("grad_cam, lower", message(grad_cam(module, &lower, &images, &classes))),
        ("grad_cam, upper", message(grad_cam(&lower, module, &images, &classes))),
    ])
}

/// Checks that a message names the batch and has no call stack.
fn assert_helpful(message: &str, expected: &str) {
    assert!(message.contains(expected), "{message}");
    // `fit` compares two images before it trains.
    let shape = message.contains("a batch of Float [5, 1, 28, 28] on the CPU")
        || message.contains("a batch of Float [2, 1, 28, 28] on the CPU");
    assert!(shape, "{message}");
    assert_plain(message);
}

#[test]
fn what_goes_wrong_in_a_module_is_an_error() -> Result<()> {
    let pixels = Compose::new().to_tensor();
    let floats = batches(&pixels)?;
    // In a kernel, `init` sets a panic hook; here it comes after the one that hides panics.
    let panicking = nn::func(|_| panic!("not implemented yet"));
    assert!(try_forward(&panicking, &floats.first()?.0, false).is_err());
    mnist_kit::init();

    let options = |kind| (kind, Device::Cpu);
    let weight = Tensor::zeros([5, 10], options(Kind::Float));
    let doubles = Tensor::zeros([784, 10], options(Kind::Double));
    let wrong_shape = nn::func(move |x| x.flatten(1, -1).matmul(&weight));
    let wrong_dtype = nn::func(move |x| x.flatten(1, -1).matmul(&doubles));
    let wrong_device = nn::func(|x| x.to_device(Device::Cuda(99)));
    let unwrapping = nn::func(|x| x.f_view([-1, 7777]).unwrap());
    let modules: [(&dyn ModuleT, &str); 5] = [
        (&wrong_shape, "shapes cannot be multiplied"),
        (&wrong_dtype, "dtype"),
        (&wrong_device, ""),
        (&unwrapping, "7777"),
        (&panicking, "not implemented yet"),
    ];
    for (module, expected) in modules {
        for (function, message) in messages(module, &floats)? {
            assert!(!message.is_empty(), "{function}");
            assert_helpful(&message, expected);
        }
    }

    // The forward pass succeeds, but its result is of no use.
    let vector = nn::func(|x| x.flatten(1, -1).sum_dim_intlist(1, false, Kind::Float));
    let integers = nn::func(|x| x.flatten(1, -1).to_kind(Kind::Int64));
    for module in [&vector as &dyn ModuleT, &integers] {
        for (function, message) in messages_of_results(module, &floats)? {
            assert!(
                message.contains("[5") && message.contains("expected"),
                "{function}: {message}"
            );
            assert_plain(&message);
        }
    }

    let vs = nn::VarStore::new(Device::Cpu);
    let two_classes = MlpConfig::default().classes(2).build(vs.root())?;
    let (images, _) = floats.first()?;
    let lower = nn::func(Tensor::shallow_clone);
    for message in [
        message(fit(&two_classes, &vs, &floats).report(Silent).run()),
        message(predict(&two_classes, &floats)),
        message(evaluate(&two_classes, &floats)),
        message(grad_cam(&lower, &two_classes, &images, &[0, 1, 2, 3, 9])),
    ] {
        assert_plain(&message);
    }
    let wrong = message(predict(&two_classes, &floats));
    assert!(wrong.contains("label 9 is not among the model's 2 classes"), "{wrong}");

    // Images that were not converted to float32.
    let bytes = batches(&Compose::new())?;
    for message in [
        message(fit(&two_classes, &vs, &bytes).report(Silent).run()),
        message(predict(&two_classes, &bytes)),
        message(evaluate(&two_classes, &bytes)),
        message(extract_features(&two_classes, &bytes, 1)),
        message(grad_cam(&two_classes, &lower, &bytes.first()?.0, &[0; 5])),
    ] {
        assert!(message.contains("images are Uint8, expected Float"), "{message}");
        assert_plain(&message);
    }
    Ok(())
}

/// As [`messages`], without those functions that do not look at the result's shape.
fn messages_of_results(
    module: &dyn ModuleT,
    batches: &Batches,
) -> Result<Vec<(&'static str, String)>> {
    let (images, _) = batches.first()?;
    let lower = nn::func(Tensor::shallow_clone);
    Ok(vec![
        ("predict", message(predict(module, batches))),
        ("evaluate", message(evaluate(module, batches))),
        ("extract_features", message(extract_features(module, batches, 1))),
        ("grad_cam, lower", message(grad_cam(module, &lower, &images, &[0; 5]))),
        ("grad_cam, upper", message(grad_cam(&lower, module, &images, &[0; 5]))),
    ])
}

#[test]
fn errors_of_modules_print_nothing() {
    for variables in [&[][..], &[("EVCXR_IS_RUNTIME", "1")]] {
        let test = "errors::what_goes_wrong_in_a_module_is_an_error";
        let output = run_alone(test, variables);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{variables:?}");
    }
}

#[test]
fn a_learners_own_modules_work_everywhere() -> Result<()> {
    #[derive(Debug)]
    struct Own {
        fc: nn::Linear,
    }
    impl Module for Own {
        fn forward(&self, images: &Tensor) -> Tensor {
            self.fc.forward(&images.flatten(1, -1))
        }
    }
    let floats = batches(&Compose::new().to_tensor())?;
    let vs = nn::VarStore::new(Device::Cpu);
    let own = Own { fc: linear(vs.root() / "fc", 784, 10) };
    assert_eq!(fit(&own, &vs, &floats).report(Silent).run()?.epochs().len(), 1);
    assert_eq!(predict(&own, &floats)?.logits.size(), [10, 10]);
    assert_eq!(evaluate(&own, &floats)?.len(), 10);
    assert_eq!(extract_features(&own, &floats, 2)?.images().size(), [20, 10, 1, 1]);
    let lower = nn::func(|x| x * 2.0);
    let _no_grad = tch::no_grad_guard();
    let maps = grad_cam(&lower, &own, &floats.first()?.0, &[0, 1, 2, 3, 9])?;
    assert_eq!(maps.size(), [5, 28, 28], "also where gradients are switched off");
    let constant = nn::func(|x| x.detach().flatten(1, -1));
    let wrong = message(grad_cam(&lower, &constant, &floats.first()?.0, &[0; 5]));
    assert!(wrong.contains("no gradient with respect to the activations"), "{wrong}");
    // The kit's models are modules like any other.
    let lenet = LeNet::new(nn::VarStore::new(Device::Cpu).root());
    let sequence = nn::seq().add_fn(|x| x / 2.0).add(lenet);
    assert_eq!(predict(&sequence, &floats)?.logits.size(), [10, 10]);
    Ok(())
}

#[test]
fn images_and_weights_of_different_dtypes_are_refused() -> Result<()> {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let models: [Box<dyn ModuleT>; 6] = [
        Box::new(Mlp::new(&root / "mlp", 8)?),
        Box::new(LeNet::new(&root / "lenet")),
        Box::new(Cnn::new(&root / "cnn")),
        Box::new(DeepCnn::new(&root / "deep_cnn")),
        Box::new(ResNet::new(&root / "resnet")),
        Box::new(Backbone::mobilenet_v2(&root / "mobilenet_v2", 10)?),
    ];
    let digits = Tensor::rand([2, 1, 28, 28], (Kind::Float, Device::Cpu));
    let colors = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let images = |index| if index == 5 { &colors } else { &digits };
    for (index, model) in models.iter().enumerate() {
        assert!(try_forward(&**model, images(index), false).is_ok());
    }
    vs.double();
    for (index, model) in models.iter().enumerate() {
        let wrong = message(try_forward(&**model, images(index), false));
        assert!(wrong.contains("images are Float on Cpu, the weights Double on Cpu"), "{wrong}");
    }
    Ok(())
}

#[test]
fn logits_with_other_labels_are_refused() {
    let logits = |shape: &[i64], labels: &[i64]| Logits {
        logits: Tensor::zeros(shape, (Kind::Float, Device::Cpu)),
        labels: Tensor::from_slice(labels),
    };
    assert!(logits(&[2, 3], &[0, 2]).loss().is_ok());
    for wrong in [-100, -1, 3] {
        let text = message(logits(&[2, 3], &[0, wrong]).loss());
        assert!(text.contains(&format!("label {wrong} is not among")), "{text}");
    }
    for wrong in [logits(&[2, 3], &[0]), logits(&[2], &[0, 1]), logits(&[2, 3, 4], &[0, 1])] {
        assert_plain(&message(wrong.loss()));
    }
    assert_plain(&message(logits(&[2], &[0, 1]).predictions()));
    assert_plain(&message(logits(&[2, 3], &[0, 1, 2]).accuracy()));
}

#[test]
fn no_message_has_a_call_stack() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    std::fs::write(&file, "neither weights nor a picture")?;
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Backbone::resnet18(vs.root(), 10)?;
    let root = nn::VarStore::new(Device::Cpu);
    for message in [
        message(save_weights(&vs, file.join("below a file"))),
        message(load_weights(&vs, &file)),
        message(load_pretrained(&vs, folder.path().join("nothing"), &["fc"])),
        message(train_only(&vs, &["head"])),
        message(model.split_after("head")),
        message(read_picture(&file)),
        message(MlpConfig::default().inputs(-1).build(root.root())),
        message(Backbone::resnet18(root.root(), -1)),
        message(Backbone::mobilenet_v2(root.root(), 1 << 40)),
    ] {
        assert_plain(&message);
    }
    assert!(message(Backbone::resnet18(root.root(), -1)).contains("ResNet18: -1 classes"));
    assert!(root.variables().is_empty(), "a refused model creates no parameters");
    Ok(())
}
