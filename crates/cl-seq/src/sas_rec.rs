//! SASRec and its kin.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use cl_core::encoder::Senses;
use cl_core::registry::{Check, ensure};
use cl_core::{Encoder, Request, Rows, StreamKey};
use serde::{Deserialize, Serialize};

use crate::block::{Block, Layout, norm};
use crate::init::Init;
use crate::input::{Numbering, Row, SequenceInput};
use crate::kernels::SequenceBackend;

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

    /// The encoder of a catalogue of `items` items with initial parameters drawn from `key`.
    pub fn init<B: Backend>(&self, items: usize, key: StreamKey, device: &Device<B>) -> SasRec<B> {
        let matrix = |name: &str, shape| self.init.matrix(shape, self.scale(), key.child(name), device);
        let block = |at| Block::new(self, key.child("block").at(at as u64), device);
        SasRec {
            items: matrix("items", [items + 1, self.dim]),
            positions: matrix("positions", [self.max_length, self.dim]),
            first_norm: (self.norm == Norm::Post).then(|| norm(self, device)),
            blocks: (0..self.blocks).map(block).collect(),
            last_norm: (self.norm != Norm::Post).then(|| norm(self, device)),
            config: self.clone(),
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
    /// `[items + 1, d]`; the last row is the mask token.
    pub items: Param<Tensor<B, 2>>,
    /// `[max_length, d]`
    pub positions: Param<Tensor<B, 2>>,
    first_norm: Option<LayerNorm<B>>,
    blocks: Vec<Block<B>>,
    last_norm: Option<LayerNorm<B>>,
    #[module(skip)]
    config: SasRecConfig,
}

/// Distinct inputs laid end to end.
struct Pass {
    layout: Layout,
    /// Item of each token.
    items: Vec<i32>,
    /// Position of each token.
    positions: Vec<i32>,
    /// Of each input: its first sequence and its first token.
    starts: Vec<(usize, usize)>,
}

impl Pass {
    fn new(inputs: &[&SequenceInput], config: &SasRecConfig, items: usize) -> Self {
        let (mut offsets, mut keys) = (vec![0], Vec::new());
        let (mut tokens, mut positions, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for input in inputs {
            starts.push((offsets.len() - 1, tokens.len()));
            for sequence in 0..input.sequences.users() {
                let of = input.sequences.of(sequence);
                let (length, longest) = (of.len(), config.max_length);
                assert!(length <= longest, "sequence {sequence} has {length} events, and {longest} are read");
                let first = match config.positions {
                    Positions::FromStart => 0,
                    Positions::FromEnd => longest - length,
                };
                for (at, &item) in of.iter().enumerate() {
                    assert!(item as usize <= items, "item {item} is none of {items}, nor the mask token");
                    tokens.push(item as i32);
                    positions.push((first + at) as i32);
                }
                offsets.push(tokens.len());
                keys.extend(input.dropout.map(|key| key.at(sequence as u64)));
            }
        }
        let dropout = (keys.len() == offsets.len() - 1).then(|| keys.into());
        Self { layout: Layout { offsets: offsets.into(), dropout }, items: tokens, positions, starts }
    }
}

fn indices<B: Backend>(values: Vec<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

impl<B: SequenceBackend> SasRec<B> {
    /// The state after each token of a pass, `[tokens, d]`.
    fn states(&self, pass: &Pass) -> Tensor<B, 2> {
        let (config, device) = (&self.config, self.items.val().device());
        let items = self.items.val().select(0, indices::<B>(pass.items.clone(), &device));
        let scale = if config.scale_embeddings { (config.dim as f64).sqrt() } else { 1.0 };
        let positions = self.positions.val().select(0, indices::<B>(pass.positions.clone(), &device));
        let mut x = items.mul_scalar(scale) + positions; // [tokens, d]
        if let Some(norm) = &self.first_norm {
            x = norm.forward(x);
        }
        x = pass.layout.drop(x, config.dropout, "embedding", 0);
        for (layer, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, &pass.layout, config, layer);
        }
        match &self.last_norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    /// Whole sequences of a pass.
    fn pooled(&self, states: &Tensor<B, 2>, offsets: &[usize], sequences: Vec<usize>) -> Tensor<B, 2> {
        let device = states.device();
        let range = |sequence: usize| -> Range<usize> {
            let range = offsets[sequence]..offsets[sequence + 1];
            assert!(!range.is_empty(), "sequence {sequence} of the pass has no event, and no state");
            range
        };
        match self.config.pooling {
            Pooling::Last => {
                let last = sequences.into_iter().map(|sequence| range(sequence).end as i32 - 1).collect();
                states.clone().select(0, indices::<B>(last, &device))
            }
            Pooling::Mean => {
                let out = Tensor::zeros([sequences.len(), self.config.dim], &device);
                let (mut from, mut to, mut shares) = (Vec::new(), Vec::new(), Vec::new());
                for (at, sequence) in sequences.into_iter().enumerate() {
                    let range = range(sequence);
                    for token in range.clone() {
                        from.push(token as i32);
                        to.push(at as i32);
                        shares.push(1.0 / range.len() as f32);
                    }
                }
                let count = shares.len();
                let shares = Tensor::from_data(TensorData::new(shares, [count, 1]), &device);
                let shared = states.clone().select(0, indices::<B>(from, &device)) * shares; // [events, d]
                out.select_assign(0, indices::<B>(to, &device), shared, IndexingUpdateOp::Add)
            }
        }
    }
}

/// The rows of a request, which are all of one kind.
fn kind(rows: &Rows, numbering: Numbering) -> Option<Row> {
    let mut kinds = rows.iter().map(|row| numbering.row(row));
    let first = kinds.next()?;
    let same = |row: Row| std::mem::discriminant(&row) == std::mem::discriminant(&first);
    assert!(kinds.all(same), "a request asks for items, whole sequences or states, and this one mixes them");
    Some(first)
}

impl<B: SequenceBackend> Encoder<B> for SasRec<B> {
    type Input = SequenceInput;

    fn encode(&self, requests: &[Request<SequenceInput>]) -> Vec<Tensor<B, 2>> {
        let device = self.items.val().device();
        let items = self.items.val().dims()[0] - 1;
        let numbering = |input: &SequenceInput| {
            let of = input.items as usize;
            assert_eq!(of, items, "the input is of a catalogue of {of} items, the encoder of one of {items}");
            input.numbering()
        };
        let kinds: Vec<_> =
            requests.iter().map(|request| kind(&request.rows, numbering(&request.input))).collect();
        // Every distinct input that is asked for states, with and without dropout apart.
        let mut inputs: [Vec<&SequenceInput>; 2] = Default::default();
        for (request, kind) in requests.iter().zip(&kinds) {
            let of = &mut inputs[usize::from(request.input.dropout.is_some())];
            if matches!(kind, Some(Row::Sequence(_) | Row::State(_)))
                && !of.iter().any(|input| input.same(&request.input))
            {
                of.push(&request.input);
            }
        }
        let passes = inputs.map(|inputs| {
            let pass = Pass::new(&inputs, &self.config, items);
            let states = (!pass.items.is_empty()).then(|| self.states(&pass));
            (inputs, pass, states)
        });
        let answer = |(request, kind): (&Request<SequenceInput>, &Option<Row>)| {
            let Request { input, rows } = request;
            let (inputs, pass, states) = &passes[usize::from(input.dropout.is_some())];
            let numbering = numbering(input);
            let at = || inputs.iter().position(|other| other.same(input)).unwrap_or(0);
            let (Some(kind), states) = (kind, states.as_ref()) else {
                return Tensor::zeros([0, self.config.dim], &device);
            };
            match (kind, states) {
                (Row::Item(_), _) => {
                    let rows = rows.iter().map(|row| row as i32).collect();
                    self.items.val().select(0, indices::<B>(rows, &device))
                }
                (Row::Sequence(_), Some(states)) => {
                    let (first, _) = pass.starts[at()];
                    let sequence = |row| (row - numbering.wholes().start) as usize + first;
                    self.pooled(states, &pass.layout.offsets, rows.iter().map(sequence).collect())
                }
                (Row::State(_), Some(states)) => {
                    let (_, first) = pass.starts[at()];
                    let token = |row| (row - numbering.state(0)) as i32 + first as i32;
                    states.clone().select(0, indices::<B>(rows.iter().map(token).collect(), &device))
                }
                (_, None) => panic!("the batch has no event, and so no state"),
            }
        };
        requests.iter().zip(&kinds).map(answer).collect()
    }
}
