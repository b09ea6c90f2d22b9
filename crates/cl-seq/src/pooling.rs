//! What stands for a sequence as a whole.

use burn::tensor::{IndexingUpdateOp, Tensor, TensorData};
use cl_core::kernels::List;
use serde::{Deserialize, Serialize};

use crate::kernels::{SequenceBackend, gather};
use crate::pass::{Pass, indices};

/// What stands for a sequence as a whole, in a contrast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The state after the newest event.
    #[default]
    Last,
    /// The mean of all states.
    Mean,
    /// All states side by side, each at its position, zero where there is no event: `max_length` · d numbers (CoSeRec's code,
    /// whose padding has states too).
    Flatten,
}

impl Pooling {
    /// Numbers that stand for a sequence of at most `longest` events with states of `width` numbers.
    #[must_use]
    pub fn width(self, longest: usize, width: usize) -> usize {
        match self {
            Self::Last | Self::Mean => width,
            Self::Flatten => longest * width,
        }
    }

    /// What is read of a pass for some of its sequences.
    pub(crate) fn pooled(self, pass: &Pass, sequences: &[usize], longest: usize) -> Pooled {
        let tokens = sequences.iter().map(|&sequence| pass.tokens(sequence));
        match self {
            Self::Last => Pooled::Last(tokens.map(|tokens| tokens.end as i32 - 1).collect()),
            Self::Mean => {
                let lengths = tokens.clone().map(|tokens| tokens.len());
                let sequence = lengths.clone().enumerate().flat_map(|(at, length)| vec![at as i32; length]);
                Pooled::Mean {
                    to: sequence.collect(),
                    shares: lengths.flat_map(|length| vec![1.0 / length as f32; length]).collect(),
                    from: tokens.flatten().map(|token| token as i32).collect(),
                    sequences: sequences.len(),
                }
            }
            Self::Flatten => {
                let nothing = pass.items.len() as i32;
                let mut slots = vec![nothing; sequences.len() * longest];
                for (slots, tokens) in slots.chunks_mut(longest).zip(tokens) {
                    tokens.for_each(|token| slots[pass.positions[token] as usize] = token as i32);
                }
                Pooled::Flatten(slots.into(), longest)
            }
        }
    }
}

/// What stands for some sequences of a pass, by the states after its tokens.
pub(crate) enum Pooled {
    /// The states of these tokens.
    Last(List<i32>),
    /// Sums of states, each times its share.
    Mean {
        /// The tokens.
        from: List<i32>,
        /// Which sequence each is of.
        to: Vec<i32>,
        shares: Vec<f32>,
        sequences: usize,
    },
    /// So many states side by side: their tokens, or the one behind the last, whose state is zero.
    Flatten(List<i32>, usize),
}

impl Pooled {
    /// The tokens whose states are read.
    pub(crate) fn tokens(&self) -> &List<i32> {
        let (Self::Last(tokens) | Self::Mean { from: tokens, .. } | Self::Flatten(tokens, _)) = self;
        tokens
    }

    /// The sequences, from the states after each token of the pass; `[tokens, d]` → `[sequences, width]`.
    pub(crate) fn of<B: SequenceBackend>(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        let (device, [_, dim]) = (states.device(), states.dims());
        match self {
            Self::Last(last) => gather(states, last),
            Self::Mean { from, to, shares, sequences } => {
                let shares = Tensor::from_data(TensorData::new(shares.clone(), [shares.len(), 1]), &device);
                let states = gather(states, from) * shares; // [events, d]
                let sums = Tensor::zeros([*sequences, dim], &device);
                sums.select_assign(0, indices::<B>(to.clone(), &device), states, IndexingUpdateOp::Add)
            }
            Self::Flatten(slots, longest) => {
                let states = Tensor::cat(vec![states, Tensor::zeros([1, dim], &device)], 0);
                let sequences = slots.len() / longest;
                gather(states, slots).reshape([sequences, longest * dim])
            }
        }
    }
}
