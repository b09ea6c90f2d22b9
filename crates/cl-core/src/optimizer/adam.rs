//! Adam.

use burn::tensor::ops::FloatTensor;
use serde::{Deserialize, Serialize};

use super::moments::Moments;
use super::{UpdateRule, check};
use crate::kernels::OptimizerBackend;
use crate::registry::{Check, Component};
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
    fn moments(&self) -> Moments {
        let Self { betas, eps, weight_decay, .. } = *self;
        Moments { betas, eps, coupled_decay: weight_decay, decoupled_decay: 0.0 }
    }
}

impl<B: OptimizerBackend> Component<dyn UpdateRule<B>> for AdamConfig {
    const NAME: &'static str = "adam";
    const SUMMARY: &'static str = "Adam (Kingma & Ba 2015), as torch.optim.Adam";

    fn validate(&self) -> Check {
        check(self.lr, self.weight_decay)?;
        self.moments().check()
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
        self.moments().update::<B>(rate, time, parameter, gradient, state)
    }
}
