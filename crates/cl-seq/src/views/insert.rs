//! Similar events between those that were.

use cl_core::registry::{Check, Component};
use cl_core::rng::StreamRng;
use cl_core::views::Views;
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

use super::{Both, Operation, Similar, Training, check_share, part};
use crate::input::SequenceInput;

/// `type = "insert"`: before max(⌊rate · n⌋, 1) events, each set of them equally likely, goes the item most [`Similar`] to
/// the event; of what is then longer than the encoder reads, the newest events stay. Before an item that is similar to none
/// nothing goes.
///
/// A sequence is lengthened after it was cut to what the encoder reads, so that a long one has as many insertions as events
/// fall out at its old end. Source: Liu et al. 2021, CoSeRec (arXiv 2108.06479), with one item an event, its
/// code's default, and the similarity that this code calls offline. **Differs**: that code lengthens the whole sequence
/// before it is cut.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InsertConfig {
    /// The share of events that another goes before, in [0, 1]; CoSeRec inserts 0.4.
    pub rate: f64,
}

impl Default for InsertConfig {
    fn default() -> Self {
        Self { rate: 0.4 }
    }
}

/// The operation of [`InsertConfig`].
#[derive(Debug, Clone)]
pub struct Insert {
    rate: f64,
    /// `None` before `prepare`.
    similar: Option<Similar>,
}

impl From<InsertConfig> for Insert {
    fn from(config: InsertConfig) -> Self {
        Self { rate: config.rate, similar: None }
    }
}

impl Operation for Insert {
    fn prepare(&mut self, train: &Training<'_>) {
        self.similar = Some(train.similar());
    }

    /// # Panics
    ///
    /// Before `prepare`.
    fn apply(&self, sequence: &[u32], _mask: u32, rng: &mut StreamRng) -> Vec<u32> {
        let Some(similar) = &self.similar else { panic!("similar items are not known before `prepare`") };
        let inserted = part(self.rate, sequence.len()).max(1);
        let mut before = sample(rng, sequence.len(), inserted).into_vec();
        before.sort_unstable();
        let mut out = Vec::with_capacity(sequence.len() + inserted);
        let mut start = 0;
        for at in before {
            out.extend_from_slice(&sequence[start..at]);
            out.extend(similar.to(sequence[at]));
            start = at;
        }
        out.extend_from_slice(&sequence[start..]);
        out
    }
}

impl Component<dyn Views<SequenceInput>> for InsertConfig {
    const NAME: &'static str = "insert";
    const SUMMARY: &'static str = "similar events between those of each sequence (CoSeRec, Liu et al. 2021)";

    fn validate(&self) -> Check {
        check_share("rate", self.rate)
    }

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        Box::new(Both(Insert::from(self)))
    }
}
