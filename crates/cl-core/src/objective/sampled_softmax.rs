//! Cross-entropy over the positive and a sample of the catalogue.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};

use super::l2::check_l2;
use super::{L2, L2Form, L2On, Objective, Triples, check_negatives};
use crate::contrast::{Reduction, row_dot};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component};
use crate::sampling::Sampling;
use crate::source::Targets;

/// `type = "sampled_softmax"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampledSoftmaxConfig {
    /// k ≥ 1, sampled negatives for a positive.
    pub negatives_per_positive: usize,
    /// The law of the negatives.
    pub sampling: Sampling,
    /// Whether a negative counts for all those that it stands for: its score less ln(k q).
    pub log_q: bool,
    /// Over the positives of the batch.
    pub reduction: Reduction,
    /// Weight of the L2 penalty.
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

impl Default for SampledSoftmaxConfig {
    fn default() -> Self {
        Self {
            negatives_per_positive: 128,
            sampling: Sampling::Uniform,
            log_q: true,
            reduction: Reduction::Mean,
            l2: 0.0,
            l2_on: L2On::LayerZero,
            l2_form: L2Form::Squared,
            l2_negatives: true,
            positions: None,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Objective<B>> for SampledSoftmaxConfig {
    const NAME: &'static str = "sampled_softmax";
    const SUMMARY: &'static str = "softmax over the positive and sampled items, corrected for how they were drawn (Bengio & Senécal 2008)";

    fn validate(&self) -> Check {
        check_l2(self.l2)?;
        check_negatives(self.negatives_per_positive)
    }

    fn build(self) -> Box<dyn Objective<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Objective<B> for SampledSoftmaxConfig {
    fn negatives_per_positive(&self) -> usize {
        self.negatives_per_positive
    }

    fn sampling(&self) -> Sampling {
        self.sampling
    }

    fn wants_log_q(&self) -> bool {
        self.log_q
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
        self.reduction.apply(sampled_softmax(batch))
    }
}

/// Cross-entropy a positive, over itself and its negatives.
///
/// ```text
/// loss_i = log(exp⟨x_i, p_i⟩ + Σ_k exp(⟨x_i, n_ik⟩ − ln(k q_ik))) − ⟨x_i, p_i⟩
/// ```
///
/// q is how likely the negative was drawn for its user; with it, the sum over negatives estimates without bias that over all
/// items which the user has not. Without `log_q` nothing is taken off.
///
/// # Shapes
/// - anchors, positives: `[n, d]`, k negatives of each, log_q: `[n, k]` → `[n]`
///
/// # Source
/// Bengio & Senécal 2008, "Adaptive importance sampling to accelerate training of a neural probabilistic language model",
/// section III. TensorFlow's `sampled_softmax_loss` and Yi et al. 2019 also take ln q off the positive's score, which
/// is not drawn here.
///
/// # Panics
/// If the number of negatives is not a multiple of the number of anchors.
#[track_caller]
#[must_use]
pub fn sampled_softmax<B: ContrastBackend>(batch: Triples<B>) -> Tensor<B, 1> {
    let negative = batch.negative_scores(); // [n, k]
    let [n, k] = negative.dims();
    let negative = match batch.log_q {
        Some(log_q) => negative - log_q.add_scalar((k as f64).ln()),
        None => negative,
    };
    let positive = row_dot(batch.anchors, batch.positives).reshape([n, 1]); // [n, 1]
    let scores = Tensor::cat(vec![positive, negative], 1); // [n, 1 + k]
    log_softmax(scores, 1).narrow(1, 0, 1).reshape([n]).neg()
}
