//! InfoNCE.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::parts::{Reduction, Similarity, check, row_dot, row_lse};
use super::{ABSENT, Contrast, KeyKind, Keys, Pair};
use crate::kernels::{ContrastBackend, IdMask};
use crate::registry::{Check, Component, ensure};
use crate::schedule::Schedule;
use crate::source::{Pairing, Sides};

/// `type = "info_nce"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InfoNceConfig {
    /// τ > 0; SimGCL and SGL use 0.2, XSimGCL 0.15.
    pub temperature: Schedule,
    /// λ ≥ 0, the weight beside the objective; it means nothing without `reduction`.
    pub weight: Schedule,
    /// Cosine or dot product.
    pub similarity: Similarity,
    /// Both directions, averaged; the official graph codes use view a → view b alone.
    pub symmetric: bool,
    /// Mean (SELFRec) or sum (SGL's own code) over the anchors of a group; groups are added.
    pub reduction: Reduction,
    /// Users, items, or both.
    pub sides: Sides,
    /// Users and items in one softmax (SELFRec's SGL) rather than apart and added (SGL, SimGCL, XSimGCL).
    pub merge: bool,
    /// Each node of the batch once (SELFRec) rather than as often as it occurs (SGL's own code).
    pub unique: bool,
    /// Take other rows of the batch with the anchor's own id out of the denominator: they are no negatives.
    pub mask_own_id: bool,
}

impl Default for InfoNceConfig {
    fn default() -> Self {
        Self {
            temperature: 0.2.into(),
            weight: 0.1.into(),
            similarity: Similarity::Cosine,
            symmetric: false,
            reduction: Reduction::Mean,
            sides: Sides::Both,
            merge: false,
            unique: true,
            mask_own_id: false,
        }
    }
}

impl<B: ContrastBackend> Component<dyn Contrast<B>> for InfoNceConfig {
    const NAME: &'static str = "info_nce";
    const SUMMARY: &'static str = "softmax of the positive among negatives (van den Oord et al. 2018)";

    fn validate(&self) -> Check {
        check(self.temperature, self.weight, self.sides, self.merge)?;
        ensure(!(self.unique && self.mask_own_id), "mask_own_id", || {
            "changes nothing with unique = true: no other row has the anchor's id".into()
        })
    }

    fn build(self) -> Box<dyn Contrast<B>> {
        Box::new(self)
    }
}

impl<B: ContrastBackend> Contrast<B> for InfoNceConfig {
    fn pairing(&self) -> Pairing {
        Pairing { sides: self.sides, merge: self.merge, unique: self.unique, symmetric: self.symmetric }
    }

    fn weight(&self) -> Schedule {
        self.weight
    }

    fn accepts(&self, keys: KeyKind) -> Result<(), String> {
        match keys {
            KeyKind::Others if self.mask_own_id => {
                Err("`mask_own_id` of the contrast hides rows of the batch, and the keys are others".into())
            }
            _ => Ok(()),
        }
    }

    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1> {
        let prepare = |rows| self.similarity.prepare(rows);
        let keys = pair.keys.map(prepare);
        let (anchors, positives) = (prepare(pair.anchors), prepare(pair.positives)); // [n, d] each
        let mask = match keys {
            Keys::Own => self.mask_own_id,
            Keys::Others { mask_own_id, .. } => mask_own_id,
        };
        let mask = mask.then_some(pair.ids);
        self.reduction.apply(info_nce_with_keys(anchors, positives, keys, mask, self.temperature.at(epoch)))
    }
}

/// InfoNCE of two views with the other rows of the second view as negatives.
///
/// ```text
/// loss_i = −log( exp(s(a_i, b_i) / τ) / Σ_j exp(s(a_i, b_j) / τ) ),   j over all rows of b
/// ```
///
/// # Shapes
/// - `a`, `b`: `[n, d]` → `[1]`
///
/// # Ranges
/// `temperature` τ > 0. With cosine similarity the loss lies between 0 and log n + 2/τ.
///
/// # Cost
/// Time O(n² d); memory O(n d) on the host backends, O(n²) on others.
///
/// # Source
/// van den Oord, Li & Vinyals 2018, equation 4 (arXiv 1807.03748). One direction and in-batch negatives of the other
/// view alone, as in SELFRec's SimGCL and XSimGCL.
///
/// # Panics
/// If the shapes differ.
#[must_use]
pub fn info_nce<B: ContrastBackend>(
    a: Tensor<B, 2>,
    b: Tensor<B, 2>,
    similarity: Similarity,
    temperature: f64,
    reduction: Reduction,
) -> Tensor<B, 1> {
    let (a, b) = (similarity.prepare(a), similarity.prepare(b));
    reduction.apply(info_nce_with_keys(a, b, Keys::Own, None, temperature))
}

/// InfoNCE a row, `[n, d], [n, d]` → `[n]`, on rows that are already prepared (unit length for cosine).
///
/// The denominator holds the keys and the positive, the positive once. `mask` are the anchors' ids: other keys with the
/// anchor's id are then left out of its denominator.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
#[must_use]
pub fn info_nce_with_keys<B: ContrastBackend>(
    anchors: Tensor<B, 2>,
    positives: Tensor<B, 2>,
    keys: Keys<B>,
    mask: Option<std::sync::Arc<[u32]>>,
    temperature: f64,
) -> Tensor<B, 1> {
    let scale = 1.0 / temperature;
    let positive = row_dot(anchors.clone(), positives.clone()).mul_scalar(scale); // [n]
    let (keys, mask, holds_positives) = match keys {
        Keys::Own => (positives, mask.map(|ids| IdMask { anchors: ids.clone(), keys: ids }), true),
        Keys::Others { vectors, ids, places, .. } => {
            let all_are_there = places.as_ref().is_some_and(|places| !places.contains(&ABSENT));
            let some_are_there = places.filter(|_| !all_are_there);
            let by_id = mask.map(|anchors| IdMask { anchors, keys: ids });
            let [m, _] = vectors.dims();
            (vectors, by_id.or_else(|| some_are_there.map(|at| IdMask::at_places(at, m))), all_are_there)
        }
    };
    // A mask hides the positive too, which has the anchor's id.
    let positive_is_summed = holds_positives && mask.is_none();
    let denominator = row_lse(anchors, keys, scale as f32, mask); // [n]
    let denominator =
        if positive_is_summed { denominator } else { log_add_exp(denominator, positive.clone()) };
    denominator - positive
}

/// `log(eˣ + eʸ)` of each pair; x may be −∞, y must be finite.
fn log_add_exp<B: Backend>(x: Tensor<B, 1>, y: Tensor<B, 1>) -> Tensor<B, 1> {
    let peak = x.clone().detach().max_pair(y.clone().detach());
    ((x - peak.clone()).exp() + (y - peak.clone()).exp()).log() + peak
}
