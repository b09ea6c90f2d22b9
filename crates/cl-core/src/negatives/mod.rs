//! Who stands in the denominator of a contrast.

mod all_nodes;
mod in_batch;

use std::ops::Range;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use all_nodes::AllNodesConfig;
pub use in_batch::InBatchConfig;

use crate::contrast::{KeyKind, Keys};
use crate::registry::Registry;
use crate::source::Group;

/// A source of negatives.
pub trait Negatives<B: Backend>: Send {
    /// What kind of keys it gives.
    fn kind(&self) -> KeyKind;

    /// Rows of the other view that must be encoded as keys, besides the group's own.
    fn wants(&self, group: &Group) -> Option<Range<u32>>;

    /// The keys of a group; `encoded` are the rows that [`wants`](Self::wants) named, projected.
    fn keys(&self, group: &Group, encoded: Option<Tensor<B, 2>>) -> Keys<B>;
}

/// The sources of negatives of this crate.
#[must_use]
pub fn negatives<B: Backend>() -> Registry<dyn Negatives<B>> {
    Registry::new("negatives").with::<InBatchConfig>().with::<AllNodesConfig>()
}
