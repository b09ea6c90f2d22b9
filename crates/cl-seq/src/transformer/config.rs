//! What the codes of transformers on sequences differ in.

use serde::{Deserialize, Serialize};

use crate::init::Init;
use crate::pass::Positions;

/// Where a block normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Queries alone before the attention, keys and values as they are; residuals are added to what was normalised; no
    /// output layer behind the heads; one more norm at the end (SASRec's own code).
    #[default]
    Query,
    /// After each residual, and once after the embedding (BERT; S3-Rec, RecBole, DuoRec).
    Post,
    /// Before each layer, and once at the end (pmixer's SASRec with `norm_first`).
    Pre,
}

impl Norm {
    /// ε of the norms, as the codes of each kind have it.
    pub(crate) fn epsilon(self) -> f64 {
        match self {
            Self::Post => 1e-12,
            Self::Query | Self::Pre => 1e-8,
        }
    }
}

/// Between the two layers of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0): SASRec's own code.
    #[default]
    Relu,
    /// x Φ(x), exact: S3-Rec, RecBole.
    Gelu,
}

/// A transformer, every switch set.
#[derive(Debug, Clone)]
pub(crate) struct TransformerConfig {
    pub(crate) dim: usize,
    pub(crate) blocks: usize,
    pub(crate) heads: usize,
    pub(crate) inner: usize,
    pub(crate) max_length: usize,
    pub(crate) dropout: f64,
    pub(crate) attention_dropout: f64,
    pub(crate) norm: Norm,
    pub(crate) positions: Positions,
    pub(crate) scale_embeddings: bool,
    pub(crate) activation: Activation,
    /// Whether an event sees those before it alone.
    pub(crate) causal: bool,
    pub(crate) init: Init,
    pub(crate) init_scale: f64,
}
