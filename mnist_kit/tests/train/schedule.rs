use crate::common::{generator, message};
use crate::{digits, mlp};
use anyhow::Result;
use mnist_kit::train::{Schedule, Silent, fit};

#[test]
fn settings_out_of_range_are_refused() -> Result<()> {
    let _alone = generator();
    let (train_batches, val_batches) = digits(3, 50)?;
    for (wrong, expected) in [
        (Schedule::Step { every: 0, gamma: 0.5 }, "every is 0, expected at least 1 epoch"),
        (Schedule::Step { every: 1, gamma: -0.5 }, "gamma is -0.5"),
        (Schedule::OneCycle { warm_up: 1.0 }, "warm_up is 1, expected a fraction between 0 and 1"),
        (Schedule::ReduceOnPlateau { factor: 1.0, patience: 1 }, "factor is 1"),
    ] {
        let (vs, model) = mlp()?;
        let run = fit(&model, &vs, &train_batches).validation(&val_batches).schedule(wrong);
        let error = message(run.report(Silent).run());
        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}

#[test]
fn a_plateau_follows_the_validation_losses() {
    let plateau = Schedule::ReduceOnPlateau { factor: 0.5, patience: 1 };
    let rates: Vec<f64> =
        plateau.curve(1.0, 5, 1, &[0.3, 0.4, 0.4, 0.2]).into_iter().map(|(_, lr)| lr).collect();
    assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5]);
    assert_eq!(plateau.curve(1.0, 3, 0, &[]), []);
}
