//! Views and negatives → loss.
//!
//! A contrast receives the two views of a group of rows and the keys that stand in the denominator. It does not know
//! where the views or the keys come from.

mod alignment_uniformity;
mod corrected;
mod debiased;
mod decoupled;
mod hard_negative;
mod info_nce;
mod nt_xent;
mod parts;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use alignment_uniformity::{AlignmentUniformityConfig, alignment, uniformity};
pub use debiased::{DebiasedConfig, debiased};
pub use decoupled::{DecoupledConfig, decoupled};
pub use hard_negative::{HardNegativeConfig, hard_negative};
pub use info_nce::{InfoNceConfig, info_nce, info_nce_with_keys};
pub use nt_xent::{NtXentConfig, nt_xent};
pub use parts::{Reduction, Similarity, log_sigmoid, normalize_rows, row_dot, row_lse};

use crate::kernels::{ContrastBackend, KeyMask, List};
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::source::Pairing;

/// The place of a positive that is not among the keys.
pub const ABSENT: u32 = u32::MAX;

/// Who stands in the denominator.
#[derive(Debug, Clone)]
pub enum Keys<B: Backend> {
    /// The other view of the group itself: key i is the positive of anchor i.
    Own,
    /// Other rows.
    Others {
        /// The keys `[m, d]`; m may be 0.
        vectors: Tensor<B, 2>,
        /// Which of them are no negatives of an anchor: its positive, at its own place ([`KeyMask::Diagonal`]) or at another
        /// ([`ABSENT`] where it is not among them), or all that carry its own id; `None` if all are negatives.
        mask: Option<KeyMask>,
    },
}

impl<B: Backend> Keys<B> {
    /// The same keys with their vectors through `function`.
    #[must_use]
    pub fn map(self, function: impl FnOnce(Tensor<B, 2>) -> Tensor<B, 2>) -> Self {
        match self {
            Self::Own => Self::Own,
            Self::Others { vectors, mask } => Self::Others { vectors: function(vectors), mask },
        }
    }
}

/// Where a source of negatives takes its keys from; what a contrast must be able to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The group's own rows.
    Own,
    /// Rows besides the group's.
    Others,
}

/// One group in two views, in one direction: where a contrast is symmetric, it gets the other direction as another pair.
#[derive(Debug, Clone)]
pub struct Pair<B: Backend> {
    /// The rows of one view `[n, d]`.
    pub anchors: Tensor<B, 2>,
    /// The rows of the other view `[n, d]`; row i is the same thing as row i of `anchors`.
    pub positives: Tensor<B, 2>,
    /// Who each row is.
    pub ids: List<u32>,
    /// The denominator, from the other view.
    pub keys: Keys<B>,
}

impl<B: ContrastBackend> Pair<B> {
    /// The pair with all rows of unit length.
    #[must_use]
    pub fn unit(self) -> Self {
        Self {
            anchors: normalize_rows(self.anchors),
            positives: normalize_rows(self.positives),
            keys: self.keys.map(normalize_rows),
            ids: self.ids,
        }
    }
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

    /// Whether [`loss`](Self::loss) reads the ids of a pair with keys of this kind, or its keys do: a device is given them ahead
    /// then.
    fn reads_ids(&self, _keys: KeyKind) -> bool {
        true
    }

    /// The loss of one group in one direction `[1]`, after `epoch` epochs (fractions count). Groups are added, directions
    /// averaged.
    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1>;
}

/// The contrastive losses of this crate.
#[must_use]
pub fn contrasts<B: ContrastBackend>() -> Registry<dyn Contrast<B>> {
    Registry::new("contrast")
        .with::<InfoNceConfig>()
        .with::<NtXentConfig>()
        .with::<DecoupledConfig>()
        .with::<DebiasedConfig>()
        .with::<HardNegativeConfig>()
        .with::<AlignmentUniformityConfig>()
}
