//! A run of events.

use cl_core::registry::{Check, Component};
use cl_core::rng::StreamRng;
use cl_core::views::Views;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Both, Operation, check_share, part};
use crate::input::SequenceInput;

/// `type = "crop"`: ⌊η · n⌋ events in a row, one at least; where they begin is uniform.
///
/// Source: Xie et al. 2022, CL4SRec (arXiv 2010.14395), equation 5. DuoRec's code has no least length: it leaves sequences of one
/// event alone, and can crop longer ones to none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CropConfig {
    /// η, the share that is kept, in [0, 1]; DuoRec's and SSLRec's CL4SRec keep 0.6.
    pub keep: f64,
}

impl Default for CropConfig {
    fn default() -> Self {
        Self { keep: 0.6 }
    }
}

impl Operation for CropConfig {
    fn apply(&self, sequence: &[u32], _mask: u32, rng: &mut StreamRng) -> Vec<u32> {
        let kept = part(self.keep, sequence.len()).max(1);
        let first = rng.random_range(0..=sequence.len() - kept);
        sequence[first..first + kept].to_vec()
    }
}

impl Component<dyn Views<SequenceInput>> for CropConfig {
    const NAME: &'static str = "crop";
    const SUMMARY: &'static str = "a run of events from each sequence (CL4SRec, Xie et al. 2022)";

    fn validate(&self) -> Check {
        check_share("keep", self.keep)
    }

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        Box::new(Both(self))
    }
}
