//! SGD, Adam and AdamW as plain tensor code.
//!
//! tch's own optimizers hide their state and their learning rate. These keep both in the open, so
//! that a run can be saved and resumed, and so that their formulas can be read.

use crate::Result;
use crate::check::{describe, plain};
use crate::model::{is_part_of, named_parameters};
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Tensor, nn};

/// An optimizer's kind and settings. Made from [`Sgd`], [`Adam`] or [`AdamW`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam.
    Adam(Adam),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
}

/// Stochastic gradient descent, with PyTorch's formula for momentum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    lr: f64,
    momentum: f64,
    weight_decay: f64,
}

impl Sgd {
    /// Creates SGD with this learning rate, without momentum and weight decay, as
    /// `torch.optim.SGD`.
    pub fn new(lr: f64) -> Sgd {
        Sgd { lr, momentum: 0.0, weight_decay: 0.0 }
    }

    /// Sets the fraction of the last step that is kept, 0 ≤ value < 1.
    pub fn momentum(mut self, momentum: f64) -> Sgd {
        self.momentum = momentum;
        self
    }

    /// Sets the L2 penalty that is added to the gradient, 0 or more.
    pub fn weight_decay(mut self, weight_decay: f64) -> Sgd {
        self.weight_decay = weight_decay;
        self
    }

    /// Creates the optimizer, see [`OptimizerConfig::build`].
    pub fn build(self, vs: &nn::VarStore) -> Result<Optimizer> {
        OptimizerConfig::from(self).build(vs)
    }
}

/// Adam (Kingma and Ba, 2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
}

impl Adam {
    /// Creates Adam with this learning rate; betas 0.9 and 0.999, eps 1e-8, no weight decay, as
    /// `torch.optim.Adam`.
    pub fn new(lr: f64) -> Adam {
        Adam { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 }
    }

    /// Sets the decay rates of the running means of the gradient and of its square, each 0 ≤ value
    /// < 1.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Adam {
        self.betas = (beta1, beta2);
        self
    }

    /// Sets the L2 penalty that is added to the gradient, 0 or more.
    pub fn weight_decay(mut self, weight_decay: f64) -> Adam {
        self.weight_decay = weight_decay;
        self
    }

    /// Creates the optimizer, see [`OptimizerConfig::build`].
    pub fn build(self, vs: &nn::VarStore) -> Result<Optimizer> {
        OptimizerConfig::from(self).build(vs)
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamW(Adam);

impl AdamW {
    /// Creates AdamW with this learning rate; betas 0.9 and 0.999, eps 1e-8, weight decay 0.01, as
    /// `torch.optim.AdamW`.
    pub fn new(lr: f64) -> AdamW {
        AdamW(Adam::new(lr).weight_decay(0.01))
    }

    /// Sets the decay rates of the running means of the gradient and of its square, each 0 ≤ value
    /// < 1.
    pub fn betas(self, beta1: f64, beta2: f64) -> AdamW {
        AdamW(self.0.betas(beta1, beta2))
    }

    /// Sets the fraction of each weight that a step of learning rate 1 removes, 0 or more.
    pub fn weight_decay(self, weight_decay: f64) -> AdamW {
        AdamW(self.0.weight_decay(weight_decay))
    }

    /// Creates the optimizer, see [`OptimizerConfig::build`].
    pub fn build(self, vs: &nn::VarStore) -> Result<Optimizer> {
        OptimizerConfig::from(self).build(vs)
    }
}

impl From<Sgd> for OptimizerConfig {
    fn from(sgd: Sgd) -> OptimizerConfig {
        OptimizerConfig::Sgd(sgd)
    }
}

impl From<Adam> for OptimizerConfig {
    fn from(adam: Adam) -> OptimizerConfig {
        OptimizerConfig::Adam(adam)
    }
}

impl From<AdamW> for OptimizerConfig {
    fn from(adamw: AdamW) -> OptimizerConfig {
        OptimizerConfig::AdamW(adamw)
    }
}

impl OptimizerConfig {
    /// Creates the optimizer of every parameter in the store; build the model first.
    ///
    /// # Errors
    /// When a setting is out of range, or the store holds no parameter.
    ///
    /// ```
    /// use mnist_kit::model::linear;
    /// use mnist_kit::train::Adam;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let layer = linear(vs.root(), 3, 1);
    /// let mut optimizer = Adam::new(1e-2).build(&vs)?;
    /// let ones = Tensor::ones([1, 3], (Kind::Float, Device::Cpu));
    /// let loss = || ones.apply(&layer).square().sum(Kind::Float);
    /// let before = loss().double_value(&[]);
    /// for _ in 0..100 {
    ///     optimizer.zero_grad();
    ///     loss().backward();
    ///     optimizer.step()?;
    /// }
    /// assert!(loss().double_value(&[]) < before);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn build(self, vs: &nn::VarStore) -> Result<Optimizer> {
        let (lr, weight_decay, decays) = match &self {
            OptimizerConfig::Sgd(sgd) => (sgd.lr, sgd.weight_decay, vec![sgd.momentum]),
            OptimizerConfig::Adam(adam) | OptimizerConfig::AdamW(AdamW(adam)) => {
                (adam.lr, adam.weight_decay, vec![adam.betas.0, adam.betas.1])
            }
        };
        check_lr(lr)?;
        ensure!(
            weight_decay >= 0.0 && weight_decay.is_finite(),
            "weight decay {weight_decay}: expected a finite number, 0 or more"
        );
        for decay in decays {
            ensure!(
                (0.0..1.0).contains(&decay),
                "momentum or beta {decay}: expected 0 ≤ value < 1"
            );
        }
        let parameters: Vec<Parameter> = named_parameters(vs)
            .into_iter()
            .map(|(name, tensor)| Parameter {
                name,
                tensor,
                state: Vec::new(),
                steps: 0,
                rate: 1.0,
            })
            .collect();
        ensure!(
            !parameters.is_empty(),
            "the store holds no parameter: build the model before the optimizer"
        );
        // For programs that train without `mnist_kit::init`.
        crate::runtime::vector_math::settle();
        Ok(Optimizer { config: self, lr, parameters })
    }
}

