//! What SASRec's codes differ in, as keys.

use cl_core::encoder::Senses;
use cl_core::registry::{Check, ensure};
use serde::{Deserialize, Serialize};

use crate::init::Init;

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

/// Where positions are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// The newest event is always the last position: what codes do that pad on the left (SASRec, S3-Rec).
    #[default]
    FromEnd,
    /// The oldest event is always the first position: what codes do that pad on the right (RecBole, DuoRec).
    FromStart,
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

/// What stands for a sequence as a whole, in a contrast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The state after the newest event.
    #[default]
    Last,
    /// The mean of all states.
    Mean,
}

/// `type = "sas_rec"`. The defaults are SASRec's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SasRecConfig {
    /// d, width of embeddings and states, 1 to 4096.
    pub dim: usize,
    /// Number of blocks, 1 to 64.
    pub blocks: usize,
    /// Number of heads, a divisor of d.
    pub heads: usize,
    /// Width inside the feed-forward part; d if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner: Option<usize>,
    /// The newest events that are read, 1 to 65 536; older ones are cut off by whoever makes the batch.
    pub max_length: usize,
    /// Dropout of embeddings and layers, in [0, 1).
    pub dropout: f64,
    /// Dropout of attention weights, in [0, 1); as `dropout` if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_dropout: Option<f64>,
    /// Where a block normalises.
    pub norm: Norm,
    /// Where positions are counted from.
    pub positions: Positions,
    /// Whether item embeddings are multiplied by √d before positions are added.
    pub scale_embeddings: bool,
    /// Between the two layers of the feed-forward part.
    pub activation: Activation,
    /// What stands for a sequence as a whole.
    pub pooling: Pooling,
    /// The law of the initial parameters.
    pub init: Init,
    /// Gain of `xavier_uniform` (default 1), standard deviation of `normal` (default 0.02).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_scale: Option<f64>,
}

impl Default for SasRecConfig {
    fn default() -> Self {
        Self {
            dim: 50,
            blocks: 2,
            heads: 1,
            inner: None,
            max_length: 50,
            dropout: 0.5,
            attention_dropout: None,
            norm: Norm::Query,
            positions: Positions::FromEnd,
            scale_embeddings: true,
            activation: Activation::Relu,
            pooling: Pooling::Last,
            init: Init::XavierUniform,
            init_scale: None,
        }
    }
}

impl SasRecConfig {
    /// The one-line summary.
    pub const SUMMARY: &'static str = "causal self-attention over the user's items (Kang & McAuley 2018)";

    pub(crate) fn inner(&self) -> usize {
        self.inner.unwrap_or(self.dim)
    }

    pub(crate) fn attention_dropout(&self) -> f64 {
        self.attention_dropout.unwrap_or(self.dropout)
    }

    pub(crate) fn scale(&self) -> f64 {
        self.init_scale.unwrap_or(self.init.default_scale())
    }

    /// Writes down the defaults that depend on other keys.
    pub fn complete(&mut self) {
        (self.inner, self.attention_dropout, self.init_scale) =
            (Some(self.inner()), Some(self.attention_dropout()), Some(self.scale()));
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// The first key whose value is out of range.
    pub fn validate(&self) -> Check {
        let range = |name, value: usize, from: usize, to: usize| {
            ensure((from..=to).contains(&value), name, || format!("must be from {from} to {to}, got {value}"))
        };
        range("dim", self.dim, 1, 4096)?;
        range("blocks", self.blocks, 1, 64)?;
        ensure(self.heads > 0 && self.dim.is_multiple_of(self.heads), "heads", || {
            format!("must divide dim = {}, got {}", self.dim, self.heads)
        })?;
        range("inner", self.inner(), 1, 65_536)?;
        range("max_length", self.max_length, 1, 65_536)?;
        for (name, rate) in [("dropout", self.dropout), ("attention_dropout", self.attention_dropout())] {
            ensure((0.0..1.0).contains(&rate), name, || format!("must be in [0, 1), got {rate}"))?;
        }
        ensure(self.scale() > 0.0 && self.scale().is_finite(), "init_scale", || {
            format!("must be above 0 and finite, got {}", self.scale())
        })
    }

    /// What the encoder reads of its input.
    #[must_use]
    pub fn senses(&self) -> Senses {
        Senses {
            structure: true,
            noise: self.dropout > 0.0 || self.attention_dropout() > 0.0,
            layers: 0,
            final_is: None,
        }
    }
}
