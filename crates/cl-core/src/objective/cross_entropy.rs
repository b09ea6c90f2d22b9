//! Cross-entropy over the whole catalogue.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::l2::check_l2;
use super::{L2, L2Form, L2On, Objective, Triples};
use crate::contrast::{Reduction, row_dot, row_lse};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component};
use crate::source::Targets;

/// `type = "cross_entropy"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropyConfig {
    /// Over the positives of the batch.
    pub reduction: Reduction,
    /// Weight of the L2 penalty on anchors and positives; RecBole's SASRec has none.
    pub l2: f64,
    /// Rows that are penalised.
    pub l2_on: L2On,
    /// Squared (halved) or the norm itself.
    pub l2_form: L2Form,
    /// Which events of a training sequence are foretold, all if nothing is said. Of sequence encoders alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<Targets>,
}

impl Default for CrossEntropyConfig {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
            l2: 0.0,
            l2_on: L2On::LayerZero,
            l2_form: L2Form::Squared,
            positions: None,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Objective<B>> for CrossEntropyConfig {
    const NAME: &'static str = "cross_entropy";
    const SUMMARY: &'static str = "softmax over all items (RecBole's SASRec, DuoRec)";

    fn validate(&self) -> Check {
        check_l2(self.l2)
    }

    fn build(self) -> Box<dyn Objective<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Objective<B> for CrossEntropyConfig {
    fn negatives_per_positive(&self) -> usize {
        0
    }

    fn wants_catalogue(&self) -> bool {
        true
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
            negatives: false,
            reduction: self.reduction,
        }
    }

    fn loss(&self, batch: Triples<B>) -> Tensor<B, 1> {
        self.reduction.apply(cross_entropy(batch))
    }
}

/// Cross-entropy a positive, with all items in the denominator, the positive among them.
///
/// ```text
/// loss_i = log Σ_j exp⟨x_i, c_j⟩ − ⟨x_i, p_i⟩
/// ```
///
/// # Shapes
/// - anchors, positives: `[n, d]`, catalogue: `[items, d]` → `[n]`
///
/// # Cost
/// O(n · items · d) time; O((n + items) · d) memory on the host backends, whatever the catalogue.
///
/// # Panics
/// If there is no catalogue.
#[track_caller]
#[must_use]
pub fn cross_entropy<B: ContrastBackend>(batch: Triples<B>) -> Tensor<B, 1> {
    let Some(catalogue) = batch.catalogue else { panic!("cross-entropy needs the embeddings of all items") };
    let all = row_lse(batch.anchors.clone(), catalogue, 1.0, None);
    all - row_dot(batch.anchors, batch.positives)
}
