//! InfoNCE that allows for negatives which are none.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::corrected::{check_share, corrected};
use super::parts::{Others, Reduction, check, row_dot};
use super::{Contrast, Pair};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component};
use crate::schedule::Schedule;
use crate::source::{Pairing, Sides};

/// `type = "debiased"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DebiasedConfig {
    /// t > 0 (τ elsewhere); 0.5 in the paper. Similarity is the cosine: the loss needs its lower bound.
    pub temperature: Schedule,
    /// λ ≥ 0, the weight beside the objective; it means nothing without `reduction`.
    pub weight: Schedule,
    /// τ⁺, how likely a negative is of the anchor's own class, 0 ≤ τ⁺ < 1; 0.1 in the paper's code. 0 is InfoNCE.
    pub positive_share: f64,
    /// Both directions, averaged.
    pub symmetric: bool,
    /// Mean or sum over the anchors of a group; groups are added.
    pub reduction: Reduction,
    /// Users, items, or both.
    pub sides: Sides,
    /// Users and items in one softmax rather than apart and added.
    pub merge: bool,
    /// Each node of the batch once rather than as often as it occurs.
    pub unique: bool,
}

impl Default for DebiasedConfig {
    fn default() -> Self {
        Self {
            temperature: 0.5.into(),
            weight: 0.1.into(),
            positive_share: 0.1,
            symmetric: false,
            reduction: Reduction::Mean,
            sides: Sides::Both,
            merge: false,
            unique: true,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Contrast<B>> for DebiasedConfig {
    const NAME: &'static str = "debiased";
    const SUMMARY: &'static str = "InfoNCE that allows for negatives which are none (Chuang et al. 2020)";

    fn validate(&self) -> Check {
        check(self.temperature, self.weight, self.sides, self.merge)?;
        check_share(self.positive_share)
    }

    fn build(self) -> Box<dyn Contrast<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Contrast<B> for DebiasedConfig {
    fn pairing(&self) -> Pairing {
        Pairing { sides: self.sides, merge: self.merge, unique: self.unique, symmetric: self.symmetric }
    }

    fn weight(&self) -> Schedule {
        self.weight
    }

    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1> {
        self.reduction.apply(debiased(pair.unit(), self.temperature.at(epoch), self.positive_share))
    }
}

/// Debiased contrastive loss a row, `[n]`, of unit rows.
///
/// ```text
/// g_i    = max( (mean_k exp(s(a_i, k)/t) − τ⁺ exp(s(a_i, p_i)/t)) / (1 − τ⁺),  exp(−1/t) )
/// loss_i = −log( exp(s(a_i, p_i)/t) / (exp(s(a_i, p_i)/t) + N_i g_i) )
/// ```
///
/// over the N_i keys k besides the positive (and others of the anchor's own id, as in `decoupled`). `positive_share` is τ⁺; with 0 the loss is InfoNCE. An anchor
/// without any negative counts as 0.
///
/// # Ranges
/// `temperature` t > 0, τ⁺ in [0, 1). The sums are taken relative to the largest term, so that a small t does not overflow.
///
/// # Cost
/// As InfoNCE: time O(n M d); memory O((n + M) d) on the host backends, O(n M) on others.
///
/// # Source
/// Chuang, Robinson, Lin, Torralba & Jegelka 2020, equations 7 and 8 with M = 1 (arXiv 2007.00224). Their code counts the
/// 2(N − 1) rows of both views as negatives; here the slot `negatives` says who they are.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
#[must_use]
pub fn debiased<B: ContrastBackend>(pair: Pair<B>, temperature: f64, positive_share: f64) -> Tensor<B, 1> {
    let Pair { anchors, positives, ids, keys } = pair;
    let scale = 1.0 / temperature;
    let positive = row_dot(anchors.clone(), positives.clone()).mul_scalar(scale); // [n]
    let others = Others::new(anchors, positives, keys, ids);
    let sum = others.log_sum(scale); // [n]
    corrected(positive, sum, &others, temperature, positive_share)
}
