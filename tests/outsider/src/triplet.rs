//! A margin loss on triplets: a row's own counterpart must be nearer than every other one, by a margin.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use cl_core::Schedule;
use cl_core::contrast::{Contrast, KeyKind, Pair, normalize_rows, row_dot};
use cl_core::kernels::ContrastBackend;
use cl_core::registry::{Check, Component, ensure};
use cl_core::source::{Pairing, Sides};
use serde::{Deserialize, Serialize};

/// `type = "triplet"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TripletConfig {
    /// m > 0, by how much the cosine of a pair must exceed those of all others.
    pub(crate) margin: f64,
    /// λ ≥ 0, the weight beside the objective.
    pub(crate) weight: Schedule,
}

impl Default for TripletConfig {
    fn default() -> Self {
        Self { margin: 0.3, weight: Schedule::Constant(0.1) }
    }
}

impl<B: ContrastBackend> Component<dyn Contrast<B>> for TripletConfig {
    const NAME: &'static str = "triplet";
    const SUMMARY: &'static str = "a pair nearer than all others by a margin (Schroff et al. 2015)";

    fn validate(&self) -> Check {
        ensure(self.margin > 0.0 && self.margin <= 2.0, "margin", || {
            format!("must be in (0, 2], got {}", self.margin)
        })?;
        ensure(self.weight.all(|weight| weight >= 0.0 && weight.is_finite()), "weight", || {
            format!("must be 0 or more, got {}", self.weight)
        })
    }

    fn build(self) -> Box<dyn Contrast<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Contrast<B> for TripletConfig {
    fn pairing(&self) -> Pairing {
        Pairing { sides: Sides::Both, merge: false, unique: true, symmetric: false }
    }

    fn weight(&self) -> Schedule {
        self.weight
    }

    fn accepts(&self, keys: KeyKind) -> Result<(), String> {
        match keys {
            KeyKind::Own => Ok(()),
            KeyKind::Others => Err("its triplets are made of the rows of the batch".into()),
        }
    }

    fn loss(&self, pair: Pair<B>, _epoch: f64) -> Tensor<B, 1> {
        triplet(pair.anchors, pair.positives, self.margin)
    }
}

/// `mean_i 1/(n−1) Σ_{j≠i} max(0, m + cos(a_i, b_j) − cos(a_i, b_i))`, `[n, d], [n, d]` → `[1]`; O(n²) memory.
fn triplet<B: ContrastBackend>(a: Tensor<B, 2>, b: Tensor<B, 2>, margin: f64) -> Tensor<B, 1> {
    let [n, _] = a.dims();
    let (a, b) = (normalize_rows(a), normalize_rows(b));
    let own = row_dot(a.clone(), b.clone()).reshape([n, 1]); // [n, 1]
    let excess = relu(a.matmul(b.transpose()) - own + margin); // [n, n]
    // The diagonal is the margin itself, n times.
    let rows = excess.sum_dim(1).reshape([1, n]).sum_dim(1).reshape([1]);
    rows.sub_scalar(margin * n as f64).div_scalar((n * n.saturating_sub(1).max(1)) as f64)
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    #[test]
    fn the_loss_of_two_pairs() {
        let rows = |values: [[f32; 2]; 2]| Tensor::<Flex, 2>::from_data(values, &Default::default());
        // cos: a_0 with b_0 = 1, with b_1 = 0.6; a_1 with b_0 = 0, with b_1 = 0.8.
        // Row 0: 0.5 + 0.6 − 1 = 0.1; row 1: 0.5 + 0 − 0.8 < 0. Mean 0.05.
        let loss = triplet(rows([[2.0, 0.0], [0.0, 1.0]]), rows([[1.0, 0.0], [3.0, 4.0]]), 0.5);
        assert!((loss.into_scalar() - 0.05).abs() < 1e-6);
    }
}
