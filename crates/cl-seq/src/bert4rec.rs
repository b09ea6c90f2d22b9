//! BERT4Rec.

use burn::module::{Module, Param};
use burn::nn::Linear;
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
use crate::kernels::{self, SequenceBackend};
use crate::norm::LayerNorm;
use crate::pass::{Pass, Positions, Reading};
use crate::pooling::Pooling;
use crate::transformer::{Activation, Norm, Transformer, TransformerConfig, gelu};

/// `type = "bert4rec"`. The defaults are those of BERT4Rec's code, but for d and the number of blocks, which follow its
/// settings for MovieLens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bert4RecConfig {
    /// d, width of embeddings and states, 1 to 4096.
    pub dim: usize,
    /// Number of blocks, 1 to 64.
    pub blocks: usize,
    /// Number of heads, a divisor of d.
    pub heads: usize,
    /// Width inside the feed-forward part; 4 d if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner: Option<usize>,
    /// The newest events that are read, 2 to 65 536; in ranking one of them is the mask token.
    pub max_length: usize,
    /// Dropout of embeddings and layers, in [0, 1).
    pub dropout: f64,
    /// Dropout of attention weights, in [0, 1); as `dropout` if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_dropout: Option<f64>,
    /// Where positions are counted from.
    pub positions: Positions,
    /// Whether a linear layer with GELU and a norm stand between states and items (BERT's "transform").
    pub transform: bool,
    /// Whether each item has a number that is added to its scores.
    pub item_bias: bool,
    /// What stands for a sequence as a whole.
    pub pooling: Pooling,
    /// The law of the initial parameters.
    pub init: Init,
    /// Gain of `xavier_uniform` (default 1), standard deviation of `normal` (default 0.02).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_scale: Option<f64>,
}

impl Default for Bert4RecConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            blocks: 2,
            heads: 2,
            inner: None,
            max_length: 50,
            dropout: 0.2,
            attention_dropout: None,
            positions: Positions::FromStart,
            transform: true,
            item_bias: true,
            pooling: Pooling::Last,
            init: Init::Normal,
            init_scale: None,
        }
    }
}

impl Bert4RecConfig {
    /// The one-line summary.
    pub const SUMMARY: &'static str =
        "bidirectional self-attention that fills masked events in (Sun et al. 2019)";

    fn inner(&self) -> usize {
        self.inner.unwrap_or(4 * self.dim)
    }

    fn attention_dropout(&self) -> f64 {
        self.attention_dropout.unwrap_or(self.dropout)
    }

    fn scale(&self) -> f64 {
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
        check_range("max_length", self.max_length, 2, 65_536)?;
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
            norm: Norm::Post,
            positions: self.positions,
            scale_embeddings: false,
            activation: Activation::Gelu,
            causal: false,
            init: self.init,
            init_scale: self.scale(),
        }
    }
}

impl SequenceEncoder for Bert4RecConfig {
    type Encoder<B: SequenceBackend> = Bert4Rec<B>;

    const CAUSAL: bool = false;

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

    fn init<B: SequenceBackend>(&self, items: usize, key: StreamKey, device: &Device<B>) -> Bert4Rec<B> {
        let (dim, scale) = (self.dim, self.scale());
        let transform = || Transform {
            linear: self.init.linear([dim, dim], scale, key.child("transform"), device),
            norm: LayerNorm::new(dim, Norm::Post.epsilon(), device),
        };
        Bert4Rec {
            transformer: self.transformer().init(items, key, device),
            transform: self.transform.then(transform),
            item_bias: self.item_bias.then(|| Param::from_tensor(Tensor::zeros([items, 1], device))),
            pooling: self.pooling,
        }
    }
}

/// BERT4Rec: a transformer that sees the whole sequence and foretells the events that are masked in it.
///
/// In training some events of a sequence are the mask token, and their states foretell them; for ranking, the mask token
/// stands behind the newest events, and its state is compared with all items. With `item_bias` states and items have one
/// column more: `⟨[s, 1], [e, b]⟩ = ⟨s, e⟩ + b`.
///
/// Source: Sun, Liu, Wu, Pei, Lin, Ou & Jiang 2019 (arXiv 1904.06690), sections 3.2 to 3.6.
#[derive(Module, Debug)]
pub struct Bert4Rec<B: Backend> {
    /// What is read, and how.
    pub transformer: Transformer<B>,
    transform: Option<Transform<B>>,
    /// `[items, 1]`
    item_bias: Option<Param<Tensor<B, 2>>>,
    #[module(skip)]
    pooling: Pooling,
}

/// Between states and items.
#[derive(Module, Debug)]
struct Transform<B: Backend> {
    linear: Linear<B>,
    norm: LayerNorm<B>,
}

impl<B: SequenceBackend> States<B> for Bert4Rec<B> {
    fn reading(&self) -> Reading {
        self.transformer.reading()
    }

    fn pooling(&self) -> Pooling {
        self.pooling
    }

    fn table(&self) -> Tensor<B, 2> {
        let items = self.transformer.items.val();
        match &self.item_bias {
            Some(bias) => Tensor::cat(vec![items.narrow(0, 0, self.reading().items), bias.val()], 1),
            None => items,
        }
    }

    fn operands(&self) -> Operands {
        self.transformer.operands()
    }

    fn states(&self, pass: &Pass) -> Tensor<B, 2> {
        self.transformer.states(pass)
    }

    fn foretell(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        let states = match &self.transform {
            Some(Transform { linear, norm }) => norm.forward(gelu(kernels::linear(linear, states))),
            None => states,
        };
        if self.item_bias.is_none() {
            return states;
        }
        let one = Tensor::ones([states.dims()[0], 1], &states.device());
        Tensor::cat(vec![states, one], 1)
    }
}

impl<B: SequenceBackend> Encoder<B> for Bert4Rec<B> {
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
