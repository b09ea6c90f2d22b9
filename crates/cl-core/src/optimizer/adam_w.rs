//! AdamW: Adam with decoupled weight decay.

use burn::tensor::ops::FloatTensor;
use serde::{Deserialize, Serialize};

use super::moments::Moments;
use super::{UpdateRule, check};
use crate::kernels::OptimizerBackend;
use crate::registry::{Check, Component};
use crate::schedule::Schedule;

/// `type = "adam_w"`: the numbers of `torch.optim.AdamW`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Learning rate ≥ 0, a number or a schedule.
    pub lr: Schedule,
    /// β₁ and β₂ in [0, 1).
    pub betas: [f64; 2],
    /// ε > 0, added to the root of the second moment.
    pub eps: f64,
    /// θ shrinks by `lr · weight_decay` each step.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { lr: 1e-3.into(), betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 }
    }
}

impl AdamWConfig {
    fn moments(&self) -> Moments {
        let Self { betas, eps, weight_decay, .. } = *self;
        Moments { betas, eps, coupled_decay: 0.0, decoupled_decay: weight_decay }
    }
}

impl<B: OptimizerBackend> Component<dyn UpdateRule<B>> for AdamWConfig {
    const NAME: &'static str = "adam_w";
    const SUMMARY: &'static str =
        "Adam with decoupled weight decay (Loshchilov & Hutter 2019), as torch.optim.AdamW";

    fn validate(&self) -> Check {
        check(self.lr, self.weight_decay)?;
        self.moments().check()
    }

    fn build(self) -> Box<dyn UpdateRule<B>> {
        Box::new(self)
    }
}

impl<B: OptimizerBackend> UpdateRule<B> for AdamWConfig {
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
        self.moments().update::<B>(rate, time, parameter, gradient, state)
    }
}
