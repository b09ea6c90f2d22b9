//! SimCLR's NT-Xent.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::parts::{Reduction, Similarity, check, row_dot, row_lse};
use super::{Contrast, KeyKind, Pair};
use crate::kernels::{ContrastBackend, KeyMask};
use crate::registry::{Check, Component};
use crate::schedule::Schedule;
use crate::source::{Pairing, Sides};

/// `type = "nt_xent"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NtXentConfig {
    /// τ > 0.
    pub temperature: Schedule,
    /// λ ≥ 0, the weight beside the objective.
    pub weight: Schedule,
    /// Cosine or dot product.
    pub similarity: Similarity,
    /// Over the 2N rows of a group.
    pub reduction: Reduction,
    /// Users, items, or both.
    pub sides: Sides,
    /// Users and items in one softmax (the article's recipe for graphs) rather than apart and added.
    pub merge: bool,
    /// Each node of the batch once rather than as often as it occurs.
    pub unique: bool,
}

impl Default for NtXentConfig {
    fn default() -> Self {
        Self {
            temperature: 0.2.into(),
            weight: 0.1.into(),
            similarity: Similarity::Cosine,
            reduction: Reduction::Mean,
            sides: Sides::Both,
            merge: false,
            unique: true,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Contrast<B>> for NtXentConfig {
    const NAME: &'static str = "nt_xent";
    const SUMMARY: &'static str =
        "InfoNCE over both views at once, 2N-2 negatives (SimCLR, Chen et al. 2020)";

    fn validate(&self) -> Check {
        check(self.temperature, self.weight, self.sides, self.merge)
    }

    fn build(self) -> Box<dyn Contrast<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Contrast<B> for NtXentConfig {
    fn pairing(&self) -> Pairing {
        // The two directions are in the loss itself and need no keys besides the two views.
        Pairing { sides: self.sides, merge: self.merge, unique: self.unique, symmetric: false }
    }

    fn weight(&self) -> Schedule {
        self.weight
    }

    fn accepts(&self, keys: KeyKind) -> Result<(), String> {
        match keys {
            KeyKind::Own => Ok(()),
            KeyKind::Others => {
                Err("its negatives are the other rows of both views, and it takes no other keys".into())
            }
        }
    }

    fn reads_ids(&self, _keys: KeyKind) -> bool {
        false
    }

    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1> {
        let temperature = self.temperature.at(epoch);
        nt_xent(pair.anchors, pair.positives, self.similarity, temperature, self.reduction)
    }
}

/// NT-Xent: every row of both views is an anchor, its counterpart the positive, the other 2N − 2 rows the negatives.
///
/// ```text
/// z = concat(a, b);  loss_i = −s(z_i, z_p(i)) / τ + log Σ_{j ≠ i} exp(s(z_i, z_j) / τ),   p(i) = i ± N
/// ```
///
/// The row itself is masked with −∞, so that it leaves the sum and carries no gradient.
///
/// # Shapes
/// - `a`, `b`: `[N, d]` → `[1]`; the reduction runs over 2N rows.
///
/// # Cost
/// Time O(N² d); memory O(N d) on the host backends, O(N²) on others.
///
/// # Source
/// Chen, Kornblith, Norouzi & Hinton 2020, equation 1 (arXiv 2002.05709).
///
/// # Panics
/// If the shapes differ.
#[must_use]
pub fn nt_xent<B: ContrastBackend>(
    a: Tensor<B, 2>,
    b: Tensor<B, 2>,
    similarity: Similarity,
    temperature: f64,
    reduction: Reduction,
) -> Tensor<B, 1> {
    let (a, b) = (similarity.prepare(a), similarity.prepare(b));
    let positive = row_dot(a.clone(), b.clone()).div_scalar(temperature); // [n]
    let both = Tensor::cat(vec![a, b], 0); // [2n, d]
    let denominator = row_lse(both.clone(), both, (1.0 / temperature) as f32, Some(KeyMask::Diagonal)); // [2n]
    reduction.apply(denominator - Tensor::cat(vec![positive.clone(), positive], 0))
}
