//! Alignment and uniformity as a contrast: pull the pair together, spread each view over the sphere.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::parts::{Reduction, check_weight, normalize_rows, row_lse};
use super::{Contrast, KeyKind, Pair};
use crate::kernels::{ContrastBackend, KeyMask};
use crate::registry::{Check, Component, ensure};
use crate::schedule::Schedule;
use crate::source::{Pairing, Sides};

/// `type = "alignment_uniformity"` of the contrast slot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlignmentUniformityConfig {
    /// λ ≥ 0, the weight beside the objective.
    pub weight: Schedule,
    /// γ ≥ 0, the weight of the mean uniformity of the two views.
    pub uniformity_weight: f64,
    /// Users, items, or both.
    pub sides: Sides,
    /// Users and items on one sphere rather than apart and added.
    pub merge: bool,
    /// Each node of the batch once rather than as often as it occurs.
    pub unique: bool,
}

impl Default for AlignmentUniformityConfig {
    fn default() -> Self {
        Self { weight: 0.1.into(), uniformity_weight: 1.0, sides: Sides::Both, merge: false, unique: true }
    }
}

impl<B: ContrastBackend> Component<dyn Contrast<B>> for AlignmentUniformityConfig {
    const NAME: &'static str = "alignment_uniformity";
    const SUMMARY: &'static str = "align the two views, spread each over the sphere (Wang & Isola 2020)";

    fn validate(&self) -> Check {
        check_weight(self.weight)?;
        ensure(
            self.uniformity_weight >= 0.0 && self.uniformity_weight.is_finite(),
            "uniformity_weight",
            || format!("must be 0 or more, got {}", self.uniformity_weight),
        )?;
        ensure(!self.merge || self.sides == Sides::Both, "merge", || {
            "needs sides = \"both\": there is nothing to merge".into()
        })
    }

    fn build(self) -> Box<dyn Contrast<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Contrast<B> for AlignmentUniformityConfig {
    fn pairing(&self) -> Pairing {
        Pairing { sides: self.sides, merge: self.merge, unique: self.unique, symmetric: false }
    }

    fn weight(&self) -> Schedule {
        self.weight
    }

    fn accepts(&self, keys: KeyKind) -> Result<(), String> {
        match keys {
            KeyKind::Own => Ok(()),
            KeyKind::Others => {
                Err("it spreads the batch over the sphere and has no negatives to take".into())
            }
        }
    }

    fn reads_ids(&self, _keys: KeyKind) -> bool {
        false
    }

    fn loss(&self, pair: Pair<B>, _epoch: f64) -> Tensor<B, 1> {
        let (a, b) = (normalize_rows(pair.anchors), normalize_rows(pair.positives));
        let spread = (uniformity(a.clone()) + uniformity(b.clone())).mul_scalar(self.uniformity_weight / 2.0);
        alignment(a, b) + spread
    }
}

/// Mean squared distance of positive pairs, `mean_i ‖x_i − y_i‖²`; 0 (equal) to 4 (opposite) on unit rows.
///
/// # Shapes
/// - `x`, `y`: `[n, d]`, unit rows → `[1]`
///
/// # Source
/// Wang & Isola 2020, section 4.2 with α = 2 (arXiv 2005.10242).
#[must_use]
pub fn alignment<B: ContrastBackend>(x: Tensor<B, 2>, y: Tensor<B, 2>) -> Tensor<B, 1> {
    let [n, _] = x.dims();
    let difference = x - y; // [n, d]
    Reduction::Mean.apply((difference.clone() * difference).sum_dim(1).reshape([n]))
}

/// `log mean_{i<j} exp(−2 ‖x_i − x_j‖²)`: from −8 towards 0; **lower is more uniform**.
///
/// Fewer than two rows have no pair and count as 0, without gradient: the last batch of an epoch may be that small.
///
/// Equal rows count as pairs. On unit rows ‖x − y‖² = 2 − 2⟨x, y⟩, so this is a log-sum-exp of dot products.
///
/// # Shapes
/// - `x`: `[n, d]`, unit rows → `[1]`
///
/// # Cost
/// Time O(n² d); memory O(n d) on the host backends.
///
/// # Source
/// Wang & Isola 2020, section 4.2 with t = 2 (arXiv 2005.10242).
#[must_use]
pub fn uniformity<B: ContrastBackend>(x: Tensor<B, 2>) -> Tensor<B, 1> {
    let [n, _] = x.dims();
    if n < 2 {
        return Tensor::zeros([1], &x.device());
    }
    let rows = row_lse(x.clone(), x, 4.0, Some(KeyMask::Diagonal)); // [n]: log Σ_{j≠i} exp(4⟨x_i, x_j⟩)
    let peak = rows.clone().detach().max(); // [1]
    let sum = Reduction::Sum.apply((rows - peak.clone()).exp());
    // Every pair stands twice among the n (n − 1) ordered ones, in the sum and in the count.
    sum.log() + peak.sub_scalar(4.0 + (n as f64 * (n as f64 - 1.0)).ln())
}
