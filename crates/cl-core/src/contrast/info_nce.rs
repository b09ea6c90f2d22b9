//! InfoNCE.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::parts::{Reduction, Similarity, check, row_dot, row_lse};
use super::{Contrast, KeyKind, Keys, Pair};
use crate::kernels::{ContrastBackend, KeyMask};
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

    fn reads_ids(&self, keys: KeyKind) -> bool {
        self.mask_own_id || keys == KeyKind::Others
    }

    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1> {
        let prepare = |rows| self.similarity.prepare(rows);
        let pair = Pair {
            anchors: prepare(pair.anchors),
            positives: prepare(pair.positives),
            keys: pair.keys.map(prepare),
            ..pair
        };
        self.reduction.apply(info_nce_with_keys(pair, self.mask_own_id, self.temperature.at(epoch)))
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
    let ids = (0..a.dims()[0] as u32).collect();
    let pair = Pair { anchors: a, positives: b, ids, keys: Keys::Own };
    reduction.apply(info_nce_with_keys(pair, false, temperature))
}

/// InfoNCE a row, `[n]`, of rows that are already prepared (unit length for cosine).
///
/// The denominator holds the keys and the positive, the positive once and with its gradient, wherever it stands among the
/// keys (there it may be a copy without one). What the mask of the keys hides is left out; of the rows of the batch itself, those
/// with the anchor's own id, if `mask_own_id` says so.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
#[must_use]
pub fn info_nce_with_keys<B: ContrastBackend>(
    pair: Pair<B>,
    mask_own_id: bool,
    temperature: f64,
) -> Tensor<B, 1> {
    let Pair { anchors, positives, ids, keys } = pair;
    let scale = 1.0 / temperature;
    let positive = row_dot(anchors.clone(), positives.clone()).mul_scalar(scale); // [n]
    let (keys, mask, positive_is_summed) = match keys {
        Keys::Own => {
            let mask = mask_own_id.then(|| KeyMask::Ids { anchors: ids.clone(), keys: ids });
            let summed = mask.is_none();
            (positives, mask, summed)
        }
        Keys::Others { vectors, mask } => (vectors, mask, false),
    };
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
