//! Bayesian personalised ranking.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::l2::check_l2;
use super::{L2, L2Form, L2On, Objective, Triples, check_negatives};
use crate::contrast::{Reduction, log_sigmoid, row_dot};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component};
use crate::sampling::Sampling;
use crate::source::Targets;

/// How the logistic loss is written; the two differ where a score difference is below −11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BprForm {
    /// `softplus(n − p)` (LightGCN).
    #[default]
    Softplus,
    /// `−log(1e-5 + σ(p − n))` (SELFRec): bounded by 11.5, so that hopeless pairs lose their gradient.
    BoundedSigmoid,
}

/// `type = "bpr"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BprConfig {
    /// k ≥ 1, sampled negatives for a positive; their losses are averaged.
    pub negatives_per_positive: usize,
    /// The law of the negatives.
    pub sampling: Sampling,
    /// Over the positives of the batch.
    pub reduction: Reduction,
    /// How the loss is written.
    pub form: BprForm,
    /// Weight of the L2 penalty; LightGCN 1e-4.
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

impl Default for BprConfig {
    fn default() -> Self {
        Self {
            negatives_per_positive: 1,
            sampling: Sampling::Uniform,
            reduction: Reduction::Mean,
            form: BprForm::Softplus,
            l2: 1e-4,
            l2_on: L2On::LayerZero,
            l2_form: L2Form::Squared,
            l2_negatives: true,
            positions: None,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Objective<B>> for BprConfig {
    const NAME: &'static str = "bpr";
    const SUMMARY: &'static str = "a positive above a sampled negative (Rendle et al. 2009)";

    fn validate(&self) -> Check {
        check_l2(self.l2)?;
        check_negatives(self.negatives_per_positive)
    }

    fn build(self) -> Box<dyn Objective<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Objective<B> for BprConfig {
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
        self.reduction.apply(bpr(batch, self.form))
    }
}

/// BPR a positive: how far its score lies above those of its negatives.
///
/// ```text
/// loss_i = mean_k −log σ(⟨x_i, p_i⟩ − ⟨x_i, n_ik⟩)
/// ```
///
/// # Shapes
/// - anchors, positives: `[n, d]`, k negatives of each → `[n]`
///
/// # Source
/// Rendle, Freudenthaler, Gantner & Schmidt-Thieme 2009, section 4.1 (arXiv 1205.2618).
///
/// # Panics
/// If the number of negatives is not a multiple of the number of anchors.
#[track_caller]
#[must_use]
pub fn bpr<B: ContrastBackend>(batch: Triples<B>, form: BprForm) -> Tensor<B, 1> {
    let negative = batch.negative_dots(); // [n, k]
    let [n, k] = negative.dims();
    let positive = row_dot(batch.anchors, batch.positives).reshape([n, 1]); // [n, 1]
    let difference = positive.expand([n, k]) - negative; // [n, k]
    let floor = match form {
        BprForm::Softplus => 0.0,
        BprForm::BoundedSigmoid => 1e-5,
    };
    let losses = log_sigmoid(difference, floor).neg(); // [n, k]
    losses.sum_dim(1).div_scalar(k as f64).reshape([n])
}
