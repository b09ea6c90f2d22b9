//! Who stands in the denominator of a contrast.

mod all_nodes;
mod in_batch;

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use all_nodes::AllNodesConfig;
pub use in_batch::InBatchConfig;

use crate::contrast::{KeyKind, Keys};
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::source::Group;

/// Which view the anchors are of, and so which the keys are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Anchors of view a, keys of view b.
    AToB,
    /// Anchors of view b, keys of view a: the second half of a symmetric contrast.
    BToA,
}

/// What a step has encoded for the denominator of one group, in one direction.
#[derive(Debug, Clone)]
pub struct Fresh<B: Backend> {
    /// The group's own rows in the keys' view, projected, `[n, d]`: the positives.
    pub positives: Tensor<B, 2>,
    /// All rows of the group's kind in that view, projected, if [`Negatives::wants_everyone`].
    pub everyone: Option<Tensor<B, 2>>,
}

/// Keys that outlive their step, for a look at how stale they are.
#[derive(Debug, Clone)]
pub struct Kept<B: Backend> {
    /// Whose they are: the group, and the direction if there are two.
    pub name: String,
    /// Whether they are of view b or of view a.
    pub direction: Direction,
    /// The keys as they were encoded, oldest first, `[m, d]`.
    pub vectors: Tensor<B, 2>,
    /// Who each key is.
    pub ids: Arc<[u32]>,
    /// What each key was made of, as [`Source::again`](crate::source::Source::again) reads it.
    pub origins: Arc<[u32]>,
    /// How many steps ago each key was encoded.
    pub ages: Vec<u64>,
}

/// A source of negatives.
///
/// In a step the loop asks for the keys of each group ([`keys`](Self::keys)), computes losses and gradients, and says that
/// the step is done ([`step_done`](Self::step_done)). Sources that remember nothing implement the first three methods.
pub trait Negatives<B: Backend>: Send {
    /// What kind of keys it gives.
    fn kind(&self) -> KeyKind;

    /// Whether it wants all rows of a group's kind ([`Group::everyone`]) encoded as keys, besides the group's own.
    fn wants_everyone(&self) -> bool {
        false
    }

    /// The keys of a group in one direction.
    fn keys(&mut self, group: &Group, direction: Direction, fresh: Fresh<B>) -> Keys<B>;

    /// m of the copy of the model that encodes the keys and follows the model as ξ ← m ξ + (1 − m) θ; `None` if the model
    /// itself encodes them.
    fn momentum(&self) -> Option<Schedule> {
        None
    }

    /// The step is over: what it encoded may be remembered, and what is remembered is a step older.
    fn step_done(&mut self) {}

    /// What is remembered.
    fn kept(&self) -> Vec<Kept<B>> {
        Vec::new()
    }

    /// What is remembered, for a checkpoint: all bits of it. `None` if nothing ever is.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// Remembers what was saved.
    ///
    /// # Errors
    ///
    /// Half a sentence on why these bytes are not from such a source.
    fn load(&mut self, _bytes: &[u8], _device: &B::Device) -> Result<(), String> {
        Err("this source of negatives remembers nothing".into())
    }
}

/// The sources of negatives of this crate.
#[must_use]
pub fn negatives<B: Backend>() -> Registry<dyn Negatives<B>> {
    Registry::new("negatives").with::<InBatchConfig>().with::<AllNodesConfig>()
}
