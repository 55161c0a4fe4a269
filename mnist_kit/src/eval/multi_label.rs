//! Metrics for tasks in which an image may have several classes at once.

use crate::Result;
use crate::check::{describe, plain};
use anyhow::ensure;
use tch::{Kind, Tensor};

/// Computes the F1 score of each class of a multi-label task: the harmonic mean of precision and
/// recall, 0–1.
///
/// It is 0 where a class neither occurs nor is predicted, as scikit-learn's `f1_score` with
/// `average=None`.
///
/// # Shapes
/// `scores` `[N, classes]` float, `truths` of the same shape, 1 where a class applies and else 0; a
/// class is predicted where its score is above `threshold`.
///
/// # Errors
/// When shapes differ or there is nothing to measure.
///
/// ```
/// use mnist_kit::eval::f1_scores;
/// use tch::Tensor;
///
/// let scores = Tensor::from_slice2(&[[0.9f32, 0.1], [0.8, 0.7]]);
/// let truths = Tensor::from_slice2(&[[1i64, 0], [0, 1]]);
/// assert_eq!(f1_scores(&scores, &truths, 0.5)?, [2.0 / 3.0, 1.0]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn f1_scores(scores: &Tensor, truths: &Tensor, threshold: f64) -> Result<Vec<f64>> {
    check_multi_label(scores, truths)?;
    plain(f1_by_class(scores, truths, threshold))
}

fn f1_by_class(scores: &Tensor, truths: &Tensor, threshold: f64) -> Result<Vec<f64>> {
    let predicted = scores.f_gt(threshold)?;
    let truths = truths.f_gt(0)?;
    let count =
        |hits: Tensor| hits.f_to_kind(Kind::Double)?.f_sum_dim_intlist(0, false, Kind::Double);
    let both = count(predicted.f_logical_and(&truths)?)?;
    let sum = count(predicted)?.f_add(&count(truths)?)?;
    Ok(Vec::try_from(both.f_mul_scalar(2.0)?.f_div(&sum.f_clamp_min(1.0)?)?)?)
}

/// Computes the average precision of each class of a multi-label task: the precision at each
/// positive score, weighted by the recall gained there.
///
/// As scikit-learn's `average_precision_score`; NaN for a class that never occurs. The mean over
/// the classes is the mAP.
///
/// # Shapes
/// As [`f1_scores`].
///
/// ```
/// use mnist_kit::eval::average_precisions;
/// use tch::Tensor;
///
/// let scores = Tensor::from_slice2(&[[0.9f32], [0.8], [0.7]]);
/// let truths = Tensor::from_slice2(&[[1i64], [0], [1]]);
/// assert_eq!(average_precisions(&scores, &truths)?, [(1.0 + 2.0 / 3.0) / 2.0]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn average_precisions(scores: &Tensor, truths: &Tensor) -> Result<Vec<f64>> {
    check_multi_label(scores, truths)?;
    let column = |tensor: &Tensor, class| -> Result<Vec<f64>> {
        Ok(Vec::try_from(tensor.f_select(1, class)?.f_to_kind(Kind::Double)?.f_contiguous()?)?)
    };
    let precisions = (0..scores.size()[1]).map(|class| {
        let (scores, truths) = (column(scores, class)?, column(truths, class)?);
        Ok(average_precision(&scores, &truths))
    });
    plain(precisions.collect())
}

fn average_precision(scores: &[f64], truths: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let relevant = truths.iter().filter(|&&truth| truth > 0.0).count() as f64;
    let (mut found, mut seen, mut sum) = (0.0, 0.0, 0.0);
    // Equal scores are counted together, because no threshold lies between them.
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let gained = tied.iter().filter(|&&index| truths[index] > 0.0).count() as f64;
        found += gained;
        seen += tied.len() as f64;
        sum += gained * found / seen;
    }
    sum / relevant
}

fn check_multi_label(scores: &Tensor, truths: &Tensor) -> Result<()> {
    let floats = [Kind::Float, Kind::Double];
    ensure!(
        scores.defined()
            && truths.defined()
            && scores.dim() == 2
            && scores.numel() > 0
            && floats.contains(&scores.kind())
            && (scores.size(), scores.device()) == (truths.size(), truths.device()),
        "scores are {}, truths {}: expected Float [N, classes], not empty, and truths of the same \
         shape on the same device",
        describe(scores),
        describe(truths)
    );
    Ok(())
}
