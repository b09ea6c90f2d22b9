//! Views and negatives → loss.
//!
//! A contrast receives the two views of a group of rows and the keys that stand in the denominator. It does not know
//! where the views or the keys come from.

mod alignment_uniformity;
mod info_nce;
mod nt_xent;
mod parts;

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use alignment_uniformity::{AlignmentUniformityConfig, alignment, uniformity};
pub use info_nce::{InfoNceConfig, info_nce, info_nce_with_keys};
pub use nt_xent::{NtXentConfig, nt_xent};
pub use parts::{Reduction, Similarity, normalize_rows, row_dot, row_lse};

use crate::kernels::ContrastBackend;
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::source::Pairing;

/// Who stands in the denominator.
#[derive(Debug, Clone)]
pub enum Keys<B: Backend> {
    /// The other view of the group itself: key i is the positive of anchor i.
    Own,
    /// Other rows.
    Others {
        /// The keys `[m, d]`.
        vectors: Tensor<B, 2>,
        /// Who each key is.
        ids: Arc<[u32]>,
        /// Whether the positive of every anchor is among the keys (under the anchor's id).
        holds_positives: bool,
    },
}

/// Where a source of negatives takes its keys from; what a contrast must be able to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The group's own rows.
    Own,
    /// Rows besides the group's.
    Others,
}

/// One group in two views.
#[derive(Debug, Clone)]
pub struct Pair<B: Backend> {
    /// The first view `[n, d]`.
    pub a: Tensor<B, 2>,
    /// The second view `[n, d]`; row i is the same thing as row i of `a`.
    pub b: Tensor<B, 2>,
    /// Who each row is.
    pub ids: Arc<[u32]>,
    /// The denominator of anchors in `a`.
    pub keys_of_b: Keys<B>,
    /// The denominator of anchors in `b`, if the contrast is symmetric.
    pub keys_of_a: Option<Keys<B>>,
}

/// A contrastive loss.
pub trait Contrast<B: Backend>: Send {
    /// How it wants the rows of a batch paired.
    fn pairing(&self) -> Pairing;

    /// λ, its weight beside the recommendation objective.
    fn weight(&self) -> Schedule;

    /// Whether it can use keys of this kind.
    ///
    /// # Errors
    ///
    /// Half a sentence on why it cannot.
    fn accepts(&self, _keys: KeyKind) -> Result<(), String> {
        Ok(())
    }

    /// The loss of one group `[1]`, after `epoch` epochs (fractions count).
    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1>;
}

/// The contrastive losses of this crate.
#[must_use]
pub fn contrasts<B: ContrastBackend>() -> Registry<dyn Contrast<B>> {
    Registry::new("contrast")
        .with::<InfoNceConfig>()
        .with::<NtXentConfig>()
        .with::<AlignmentUniformityConfig>()
}
