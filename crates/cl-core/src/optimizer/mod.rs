//! From gradients to new parameters.
//!
//! Burn's `OptimizerAdaptor` walks the module and keeps the states; what happens to one tensor is an [`UpdateRule`], a
//! trait object so that a file can choose it. The step over a table is one pass where the backend has a kernel.

mod adam;
mod adam_w;
mod moments;
mod sgd;

use std::sync::Arc;

use burn::optim::{LearningRate, SimpleOptimizer};
use burn::record::Record;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

pub use adam::AdamConfig;
pub use adam_w::AdamWConfig;
pub use sgd::SgdConfig;

use crate::kernels::OptimizerBackend;
use crate::registry::{Check, Registry, ensure};
use crate::schedule::Schedule;

/// How one tensor is updated.
pub trait UpdateRule<B: Backend>: Send + Sync {
    /// The learning rate over the epochs.
    fn rate(&self) -> Schedule;

    /// Number of tensors of state, each of the parameter's shape and zero at first.
    fn states(&self) -> usize;

    /// The new parameter and state at step `time`, counted from 1.
    fn update(
        &self,
        rate: f64,
        time: usize,
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        state: Vec<FloatTensor<B>>,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>);
}

/// The optimizers of this crate.
#[must_use]
pub fn optimizers<B: OptimizerBackend>() -> Registry<dyn UpdateRule<B>> {
    Registry::new("optimizer").with::<AdamConfig>().with::<AdamWConfig>().with::<SgdConfig>()
}

/// An [`UpdateRule`] as Burn's `SimpleOptimizer`.
pub struct Rule<B: Backend>(Arc<dyn UpdateRule<B>>);

impl<B: Backend> Rule<B> {
    /// Wraps a rule.
    #[must_use]
    pub fn new(rule: Box<dyn UpdateRule<B>>) -> Self {
        Self(rule.into())
    }
}

impl<B: Backend> Clone for Rule<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The state of one parameter.
#[derive(Record, Clone)]
pub struct RuleState<B: Backend, const D: usize> {
    /// Steps taken.
    pub time: usize,
    /// The tensors that the rule keeps.
    pub tensors: Vec<Tensor<B, D>>,
}

impl<B: Backend> SimpleOptimizer<B> for Rule<B> {
    type State<const D: usize> = RuleState<B, D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<B, D>,
        grad: Tensor<B, D>,
        state: Option<RuleState<B, D>>,
    ) -> (Tensor<B, D>, Option<RuleState<B, D>>) {
        let state = state.unwrap_or_else(|| RuleState {
            time: 0,
            tensors: vec![Tensor::zeros(tensor.shape(), &tensor.device()); self.0.states()],
        });
        let time = state.time + 1;
        let primitive = |tensor: Tensor<B, D>| tensor.into_primitive().tensor();
        let (tensor, tensors) = self.0.update(
            rate,
            time,
            primitive(tensor),
            primitive(grad),
            state.tensors.into_iter().map(primitive).collect(),
        );
        let wrap = |tensor| Tensor::from_primitive(TensorPrimitive::Float(tensor));
        (wrap(tensor), Some(RuleState { time, tensors: tensors.into_iter().map(wrap).collect() }))
    }

    fn to_device<const D: usize>(mut state: RuleState<B, D>, device: &B::Device) -> RuleState<B, D> {
        state.tensors = state.tensors.into_iter().map(|tensor| tensor.to_device(device)).collect();
        state
    }
}

/// The checks that all optimizers share.
fn check(rate: Schedule, weight_decay: f64) -> Check {
    ensure(rate.all(|value| value >= 0.0 && value.is_finite()), "lr", || {
        format!("must be 0 or more, got {rate}")
    })?;
    ensure(weight_decay >= 0.0 && weight_decay.is_finite(), "weight_decay", || {
        format!("must be 0 or more, got {weight_decay}")
    })
}
