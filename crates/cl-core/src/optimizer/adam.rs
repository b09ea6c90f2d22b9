//! Adam.

use burn::tensor::ops::FloatTensor;
use serde::{Deserialize, Serialize};

use super::{UpdateRule, check};
use crate::kernels::{AdamStep, OptimizerBackend};
use crate::registry::{Check, Component, ensure};
use crate::schedule::Schedule;

/// `type = "adam"`: the numbers of `torch.optim.Adam`, its ε of 1e-8 included (Burn's own default is 1e-5).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Learning rate ≥ 0, a number or a schedule.
    pub lr: Schedule,
    /// β₁ and β₂ in [0, 1).
    pub betas: [f64; 2],
    /// ε > 0, added to the root of the second moment.
    pub eps: f64,
    /// Added to the gradient as `weight_decay · θ`.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { lr: 1e-3.into(), betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

impl AdamConfig {
    /// The checks of Adam and AdamW.
    pub(super) fn check(&self) -> Check {
        check(self.lr, self.weight_decay)?;
        ensure(self.betas.iter().all(|beta| (0.0..1.0).contains(beta)), "betas", || {
            format!("must lie in [0, 1), got {:?}", self.betas)
        })?;
        ensure(self.eps > 0.0 && self.eps.is_finite(), "eps", || {
            format!("must be more than 0, got {}", self.eps)
        })
    }

    /// A step of either, the decay going into the gradient or not.
    pub(super) fn step(&self, rate: f64, time: usize, decoupled: bool) -> AdamStep {
        let (coupled_decay, decoupled_decay) =
            if decoupled { (0.0, self.weight_decay) } else { (self.weight_decay, 0.0) };
        let [beta_1, beta_2] = self.betas;
        AdamStep { rate, beta_1, beta_2, epsilon: self.eps, coupled_decay, decoupled_decay, time }
    }
}

/// Applies a step of Adam to a tensor and its two moments.
pub(super) fn apply<B: OptimizerBackend>(
    step: AdamStep,
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    state: Vec<FloatTensor<B>>,
) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
    let Ok([first, second]) = <[_; 2]>::try_from(state) else {
        panic!("Adam keeps two moments for each tensor")
    };
    let [parameter, first, second] = B::adam(parameter, gradient, first, second, step);
    (parameter, vec![first, second])
}

impl<B: OptimizerBackend> Component<dyn UpdateRule<B>> for AdamConfig {
    const NAME: &'static str = "adam";
    const SUMMARY: &'static str = "Adam (Kingma & Ba 2015), as torch.optim.Adam";

    fn validate(&self) -> Check {
        self.check()
    }

    fn build(self) -> Box<dyn UpdateRule<B>> {
        Box::new(self)
    }
}

impl<B: OptimizerBackend> UpdateRule<B> for AdamConfig {
    fn rate(&self) -> Schedule {
        self.lr
    }

    fn states(&self) -> usize {
        2
    }

    fn update(
        &self,
        rate: f64,
        time: usize,
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        state: Vec<FloatTensor<B>>,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        apply::<B>(self.step(rate, time, false), parameter, gradient, state)
    }
}
