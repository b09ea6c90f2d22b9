//! A multi-layer perceptron (SimCLR's head).

use serde::{Deserialize, Serialize};

use super::Projection;
use crate::registry::{Check, Component, ensure};

/// `type = "mlp"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Output width, 1 to 65 536.
    pub dim: usize,
    /// Width of the hidden layers, 1 to 65 536.
    pub hidden: usize,
    /// Number of linear layers, 2 to 16.
    pub layers: usize,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { dim: 64, hidden: 64, layers: 2 }
    }
}

impl Component<dyn Projection> for MlpConfig {
    const NAME: &'static str = "mlp";
    const SUMMARY: &'static str = "linear layers with ReLU between them (SimCLR's head)";

    fn validate(&self) -> Check {
        for (key, value) in [("dim", self.dim), ("hidden", self.hidden)] {
            ensure((1..=65_536).contains(&value), key, || format!("must be from 1 to 65536, got {value}"))?;
        }
        ensure((2..=16).contains(&self.layers), "layers", || {
            format!("must be from 2 to 16, got {} (one layer is type = \"linear\")", self.layers)
        })
    }

    fn build(self) -> Box<dyn Projection> {
        Box::new(self)
    }
}

impl Projection for MlpConfig {
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![self.hidden; self.layers - 1];
        widths.push(self.dim);
        widths
    }
}
