//! No head: what the code of SGL, SimGCL and XSimGCL does.

use serde::{Deserialize, Serialize};

use super::Projection;
use crate::registry::Component;

/// `type = "none"`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoneConfig {}

impl Component<dyn Projection> for NoneConfig {
    const NAME: &'static str = "none";
    const SUMMARY: &'static str = "the embeddings themselves are contrasted";

    fn build(self) -> Box<dyn Projection> {
        Box::new(self)
    }
}

impl Projection for NoneConfig {
    fn widths(&self) -> Vec<usize> {
        Vec::new()
    }
}
