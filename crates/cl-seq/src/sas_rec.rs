//! SASRec and its kin.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};
use cl_core::encoder::{Planned, Planner, Senses};
use cl_core::registry::Check;
use cl_core::{Encoder, Request, StreamKey};
use serde::{Deserialize, Serialize};

use crate::check::{check_dropout, check_heads, check_init_scale, check_range};
use crate::encode::{Operands, States, encode, encode_planned, planner};
use crate::encoder::SequenceEncoder;
use crate::init::Init;
use crate::input::SequenceInput;
use crate::kernels::SequenceBackend;
use crate::pass::{Pass, Positions, Reading};
use crate::pooling::Pooling;
use crate::transformer::{Activation, Norm, Transformer, TransformerConfig};

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
    /// Whether states are compared with the embeddings that are read (SASRec), or with a table of their own (gSASRec).
    pub tie_items: bool,
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
            tie_items: true,
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
        check_range("dim", self.dim, 1, 4096)?;
        check_range("blocks", self.blocks, 1, 64)?;
        check_heads(self.heads, self.dim)?;
        check_range("inner", self.inner(), 1, 65_536)?;
        check_range("max_length", self.max_length, 1, 65_536)?;
        check_dropout("dropout", self.dropout)?;
        check_dropout("attention_dropout", self.attention_dropout())?;
        check_init_scale(self.scale())
    }

    fn transformer(&self) -> TransformerConfig {
        TransformerConfig {
            dim: self.dim,
            blocks: self.blocks,
            heads: self.heads,
            inner: self.inner(),
            max_length: self.max_length,
            dropout: self.dropout,
            attention_dropout: self.attention_dropout(),
            norm: self.norm,
            positions: self.positions,
            scale_embeddings: self.scale_embeddings,
            activation: self.activation,
            causal: true,
            init: self.init,
            init_scale: self.scale(),
        }
    }
}

impl SequenceEncoder for SasRecConfig {
    type Encoder<B: SequenceBackend> = SasRec<B>;

    const CAUSAL: bool = true;

    fn max_length(&self) -> usize {
        self.max_length
    }

    fn whole_width(&self) -> usize {
        self.pooling.width(self.max_length, self.dim)
    }

    fn senses(&self) -> Senses {
        Senses {
            structure: true,
            noise: self.dropout > 0.0 || self.attention_dropout() > 0.0,
            layers: 0,
            final_is: None,
        }
    }

    fn init<B: SequenceBackend>(&self, items: usize, key: StreamKey, device: &Device<B>) -> SasRec<B> {
        let untied =
            || self.init.matrix([items, self.dim], self.scale(), key.child("compared items"), device);
        SasRec {
            transformer: self.transformer().init(items, key, device),
            compared_items: (!self.tie_items).then(untied),
            pooling: self.pooling,
        }
    }
}

/// SASRec: a causal transformer over a user's items; the state after an event is compared with items by their dot product.
///
/// A state is a function of its own sequence alone, whatever else is in the batch.
///
/// Source: Kang & McAuley 2018 (arXiv 1808.09781), sections 3.1 to 3.4; where its code and those of its followers differ
/// is a key of [`SasRecConfig`].
#[derive(Module, Debug)]
pub struct SasRec<B: Backend> {
    /// What is read, and how.
    pub transformer: Transformer<B>,
    /// What states are compared with if not with the embeddings that are read, `[items, d]`.
    pub compared_items: Option<Param<Tensor<B, 2>>>,
    #[module(skip)]
    pooling: Pooling,
}

impl<B: SequenceBackend> States<B> for SasRec<B> {
    fn reading(&self) -> Reading {
        self.transformer.reading()
    }

    fn pooling(&self) -> Pooling {
        self.pooling
    }

    fn table(&self) -> Tensor<B, 2> {
        match &self.compared_items {
            Some(items) => items.val(),
            None => self.transformer.items.val(),
        }
    }

    fn operands(&self) -> Operands {
        self.transformer.operands()
    }

    fn states(&self, pass: &Pass) -> Tensor<B, 2> {
        self.transformer.states(pass)
    }
}

impl<B: SequenceBackend> Encoder<B> for SasRec<B> {
    type Input = SequenceInput;

    fn encode(&self, requests: &[Request<SequenceInput>]) -> Vec<Tensor<B, 2>> {
        encode(self, requests)
    }

    fn planner(&self) -> Option<Planner<SequenceInput>> {
        planner(self, &self.transformer.items.val().device())
    }

    fn encode_planned(&self, requests: &[Request<SequenceInput>], planned: &Planned) -> Vec<Tensor<B, 2>> {
        encode_planned(self, requests, planned)
    }
}
