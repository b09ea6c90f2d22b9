//! The other rows of the batch (SimCLR, SimGCL, XSimGCL).

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::{Direction, Fresh, Negatives};
use crate::contrast::{KeyKind, Keys};
use crate::registry::Component;
use crate::source::Group;

/// `type = "in_batch"`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InBatchConfig {}

impl<B: Backend> Component<dyn Negatives<B>> for InBatchConfig {
    const NAME: &'static str = "in_batch";
    const SUMMARY: &'static str = "the other rows of the batch in the other view (SimCLR, SimGCL)";

    fn build(self) -> Box<dyn Negatives<B>> {
        Box::new(self)
    }
}

impl<B: Backend> Negatives<B> for InBatchConfig {
    fn kind(&self) -> KeyKind {
        KeyKind::Own
    }

    fn keys(&mut self, _group: &Group, _direction: Direction, _fresh: Fresh<B>) -> Keys<B> {
        Keys::Own
    }
}