impl OptimizerConfig {
    /// Number of tensors that the optimizer keeps for each parameter that it has stepped.
    fn tensors_kept(&self) -> usize {
        match self {
            OptimizerConfig::Sgd(sgd) => usize::from(sgd.momentum > 0.0),
            OptimizerConfig::Adam(_) | OptimizerConfig::AdamW(_) => 2,
        }
    }
}

fn check_lr(lr: f64) -> Result<()> {
    ensure!(lr >= 0.0 && lr.is_finite(), "learning rate {lr}: expected a finite number, 0 or more");
    Ok(())
}

/// An optimizer with its state for each parameter.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    lr: f64,
    parameters: Vec<Parameter>,
}

/// The largest number of steps that a state may have; more than any run takes.
const MOST_STEPS: i64 = 1_000_000_000;

/// A tensor of one number, without dimensions.
fn one_number(tensor: &Tensor) -> Result<Tensor> {
    ensure!(
        tensor.defined() && tensor.numel() == 1,
        "the optimizer state has {} where one number belongs",
        describe(tensor)
    );
    Ok(tensor.f_reshape([0i64; 0])?)
}

/// One parameter with its state: the momentum of SGD, or Adam's running means of the gradient and
/// of its square. The state is empty until the first step.
#[derive(Debug)]
struct Parameter {
    name: String,
    tensor: Tensor,
    state: Vec<Tensor>,
    steps: i32,
    /// Its learning rate as a multiple of the optimizer's.
    rate: f64,
}

