//! Training data as the loop sees it: batches, the rows they need, and the groups that are contrasted.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::encoder::{Request, Rows};
use crate::kernels::List;
use crate::rng::StreamKey;
use crate::sampling::BatchNegatives;
use crate::views::At;

/// Which side of the interactions is contrasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sides {
    /// Users.
    User,
    /// Items.
    Item,
    /// Users and items.
    #[default]
    Both,
}

/// Which events of a training sequence are to be foretold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Targets {
    /// Each after those before it.
    #[default]
    All,
    /// The last.
    Last,
}

/// How a contrast wants the rows of a batch paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pairing {
    /// Which sides.
    pub sides: Sides,
    /// Users and items in one softmax rather than apart.
    pub merge: bool,
    /// Each row once, however often the batch holds it.
    pub unique: bool,
    /// Both directions: the keys of either view are needed.
    pub symmetric: bool,
}

/// The rows of one batch, in the encoder's numbering.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Who is recommended to, `n` rows.
    pub anchors: Rows,
    /// What they took, `n` rows.
    pub positives: Rows,
    /// What they did not take, k for each.
    pub negatives: BatchNegatives,
    /// Which instances of the training data the input is made of; empty where all batches have the same input (graphs).
    pub instances: Arc<[u32]>,
    /// The stream of what the encoder itself draws (dropout).
    pub key: StreamKey,
}

/// How much is known of the past of users who are ranked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// The training part: for ranking the validation part.
    Train,
    /// The validation part too: for ranking the test part.
    TrainAndValidation,
}

/// What must be encoded for ranking: all users, all items, each in one request or several, so that no pass grows with the
/// number of users.
#[derive(Debug, Clone)]
pub struct Tables<I> {
    /// All users, in their order.
    pub users: Vec<Request<I>>,
    /// All items, in their order.
    pub items: Vec<Request<I>>,
}

/// Rows that are contrasted with one another.
#[derive(Debug, Clone)]
pub struct Group {
    /// `user`, `item` or `merged`, for logs.
    pub name: &'static str,
    /// The rows whose two views are pairs.
    pub rows: Arc<[u32]>,
    /// Who each row is: equal ids are the same user or item.
    pub ids: List<u32>,
    /// All rows of this kind, the group's own among them.
    pub everyone: Range<u32>,
    /// What each row is made of, so that [`Source::again`] can encode it at a later step: a node, an instance.
    pub origins: Arc<[u32]>,
}

/// A family's training data: graphs, or sequences.
pub trait Source: Send {
    /// What the family's encoders encode.
    type Input: Clone;

    /// The whole training data as one input, unperturbed: what views are prepared with. The clean graph; all sequences, at
    /// their full length.
    fn everything(&self) -> Self::Input;

    /// Steps in an epoch.
    fn steps(&self) -> usize;

    /// The batch of a step, with `negatives` sampled for each positive; a function of the position alone.
    fn batch(&mut self, at: At, negatives: usize) -> Batch;

    /// The unperturbed input of a batch.
    fn clean(&self, batch: &Batch) -> Self::Input;

    /// The input whose output is the bare parameters of the rows (layer 0), from the clean one.
    fn layer_zero(&self, clean: &Self::Input) -> Self::Input;

    /// The rows of all items.
    fn catalogue(&self) -> Range<u32>;

    /// Whether items are rows of a table that no pass is needed for, so that all of them may be asked for. All encoders of the
    /// family keep to it.
    fn items_are_a_table(&self) -> bool {
        false
    }

    /// The groups that a contrast of this pairing compares.
    fn groups(&self, batch: &Batch, pairing: Pairing) -> Vec<Group>;

    /// The unperturbed input and rows of what earlier batches had in their groups.
    fn again(&self, origins: &[u32]) -> Request<Self::Input>;

    /// Whether what was made of `key` is another positive of what was made of `anchor`, both origins of one group: an item
    /// that the user took, a sequence that the same item follows. `None` where there is no such thing between the two.
    fn related(&self, _anchor: u32, _key: u32) -> Option<bool> {
        None
    }

    /// What must be encoded for ranking.
    fn tables(&self, past: Past) -> Tables<Self::Input>;

    /// Whether users are encoded otherwise when more is known of their past.
    fn past_matters(&self) -> bool {
        false
    }
}
