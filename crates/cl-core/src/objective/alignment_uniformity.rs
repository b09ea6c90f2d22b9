//! DirectAU: alignment and uniformity as the recommendation loss itself.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::l2::check_l2;
use super::{L2, L2Form, L2On, Objective, Triples};
use crate::contrast::{Reduction, alignment, normalize_rows, uniformity};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, Component, ensure};
use crate::source::Targets;

/// `type = "alignment_uniformity"` of the objective slot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlignmentUniformityConfig {
    /// γ ≥ 0, the weight of the mean uniformity of users and items; DirectAU uses 0.5 to 2.
    pub uniformity_weight: f64,
    /// Weight of the L2 penalty.
    pub l2: f64,
    /// Rows that are penalised.
    pub l2_on: L2On,
    /// Squared (halved) or the norm itself.
    pub l2_form: L2Form,
    /// Which events of a training sequence are foretold, all if nothing is said. Of sequence encoders alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<Targets>,
}

impl Default for AlignmentUniformityConfig {
    fn default() -> Self {
        Self {
            uniformity_weight: 1.0,
            l2: 1e-6,
            l2_on: L2On::LayerZero,
            l2_form: L2Form::Squared,
            positions: None,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Objective<B>> for AlignmentUniformityConfig {
    const NAME: &'static str = "alignment_uniformity";
    const SUMMARY: &'static str =
        "align users with their items, spread both over the sphere (DirectAU, Wang et al. 2022)";

    fn validate(&self) -> Check {
        check_l2(self.l2)?;
        ensure(
            self.uniformity_weight >= 0.0 && self.uniformity_weight.is_finite(),
            "uniformity_weight",
            || format!("must be 0 or more, got {}", self.uniformity_weight),
        )
    }

    fn build(self) -> Box<dyn Objective<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Objective<B> for AlignmentUniformityConfig {
    fn negatives_per_positive(&self) -> usize {
        0
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
            reduction: Reduction::Mean,
        }
    }

    /// `alignment(u, i) + γ (uniformity(u) + uniformity(i)) / 2` on unit rows, duplicates included
    /// (Wang, Yu, Wang et al. 2022, equation 8, arXiv 2206.12811).
    fn loss(&self, batch: Triples<B>) -> Tensor<B, 1> {
        let (users, items) = (normalize_rows(batch.anchors), normalize_rows(batch.positives));
        let spread =
            (uniformity(users.clone()) + uniformity(items.clone())).mul_scalar(self.uniformity_weight / 2.0);
        alignment(users, items) + spread
    }
}