impl Optimizer {
    /// The learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// Sets the learning rate of the next steps.
    ///
    /// # Errors
    /// When it is negative or not finite.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        check_lr(lr)?;
        self.lr = lr;
        Ok(())
    }

    /// Sets the learning rate of the parameters whose names begin with `prefix`, as a multiple of
    /// the optimizer's, so that it follows the same schedule.
    ///
    /// # Errors
    /// When no parameter is called so, or the factor is negative or not finite.
    ///
    /// ```
    /// use mnist_kit::model::linear;
    /// use mnist_kit::train::Adam;
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// linear(vs.root() / "fc", 3, 1);
    /// let mut optimizer = Adam::new(1e-5).build(&vs)?;
    /// optimizer.set_rate("fc", 100.0)?;
    /// assert!(optimizer.set_rate("head", 1.0).is_err());
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn set_rate(&mut self, prefix: &str, factor: f64) -> Result<()> {
        ensure!(
            factor >= 0.0 && factor.is_finite(),
            "learning rate factor {factor} of {prefix}: expected a finite number, 0 or more"
        );
        let mut found = false;
        for parameter in &mut self.parameters {
            if is_part_of(&parameter.name, prefix) {
                (parameter.rate, found) = (factor, true);
            }
        }
        ensure!(
            found,
            "no parameter is called {prefix} or {prefix}.…; the first one is {}",
            self.parameters[0].name
        );
        Ok(())
    }

    /// The state by name: `<parameter>.<number>` for the tensors of a parameter,
    /// `<parameter>.steps` for its number of steps, `lr` for the learning rate.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::from([("lr".to_string(), Tensor::f_from_slice(&[self.lr])?)]);
        for parameter in &self.parameters {
            let name = &parameter.name;
            for (i, tensor) in parameter.state.iter().enumerate() {
                state.insert(format!("{name}.{i}"), tensor.f_detach()?);
            }
            let steps = Tensor::f_from_slice(&[i64::from(parameter.steps)])?;
            state.insert(format!("{name}.steps"), steps);
        }
        Ok(state)
    }

    /// Restores a state that [`state`](Optimizer::state) has returned, perhaps in another process.
    ///
    /// # Errors
    /// When the state belongs to other parameters or to another kind of optimizer; nothing is
    /// changed then.
    pub fn set_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        plain(self.try_set_state(state))
    }

    fn try_set_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let get = |name: &str| {
            state.get(name).with_context(|| format!("the optimizer state has no {name}"))
        };
        let lr = one_number(get("lr")?)?.f_double_value(&[])?;
        check_lr(lr)?;
        let kept = self.config.tensors_kept();
        let mut found = Vec::new();
        for parameter in &self.parameters {
            let name = &parameter.name;
            let steps = one_number(get(&format!("{name}.steps"))?)?.f_int64_value(&[])?;
            let tensors = (0..)
                .map_while(|i| state.get(&format!("{name}.{i}")))
                .map(|tensor| Ok(tensor.f_to_device(parameter.tensor.device())?.f_detach_copy()?))
                .collect::<Result<Vec<_>>>()?;
            ensure!(
                (0..=MOST_STEPS).contains(&steps)
                    && (tensors.len() == kept || (tensors.is_empty() && steps == 0)),
                "the optimizer state of {name} has {} tensors after {steps} steps, expected \
                 {kept}: it is that of another kind of optimizer",
                tensors.len()
            );
            for tensor in &tensors {
                ensure!(
                    tensor.size() == parameter.tensor.size()
                        && tensor.kind() == parameter.tensor.kind(),
                    "the optimizer state of {name} is {}, expected {}",
                    describe(tensor),
                    describe(&parameter.tensor)
                );
            }
            found.push((steps as i32, tensors));
        }
        self.lr = lr;
        for (parameter, (steps, tensors)) in self.parameters.iter_mut().zip(found) {
            (parameter.steps, parameter.state) = (steps, tensors);
        }
        Ok(())
    }

    /// Refuses variables of the model and values of the state that are not finite.
    ///
    /// The loss is computed before the step, so a step can leave infinite weights after a finite
    /// loss.
    pub(super) fn expect_finite(&self, vs: &nn::VarStore) -> Result<()> {
        let finite = |tensor: &Tensor| -> Result<bool> {
            Ok(tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1)
        };
        for (name, tensor) in vs.variables() {
            ensure!(
                finite(&tensor)?,
                "the variable {name} is no longer finite: training diverged at learning rate {}; \
                 try a smaller one",
                self.lr
            );
        }
        for parameter in &self.parameters {
            for tensor in &parameter.state {
                ensure!(
                    finite(tensor)?,
                    "the optimizer's state of {} is no longer finite: training diverged at \
                     learning rate {}; try a smaller one",
                    parameter.name,
                    self.lr
                );
            }
        }
        Ok(())
    }

    /// Clears the gradients of the last backward pass.
    pub fn zero_grad(&mut self) {
        for parameter in &mut self.parameters {
            parameter.tensor.zero_grad();
        }
    }

    /// Updates every trainable parameter that has a gradient.
    pub fn step(&mut self) -> Result<()> {
        plain(self.try_step())
    }

    fn try_step(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for parameter in &mut self.parameters {
            let gradient = parameter.tensor.grad();
            let lr = self.lr * parameter.rate;
            if gradient.defined() && parameter.tensor.requires_grad() {
                let step = match &self.config {
                    OptimizerConfig::Sgd(sgd) => parameter.step_sgd(&gradient, sgd, lr),
                    OptimizerConfig::Adam(adam) => {
                        let gradient =
                            with_penalty(&gradient, &parameter.tensor, adam.weight_decay)?;
                        parameter.step_adam(&gradient, adam, lr)
                    }
                    OptimizerConfig::AdamW(AdamW(adam)) => {
                        let _ = parameter.tensor.f_mul_scalar_(1.0 - lr * adam.weight_decay)?;
                        parameter.step_adam(&gradient, adam, lr)
                    }
                };
                step.with_context(|| format!("the optimizer cannot update {}", parameter.name))?;
            }
        }
        Ok(())
    }
}

