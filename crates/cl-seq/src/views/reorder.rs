//! A run of events in another order.

use cl_core::registry::{Check, Component};
use cl_core::rng::StreamRng;
use cl_core::views::Views;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{Both, Operation, check_share, part};
use crate::input::SequenceInput;

/// `type = "reorder"`: ⌊β · n⌋ events in a row are shuffled; where they begin is uniform.
///
/// Source: Xie et al. 2022, CL4SRec (arXiv 2010.14395), equation 7.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReorderConfig {
    /// β, the share that is shuffled, in [0, 1]; DuoRec's and SSLRec's CL4SRec shuffle 0.6.
    pub rate: f64,
}

impl Default for ReorderConfig {
    fn default() -> Self {
        Self { rate: 0.6 }
    }
}

impl Operation for ReorderConfig {
    fn apply(&self, sequence: &[u32], _mask: u32, rng: &mut StreamRng) -> Vec<u32> {
        let mut out = sequence.to_vec();
        let moved = part(self.rate, sequence.len());
        let first = rng.random_range(0..=sequence.len() - moved);
        out[first..first + moved].shuffle(rng);
        out
    }
}

impl Component<dyn Views<SequenceInput>> for ReorderConfig {
    const NAME: &'static str = "reorder";
    const SUMMARY: &'static str = "a run of events of each sequence shuffled (CL4SRec, Xie et al. 2022)";

    fn validate(&self) -> Check {
        check_share("rate", self.rate)
    }

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        Box::new(Both(self))
    }
}
