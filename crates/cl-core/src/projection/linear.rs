//! One linear layer.

use serde::{Deserialize, Serialize};

use super::Projection;
use crate::registry::{Check, Component, ensure};

/// `type = "linear"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinearConfig {
    /// Output width, 1 to 65 536.
    pub dim: usize,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self { dim: 64 }
    }
}

impl Component<dyn Projection> for LinearConfig {
    const NAME: &'static str = "linear";
    const SUMMARY: &'static str = "one linear layer with bias";

    fn validate(&self) -> Check {
        ensure((1..=65_536).contains(&self.dim), "dim", || {
            format!("must be from 1 to 65536, got {}", self.dim)
        })
    }

    fn build(self) -> Box<dyn Projection> {
        Box::new(self)
    }
}

impl Projection for LinearConfig {
    fn widths(&self) -> Vec<usize> {
        vec![self.dim]
    }
}