/// The gradient of the loss with an L2 penalty on the weights.
fn with_penalty(gradient: &Tensor, weights: &Tensor, weight_decay: f64) -> Result<Tensor> {
    if weight_decay == 0.0 {
        return Ok(gradient.shallow_clone());
    }
    Ok(gradient.f_add(&weights.f_mul_scalar(weight_decay)?)?)
}

impl Parameter {
    fn step_sgd(&mut self, gradient: &Tensor, sgd: &Sgd, lr: f64) -> Result<()> {
        let mut step = with_penalty(gradient, &self.tensor, sgd.weight_decay)?;
        if sgd.momentum > 0.0 {
            match self.state.first_mut() {
                // velocity ← momentum · velocity + gradient, from the second step on
                Some(velocity) => {
                    let _ = velocity.f_mul_scalar_(sgd.momentum)?.f_add_(&step)?;
                }
                None => self.state.push(step.f_detach_copy()?),
            }
            step = self.state[0].shallow_clone();
        }
        let _ = self.tensor.f_sub_(&step.f_mul_scalar(lr)?)?;
        self.steps += 1;
        Ok(())
    }

    fn step_adam(&mut self, gradient: &Tensor, adam: &Adam, lr: f64) -> Result<()> {
        if self.state.is_empty() {
            self.state = vec![self.tensor.f_zeros_like()?, self.tensor.f_zeros_like()?];
        }
        self.steps += 1;
        let (beta1, beta2) = adam.betas;
        let [mean, square] = &mut self.state[..] else { unreachable!("Adam keeps two tensors") };
        let _ = mean.f_lerp_(gradient, 1.0 - beta1)?;
        let _ = square.f_lerp_(&gradient.f_square()?, 1.0 - beta2)?;
        // Where a gradient stays 0, its means shrink into denormal numbers, on which processors are
        // slow. Values this small no longer change a weight.
        if self.steps % 100 == 0 {
            for faded in [&mut *mean, &mut *square] {
                let _ = faded.f_masked_fill_(&faded.f_abs()?.f_lt(1e-30)?, 0.0)?;
            }
        }
        // Both means start at 0, so their first values are too small by these factors.
        let mean_correction = 1.0 - beta1.powi(self.steps);
        let square_correction = 1.0 - beta2.powi(self.steps);
        let denominator =
            square.f_sqrt()?.f_div_scalar_(square_correction.sqrt())?.f_add_scalar_(adam.eps)?;
        let _ = self.tensor.f_addcdiv_(&mean.f_mul_scalar(-lr / mean_correction)?, &denominator)?;
        Ok(())
    }
}
