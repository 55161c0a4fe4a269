//! Several models that answer together.

use crate::Result;
use anyhow::ensure;
use tch::nn::ModuleT;
use tch::{Kind, Tensor};

/// Models whose probabilities are averaged: together they are right more often than each alone.
///
/// ```
/// use mnist_kit::model::{Ensemble, LeNet};
/// use tch::nn::ModuleT;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let stores = [nn::VarStore::new(Device::Cpu), nn::VarStore::new(Device::Cpu)];
/// let members = stores.iter().map(|vs| LeNet::new(vs.root()));
/// let ensemble = Ensemble::new(members)?;
/// let digits = Tensor::zeros([5, 1, 28, 28], (Kind::Float, Device::Cpu));
/// let probabilities = ensemble.forward_t(&digits, false).softmax(1, Kind::Float);
/// assert_eq!(probabilities.size(), [5, 10]);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Ensemble<M> {
    members: Vec<M>,
}

impl<M: ModuleT> Ensemble<M> {
    /// Puts models together, which have to take the same images and know the same classes.
    ///
    /// # Errors
    /// If there is no model.
    pub fn new(members: impl IntoIterator<Item = M>) -> Result<Ensemble<M>> {
        let members: Vec<M> = members.into_iter().collect();
        ensure!(!members.is_empty(), "an ensemble of no models; expected one or more");
        Ok(Ensemble { members })
    }
}

impl<M: ModuleT> ModuleT for Ensemble<M> {
    /// The logarithm of the mean probabilities, which softmax turns back into them.
    ///
    /// # Shapes
    /// The members' images → `[N, classes]`.
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        let log_probabilities: Vec<Tensor> = self
            .members
            .iter()
            .map(|member| member.forward_t(images, train).log_softmax(1, Kind::Float))
            .collect();
        let count = self.members.len() as f64;
        Tensor::stack(&log_probabilities, 0).logsumexp([0], false) - count.ln()
    }
}
