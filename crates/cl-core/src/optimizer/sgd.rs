//! Stochastic gradient descent with momentum.

use burn::tensor::TensorMetadata;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};
use serde::{Deserialize, Serialize};

use super::{UpdateRule, check};
use crate::registry::{Check, Component, ensure};
use crate::schedule::Schedule;

/// `type = "sgd"`: `v ← momentum · v + (g + weight_decay · θ)`, `θ ← θ − lr · v`, as `torch.optim.SGD`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Learning rate ≥ 0, a number or a schedule.
    pub lr: Schedule,
    /// In [0, 1); 0 is plain descent.
    pub momentum: f64,
    /// Added to the gradient as `weight_decay · θ`.
    pub weight_decay: f64,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { lr: 0.1.into(), momentum: 0.0, weight_decay: 0.0 }
    }
}

impl<B: Backend> Component<dyn UpdateRule<B>> for SgdConfig {
    const NAME: &'static str = "sgd";
    const SUMMARY: &'static str = "stochastic gradient descent with momentum, as torch.optim.SGD";

    fn validate(&self) -> Check {
        check(self.lr, self.weight_decay)?;
        ensure((0.0..1.0).contains(&self.momentum), "momentum", || {
            format!("must be in [0, 1), got {}", self.momentum)
        })
    }

    fn build(self) -> Box<dyn UpdateRule<B>> {
        Box::new(self)
    }
}

impl<B: Backend> UpdateRule<B> for SgdConfig {
    fn rate(&self) -> Schedule {
        self.lr
    }

    fn states(&self) -> usize {
        1
    }

    fn update(
        &self,
        rate: f64,
        _time: usize,
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        mut state: Vec<FloatTensor<B>>,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let shape = parameter.shape();
        let length = shape.num_elements();
        // The rank does not matter element by element.
        let flat = |tensor| {
            Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(B::float_reshape(tensor, [length].into())))
        };
        let back = |tensor: Tensor<B, 1>| B::float_reshape(tensor.into_primitive().tensor(), shape.clone());
        let parameter = flat(parameter);
        let gradient = flat(gradient) + parameter.clone().mul_scalar(self.weight_decay);
        let velocity = match state.pop() {
            Some(velocity) => flat(velocity).mul_scalar(self.momentum) + gradient,
            None => gradient,
        };
        let parameter = parameter - velocity.clone().mul_scalar(rate);
        (back(parameter), vec![back(velocity)])
    }
}
