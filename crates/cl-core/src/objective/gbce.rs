//! Binary cross-entropy that does not grow overconfident with few sampled negatives.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::l2::check_l2;
use super::{L2, L2Form, L2On, Objective, Triples, check_negatives};
use crate::contrast::{Reduction, log_sigmoid, row_dot};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component, ensure};
use crate::sampling::Sampling;
use crate::source::Targets;

/// `type = "gbce"`. The defaults are gSASRec's for MovieLens-1M.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GbceConfig {
    /// k ≥ 1, sampled negatives for a positive.
    pub negatives_per_positive: usize,
    /// t, in [0, 1]: 0 is binary cross-entropy, 1 makes up for the sampling wholly.
    pub calibration: f64,
    /// The law of the negatives.
    pub sampling: Sampling,
    /// Over the positives of the batch.
    pub reduction: Reduction,
    /// Weight of the L2 penalty; gSASRec has none.
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

impl Default for GbceConfig {
    fn default() -> Self {
        Self {
            negatives_per_positive: 256,
            calibration: 0.75,
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

impl<B: ContrastBackend> Component<dyn Objective<B>> for GbceConfig {
    const NAME: &'static str = "gbce";
    const SUMMARY: &'static str =
        "binary cross-entropy with its positives made less certain (gSASRec, Petrov & Macdonald 2023)";

    fn validate(&self) -> Check {
        check_l2(self.l2)?;
        check_negatives(self.negatives_per_positive)?;
        ensure((0.0..=1.0).contains(&self.calibration), "calibration", || {
            format!("must be in [0, 1], got {}", self.calibration)
        })
    }

    fn build(self) -> Box<dyn Objective<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Objective<B> for GbceConfig {
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
        self.reduction.apply(gbce(batch, self.calibration))
    }
}

/// Generalised binary cross-entropy a positive.
///
/// ```text
/// loss_i = −(β log σ(⟨x_i, p_i⟩) + Σ_k log(1 − σ(⟨x_i, n_ik⟩))) / (k + 1)
/// β = α (t (1 − 1/α) + 1/α),  α = k / (items − 1)
/// ```
///
/// # Shapes
/// - anchors, positives: `[n, d]`, k negatives of each → `[n]`
///
/// # Source
/// Petrov & Macdonald 2023 (gSASRec, arXiv 2308.07192), equations 6 and 11 and section 5.3. Its code draws negatives from all
/// items; ours are never items of the user. It turns the positive's score in 64 bits and takes the plain loss of that, which
/// is the same number.
///
/// # Panics
/// If the number of negatives is not a multiple of the number of anchors, or there are fewer than 2 items.
#[track_caller]
#[must_use]
pub fn gbce<B: ContrastBackend>(batch: Triples<B>, calibration: f64) -> Tensor<B, 1> {
    assert!(batch.items > 1, "{} items leave no negative", batch.items);
    let negative = log_sigmoid(batch.negative_scores().neg(), 0.0); // [n, k], log(1 − σ(x)) = log σ(−x)
    let [n, k] = negative.dims();
    let share = k as f64 / (batch.items - 1) as f64;
    let beta = share * (calibration * (1.0 - 1.0 / share) + 1.0 / share);
    let positive = log_sigmoid(row_dot(batch.anchors, batch.positives).reshape([n, 1]), 0.0).mul_scalar(beta); // [n, 1]
    (positive + negative.sum_dim(1)).reshape([n]).div_scalar(-((k + 1) as f64))
}
