//! Batches as an iterator.

use mnist_kit::data::Mnist;

#[test]
fn a_loop_over_batches_gives_the_first_epoch() {
    let digits = Mnist::generated(7, 25, 10).unwrap();
    let batches = digits.train.batches(10).unwrap().shuffle(3);
    let labels = |epoch: mnist_kit::data::Epoch| -> Vec<Vec<i64>> {
        epoch.map(|batch| Vec::try_from(batch.unwrap().1).unwrap()).collect()
    };
    let mut count = 0;
    for batch in &batches {
        count += batch.unwrap().0.size()[0];
    }
    assert_eq!(count, 25);
    assert_eq!(labels((&batches).into_iter()), labels(batches.epoch(1)));
    assert_ne!(labels((&batches).into_iter()), labels(batches.epoch(2)));
}
