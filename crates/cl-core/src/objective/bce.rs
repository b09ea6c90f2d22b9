//! Binary cross-entropy with sampled negatives.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::l2::check_l2;
use super::{L2, L2Form, L2On, Objective, Triples, check_negatives};
use crate::contrast::{Reduction, log_sigmoid, row_dot};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component};
use crate::sampling::Sampling;
use crate::source::Targets;

/// `type = "bce"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BceConfig {
    /// k ≥ 1, sampled negatives for a positive; their losses are added.
    pub negatives_per_positive: usize,
    /// The law of the negatives.
    pub sampling: Sampling,
    /// Over the positives of the batch.
    pub reduction: Reduction,
    /// Weight of the L2 penalty; SASRec has none.
    pub l2: f64,
    /// Rows that are penalised.
    pub l2_on: L2On,
    /// Squared (halved) or the norm itself.
    pub l2_form: L2Form,
    /// Whether sampled negatives are penalised.
    pub l2_negatives: bool,
    /// Which events of a training sequence are foretold, all if nothing is said. Of sequence encoders alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<Targets>,
}

impl Default for BceConfig {
    fn default() -> Self {
        Self {
            negatives_per_positive: 1,
            sampling: Sampling::Uniform,
            reduction: Reduction::Mean,
            l2: 0.0,
            l2_on: L2On::LayerZero,
            l2_form: L2Form::Squared,
            l2_negatives: true,
            positions: None,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Objective<B>> for BceConfig {
    const NAME: &'static str = "bce";
    const SUMMARY: &'static str =
        "a positive is taken, sampled negatives are not (SASRec, Kang & McAuley 2018)";

    fn validate(&self) -> Check {
        check_l2(self.l2)?;
        check_negatives(self.negatives_per_positive)
    }

    fn build(self) -> Box<dyn Objective<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Objective<B> for BceConfig {
    fn negatives_per_positive(&self) -> usize {
        self.negatives_per_positive
    }

    fn sampling(&self) -> Sampling {
        self.sampling
    }

    fn has_positions(&self) -> bool {
        true
    }

    fn targets(&self) -> Option<Targets> {
        self.positions
    }

    fn l2(&self) -> L2 {
        L2 {
            weight: self.l2,
            on: self.l2_on,
            form: self.l2_form,
            negatives: self.l2_negatives,
            reduction: self.reduction,
        }
    }

    fn loss(&self, batch: Triples<B>) -> Tensor<B, 1> {
        self.reduction.apply(bce(batch))
    }
}

/// Binary cross-entropy a positive.
///
/// ```text
/// loss_i = −log σ(⟨x_i, p_i⟩) − Σ_k log(1 − σ(⟨x_i, n_ik⟩))
/// ```
///
/// # Shapes
/// - anchors, positives: `[n, d]`, k negatives of each → `[n]`
///
/// # Source
/// Kang & McAuley 2018 (arXiv 1808.09781), equation 6, with one negative.
///
/// # Panics
/// If the number of negatives is not a multiple of the number of anchors.
#[track_caller]
#[must_use]
pub fn bce<B: ContrastBackend>(batch: Triples<B>) -> Tensor<B, 1> {
    let negative = log_sigmoid(batch.negative_scores().neg(), 0.0); // [n, k], log(1 − σ(x)) = log σ(−x)
    let [n, _] = negative.dims();
    let positive = log_sigmoid(row_dot(batch.anchors, batch.positives).reshape([n, 1]), 0.0); // [n, 1]
    (positive + negative.sum_dim(1)).reshape([n]).neg()
}
