//! SASRec and its kin.

mod config;

use std::ops::Range;

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use cl_core::{Encoder, Request, Rows, StreamKey};

pub use config::{Activation, Norm, Pooling, Positions, SasRecConfig};

use crate::block::{Block, Layout, norm};
use crate::input::{Numbering, Row, SequenceInput};
use crate::kernels::SequenceBackend;

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

impl SasRecConfig {
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
                    let events = input.sequences.len();
                    let token = |row| {
                        let event = (row - numbering.state(0)) as usize;
                        // Views differ in their lengths, so that a state of one batch is none of the other's.
                        assert!(
                            event < events,
                            "state {event} is asked for, and the batch has {events} events"
                        );
                        (first + event) as i32
                    };
                    states.clone().select(0, indices::<B>(rows.iter().map(token).collect(), &device))
                }
                (_, None) => panic!("the batch has no event, and so no state"),
            }
        };
        requests.iter().zip(&kinds).map(answer).collect()
    }
}
