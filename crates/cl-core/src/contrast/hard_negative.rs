//! InfoNCE in which hard negatives weigh more.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::corrected::{check_share, corrected};
use super::parts::{Others, Reduction, check, row_dot};
use super::{Contrast, Pair};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component, ensure};
use crate::schedule::Schedule;
use crate::source::{Pairing, Sides};

/// `type = "hard_negative"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HardNegativeConfig {
    /// t > 0 (τ elsewhere); 0.5 in the paper. Similarity is the cosine: the loss needs its lower bound.
    pub temperature: Schedule,
    /// λ ≥ 0, the weight beside the objective; it means nothing without `reduction`.
    pub weight: Schedule,
    /// β ≥ 0, how much hard negatives weigh; 1 in the paper's code. 0 weighs all alike.
    pub concentration: f64,
    /// τ⁺, how likely a negative is of the anchor's own class, 0 ≤ τ⁺ < 1; 0.1 in the paper's code.
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

impl Default for HardNegativeConfig {
    fn default() -> Self {
        Self {
            temperature: 0.5.into(),
            weight: 0.1.into(),
            concentration: 1.0,
            positive_share: 0.1,
            symmetric: false,
            reduction: Reduction::Mean,
            sides: Sides::Both,
            merge: false,
            unique: true,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Contrast<B>> for HardNegativeConfig {
    const NAME: &'static str = "hard_negative";
    const SUMMARY: &'static str = "InfoNCE in which hard negatives weigh more (Robinson et al. 2021)";

    fn validate(&self) -> Check {
        check(self.temperature, self.weight, self.sides, self.merge)?;
        check_share(self.positive_share)?;
        ensure(self.concentration >= 0.0 && self.concentration.is_finite(), "concentration", || {
            format!("must be 0 or more, got {}", self.concentration)
        })
    }

    fn build(self) -> Box<dyn Contrast<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Contrast<B> for HardNegativeConfig {
    fn pairing(&self) -> Pairing {
        Pairing { sides: self.sides, merge: self.merge, unique: self.unique, symmetric: self.symmetric }
    }

    fn weight(&self) -> Schedule {
        self.weight
    }

    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1> {
        let temperature = self.temperature.at(epoch);
        self.reduction.apply(hard_negative(pair.unit(), temperature, self.concentration, self.positive_share))
    }
}

/// The loss of hard negatives a row, `[n]`, of unit rows.
///
/// ```text
/// h_i    = Σ_k exp((1 + β) s(a_i, k)/t) / Σ_k exp(β s(a_i, k)/t)
/// g_i    = max( (h_i − τ⁺ exp(s(a_i, p_i)/t)) / (1 − τ⁺),  exp(−1/t) )
/// loss_i = −log( exp(s(a_i, p_i)/t) / (exp(s(a_i, p_i)/t) + N_i g_i) )
/// ```
///
/// over the N_i keys k besides the positive (and others of the anchor's own id, as in `decoupled`). `concentration` is β, `positive_share` τ⁺; with β = 0 the loss
/// is the debiased one. Gradients flow through the weights too, as in the authors' code. An anchor without any negative
/// counts as 0.
///
/// # Ranges
/// `temperature` t > 0, β ≥ 0, τ⁺ in [0, 1).
///
/// # Cost
/// Twice InfoNCE: two log-sum-exps over the keys. Memory O((n + M) d) on the host backends, O(n M) on others.
///
/// # Source
/// Robinson, Chuang, Sra & Jegelka 2021, section 3.2 and the code in its appendix (arXiv 2010.04592). Their code counts the
/// 2(N − 1) rows of both views as negatives; here the slot `negatives` says who they are.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
#[must_use]
pub fn hard_negative<B: ContrastBackend>(
    pair: Pair<B>,
    temperature: f64,
    concentration: f64,
    positive_share: f64,
) -> Tensor<B, 1> {
    let Pair { anchors, positives, ids, keys } = pair;
    let scale = 1.0 / temperature;
    let positive = row_dot(anchors.clone(), positives.clone()).mul_scalar(scale); // [n]
    let others = Others::new(anchors, positives, keys, ids);
    let counts = others.of_counts(|count| count.max(1.0).ln()); // [n]
    // The weights have mean 1, so that the sum stays one over N keys.
    let sum = others.log_sum(scale * (1.0 + concentration)) - others.log_sum(scale * concentration) + counts;
    corrected(positive, sum, &others, temperature, positive_share)
}
