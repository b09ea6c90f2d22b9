//! Some events become unknown.

use cl_core::registry::{Check, Component};
use cl_core::rng::StreamRng;
use cl_core::views::Views;
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

use super::{Both, Operation, check_share, part};
use crate::input::SequenceInput;

/// `type = "mask"`: ⌊γ · n⌋ events, each set of them equally likely, become the mask token.
///
/// The token is one of its own, which is never ranked; CoSeRec's, ICLRec's and JamZheng's codes take the padding for it.
/// Source: Xie et al. 2022, CL4SRec (arXiv 2010.14395), equation 6.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskConfig {
    /// γ, the share that is masked, in [0, 1]; DuoRec's and SSLRec's CL4SRec mask 0.3.
    pub rate: f64,
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self { rate: 0.3 }
    }
}

impl Operation for MaskConfig {
    fn apply(&self, sequence: &[u32], mask: u32, rng: &mut StreamRng) -> Vec<u32> {
        let mut out = sequence.to_vec();
        for at in sample(rng, sequence.len(), part(self.rate, sequence.len())) {
            out[at] = mask;
        }
        out
    }
}

impl Component<dyn Views<SequenceInput>> for MaskConfig {
    const NAME: &'static str = "mask";
    const SUMMARY: &'static str = "some events of each sequence unknown (CL4SRec, Xie et al. 2022)";

    fn validate(&self) -> Check {
        check_share("rate", self.rate)
    }

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        Box::new(Both(self))
    }
}
