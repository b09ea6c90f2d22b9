//! Some events become similar ones.

use cl_core::registry::{Check, Component};
use cl_core::rng::StreamRng;
use cl_core::views::Views;
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

use super::{Both, Operation, Similar, Training, check_share, part};
use crate::input::SequenceInput;

/// `type = "substitute"`: max(⌊rate · n⌋, 1) events, each set of them equally likely, become the items most [`Similar`] to
/// them. An item that is similar to none stays.
///
/// Source: Liu et al. 2021, CoSeRec (arXiv 2108.06479), with the similarity that its code calls offline; after
/// a number of epochs that code takes the more similar of this item and the one with the nearest embedding. At a rate of 0,
/// too, one event is substituted, as there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubstituteConfig {
    /// The share that is substituted, in [0, 1]; CoSeRec substitutes 0.1.
    pub rate: f64,
}

impl Default for SubstituteConfig {
    fn default() -> Self {
        Self { rate: 0.1 }
    }
}

/// The operation of [`SubstituteConfig`].
#[derive(Debug, Clone)]
pub struct Substitute {
    rate: f64,
    /// `None` before `prepare`.
    similar: Option<Similar>,
}

impl From<SubstituteConfig> for Substitute {
    fn from(config: SubstituteConfig) -> Self {
        Self { rate: config.rate, similar: None }
    }
}

impl Operation for Substitute {
    fn prepare(&mut self, train: &Training<'_>) {
        self.similar = Some(train.similar());
    }

    /// # Panics
    ///
    /// Before `prepare`.
    fn apply(&self, sequence: &[u32], _mask: u32, rng: &mut StreamRng) -> Vec<u32> {
        let Some(similar) = &self.similar else { panic!("similar items are not known before `prepare`") };
        let mut out = sequence.to_vec();
        for at in sample(rng, sequence.len(), part(self.rate, sequence.len()).max(1)) {
            out[at] = similar.to(sequence[at]).unwrap_or(sequence[at]);
        }
        out
    }
}

impl Component<dyn Views<SequenceInput>> for SubstituteConfig {
    const NAME: &'static str = "substitute";
    const SUMMARY: &'static str =
        "some events of each sequence become similar ones (CoSeRec, Liu et al. 2021)";

    fn validate(&self) -> Check {
        check_share("rate", self.rate)
    }

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        Box::new(Both(Substitute::from(self)))
    }
}
