//! The recommendation loss.

mod alignment_uniformity;
mod bce;
mod bpr;
mod cross_entropy;
mod gbce;
mod l2;
mod none;
mod sampled_softmax;

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

pub use alignment_uniformity::AlignmentUniformityConfig;
pub use bce::{BceConfig, bce};
pub use bpr::{BprConfig, BprForm, bpr};
pub use cross_entropy::{CrossEntropyConfig, cross_entropy};
pub use gbce::{GbceConfig, gbce};
pub use l2::{L2, L2Form, L2On};
pub use none::NoneConfig;
pub use sampled_softmax::{SampledSoftmaxConfig, sampled_softmax};

use crate::contrast::row_dot;
use crate::kernels::{ContrastBackend, sampled_scores};
use crate::registry::{Check, Registry, ensure};
use crate::sampling::Sampling;
use crate::source::Targets;

/// What anchors did not take.
#[derive(Debug, Clone)]
pub enum SampledNegatives<B: Backend> {
    /// Their embeddings, `[n · k, d]`, the k of an anchor together; `[0, d]` if the objective wants none.
    Rows(Tensor<B, 2>),
    /// Items of a table; see [`sampled_scores`].
    Items {
        /// All items, `[items, d]`.
        table: Tensor<B, 2>,
        /// Which they are, `[n · k]`, the k of an anchor together.
        ids: Tensor<B, 1, Int>,
    },
}

impl<B: Backend> SampledNegatives<B> {
    /// Their embeddings, `[n · k, d]`, for a loss that needs more of them than [`Triples::negative_scores`]; of items they are
    /// gathered, n k d numbers.
    #[must_use]
    pub fn rows(self) -> Tensor<B, 2> {
        match self {
            Self::Rows(rows) => rows,
            Self::Items { table, ids } => table.select(0, ids),
        }
    }
}

impl<B: Backend> From<Tensor<B, 2>> for SampledNegatives<B> {
    fn from(rows: Tensor<B, 2>) -> Self {
        Self::Rows(rows)
    }
}

/// Embeddings of a batch, for the objective.
#[derive(Debug, Clone)]
pub struct Triples<B: Backend> {
    /// Who is recommended to, `[n, d]`.
    pub anchors: Tensor<B, 2>,
    /// What they took, `[n, d]`.
    pub positives: Tensor<B, 2>,
    /// What they did not take, k for each.
    pub negatives: SampledNegatives<B>,
    /// All items, `[items, d]`, if the objective wants them.
    pub catalogue: Option<Tensor<B, 2>>,
    /// ln q of each negative, how likely it was drawn, `[n, k]`, if the objective wants it.
    pub log_q: Option<Tensor<B, 2>>,
    /// Number of items in the catalogue.
    pub items: usize,
}

impl<B: ContrastBackend> Triples<B> {
    /// The scores of the negatives, `[n, k]`, whichever way they are given.
    ///
    /// # Panics
    ///
    /// If the number of negatives is not a multiple of the number of anchors.
    #[track_caller]
    #[must_use]
    pub fn negative_scores(&self) -> Tensor<B, 2> {
        let (anchors, [n, d]) = (self.anchors.clone(), self.anchors.dims());
        match self.negatives.clone() {
            SampledNegatives::Items { table, ids } => sampled_scores(anchors, table, ids),
            SampledNegatives::Rows(rows) => {
                let k = self.each(&rows);
                if k == 1 {
                    return row_dot(anchors, rows).reshape([n, 1]);
                }
                rows.reshape([n, k, d]).matmul(anchors.reshape([n, d, 1])).reshape([n, k])
            }
        }
    }

    /// The same, of rows by the dot product that positives are scored with: the two are subtracted from one another, and a
    /// GPU may round a matrix product otherwise. It repeats the anchors in memory.
    #[track_caller]
    pub(super) fn negative_dots(&self) -> Tensor<B, 2> {
        let SampledNegatives::Rows(rows) = &self.negatives else { return self.negative_scores() };
        let (k, [n, d]) = (self.each(rows), self.anchors.dims());
        let anchors = self.anchors.clone().reshape([n, 1, d]).expand([n, k, d]).reshape([n * k, d]);
        row_dot(anchors, rows.clone()).reshape([n, k])
    }

    /// k
    #[track_caller]
    fn each(&self, rows: &Tensor<B, 2>) -> usize {
        let ([n, _], [negatives, _]) = (self.anchors.dims(), rows.dims());
        assert!(
            n > 0 && negatives >= n && negatives % n == 0,
            "{negatives} negatives are not a multiple of {n} anchors"
        );
        negatives / n
    }
}

/// A recommendation loss.
pub trait Objective<B: Backend>: Send {
    /// k, how many negatives are sampled for a positive; 0 if none is used.
    fn negatives_per_positive(&self) -> usize;

    /// The law of those negatives.
    fn sampling(&self) -> Sampling {
        Sampling::Uniform
    }

    /// The law of those negatives, if there are any.
    fn negatives(&self) -> Option<Sampling> {
        (self.negatives_per_positive() > 0).then(|| self.sampling())
    }

    /// Whether it reads how likely each negative was drawn.
    fn wants_log_q(&self) -> bool {
        false
    }

    /// Whether it reads the embeddings of all items.
    fn wants_catalogue(&self) -> bool {
        false
    }

    /// Whether files say by `positions` which events of a sequence are foretold.
    fn has_positions(&self) -> bool {
        false
    }

    /// What they say, if they do.
    fn targets(&self) -> Option<Targets> {
        None
    }

    /// The L2 penalty that goes with it.
    fn l2(&self) -> L2;

    /// The loss `[1]`, without L2.
    fn loss(&self, batch: Triples<B>) -> Tensor<B, 1>;

    /// Whether it reads embeddings at all; `false` lets the loop skip the pass.
    fn is_active(&self) -> bool {
        true
    }
}

/// k is in a range.
fn check_negatives(k: usize) -> Check {
    ensure((1..=4096).contains(&k), "negatives_per_positive", || format!("must be from 1 to 4096, got {k}"))
}

/// The objectives of this crate.
#[must_use]
pub fn objectives<B: ContrastBackend>() -> Registry<dyn Objective<B>> {
    Registry::new("objective")
        .with::<BprConfig>()
        .with::<BceConfig>()
        .with::<GbceConfig>()
        .with::<CrossEntropyConfig>()
        .with::<SampledSoftmaxConfig>()
        .with::<AlignmentUniformityConfig>()
        .with::<NoneConfig>()
}
