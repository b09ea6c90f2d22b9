//! The recommendation loss.

mod alignment_uniformity;
mod bpr;
mod l2;
mod none;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use alignment_uniformity::AlignmentUniformityConfig;
pub use bpr::{BprConfig, BprForm, bpr};
pub use l2::{L2, L2Form, L2On};
pub use none::NoneConfig;

use crate::kernels::ContrastBackend;
use crate::registry::Registry;

/// Embeddings of a batch, for the objective.
#[derive(Debug, Clone)]
pub struct Triples<B: Backend> {
    /// Who is recommended to, `[n, d]`.
    pub anchors: Tensor<B, 2>,
    /// What they took, `[n, d]`.
    pub positives: Tensor<B, 2>,
    /// What they did not take, `[n · k, d]`, the k of an anchor together; `[0, d]` if the objective wants none.
    pub negatives: Tensor<B, 2>,
}

/// A recommendation loss.
pub trait Objective<B: Backend>: Send {
    /// k, how many negatives are sampled for a positive; 0 if none is used.
    fn negatives_per_positive(&self) -> usize;

    /// The L2 penalty that goes with it.
    fn l2(&self) -> L2;

    /// The loss `[1]`, without L2.
    fn loss(&self, batch: Triples<B>) -> Tensor<B, 1>;

    /// Whether it reads embeddings at all; `false` lets the loop skip the pass.
    fn is_active(&self) -> bool {
        true
    }
}

/// The objectives of this crate.
#[must_use]
pub fn objectives<B: ContrastBackend>() -> Registry<dyn Objective<B>> {
    Registry::new("objective").with::<BprConfig>().with::<AlignmentUniformityConfig>().with::<NoneConfig>()
}
