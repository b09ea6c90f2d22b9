//! What the optimizers with two moments of the gradient share.

use burn::tensor::ops::FloatTensor;

use crate::kernels::{AdamStep, OptimizerBackend};
use crate::registry::{Check, ensure};

/// The numbers of a step besides its rate.
pub(super) struct Moments {
    /// β₁ and β₂ in [0, 1).
    pub(super) betas: [f64; 2],
    /// ε > 0.
    pub(super) eps: f64,
    /// Goes into the gradient.
    pub(super) coupled_decay: f64,
    /// Shrinks the parameter by itself.
    pub(super) decoupled_decay: f64,
}

impl Moments {
    /// Checks ranges.
    pub(super) fn check(&self) -> Check {
        ensure(self.betas.iter().all(|beta| (0.0..1.0).contains(beta)), "betas", || {
            format!("must lie in [0, 1), got {:?}", self.betas)
        })?;
        ensure(self.eps > 0.0 && self.eps.is_finite(), "eps", || {
            format!("must be more than 0, got {}", self.eps)
        })
    }

    /// The new parameter and its two moments at step `time`, counted from 1.
    pub(super) fn update<B: OptimizerBackend>(
        &self,
        rate: f64,
        time: usize,
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        state: Vec<FloatTensor<B>>,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let Ok([first, second]) = <[_; 2]>::try_from(state) else {
            panic!("two moments are kept for each tensor")
        };
        let Self { betas: [beta_1, beta_2], eps: epsilon, coupled_decay, decoupled_decay } = *self;
        let step = AdamStep { rate, beta_1, beta_2, epsilon, coupled_decay, decoupled_decay, time };
        let [parameter, first, second] = B::adam(parameter, gradient, first, second, step);
        (parameter, vec![first, second])
    }
}
