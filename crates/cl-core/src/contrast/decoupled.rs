//! InfoNCE without the positive in the denominator.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::parts::{Others, Reduction, Similarity, check, row_dot};
use super::{Contrast, Pair};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component};
use crate::schedule::Schedule;
use crate::source::{Pairing, Sides};

/// `type = "decoupled"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecoupledConfig {
    /// τ > 0; 0.1 in the paper.
    pub temperature: Schedule,
    /// λ ≥ 0, the weight beside the objective; it means nothing without `reduction`.
    pub weight: Schedule,
    /// Cosine or dot product.
    pub similarity: Similarity,
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

impl Default for DecoupledConfig {
    fn default() -> Self {
        Self {
            temperature: 0.1.into(),
            weight: 0.1.into(),
            similarity: Similarity::Cosine,
            symmetric: false,
            reduction: Reduction::Mean,
            sides: Sides::Both,
            merge: false,
            unique: true,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Contrast<B>> for DecoupledConfig {
    const NAME: &'static str = "decoupled";
    const SUMMARY: &'static str = "InfoNCE without the positive in the denominator (DCL, Yeh et al. 2022)";

    fn validate(&self) -> Check {
        check(self.temperature, self.weight, self.sides, self.merge)
    }

    fn build(self) -> Box<dyn Contrast<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Contrast<B> for DecoupledConfig {
    fn pairing(&self) -> Pairing {
        Pairing { sides: self.sides, merge: self.merge, unique: self.unique, symmetric: self.symmetric }
    }

    fn weight(&self) -> Schedule {
        self.weight
    }

    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1> {
        let prepare = |rows| self.similarity.prepare(rows);
        let pair = Pair {
            anchors: prepare(pair.anchors),
            positives: prepare(pair.positives),
            keys: pair.keys.map(prepare),
            ..pair
        };
        self.reduction.apply(decoupled(pair, self.temperature.at(epoch)))
    }
}

/// Decoupled contrastive loss a row, `[n]`, of rows that are already prepared (unit length for cosine).
///
/// ```text
/// loss_i = −s(a_i, p_i) / τ + log Σ_{k ≠ p_i} exp(s(a_i, k) / τ)
/// ```
///
/// The positive never stands in the denominator. In-batch, other rows with the anchor's own id do not either; among other keys,
/// whether those with it do is for the source of negatives to say. An anchor without any negative (the last batch of an epoch may hold one row) counts as 0, without gradient.
///
/// # Ranges
/// `temperature` τ > 0. With cosine similarity and M negatives the loss lies between log M − 2/τ and log M + 2/τ: it may be
/// negative.
///
/// # Cost
/// As InfoNCE: time O(n M d); memory O((n + M) d) on the host backends, O(n M) on others.
///
/// # Source
/// Yeh, Hong, Hsu, Liu, Chen & LeCun 2022, equation 6 (arXiv 2110.06848). Their denominators also hold the rows of the
/// anchor's own view; here the slot `negatives` alone says who stands there. Their weighted variant (DCLW) is not offered.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
#[must_use]
pub fn decoupled<B: ContrastBackend>(pair: Pair<B>, temperature: f64) -> Tensor<B, 1> {
    let Pair { anchors, positives, ids, keys } = pair;
    let scale = 1.0 / temperature;
    let positive = row_dot(anchors.clone(), positives.clone()).mul_scalar(scale); // [n]
    let others = Others::new(anchors, positives, keys, ids);
    others.or_zero(others.log_sum(scale) - positive)
}
