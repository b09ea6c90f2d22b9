//! What stands for a sequence as a whole.

use burn::tensor::{IndexingUpdateOp, Tensor, TensorData};
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

    /// Whole sequences of a pass, from the states after each of its tokens; `[tokens, d]` → `[sequences, width]`.
    pub(crate) fn of<B: SequenceBackend>(
        self,
        states: &Tensor<B, 2>,
        pass: &Pass,
        sequences: &[usize],
        longest: usize,
    ) -> Tensor<B, 2> {
        let (device, [_, dim]) = (states.device(), states.dims());
        if self == Self::Last {
            let last: Vec<i32> =
                sequences.iter().map(|&sequence| pass.tokens(sequence).end as i32 - 1).collect();
            return gather(states.clone(), &last);
        }
        let slots = if self == Self::Flatten { longest } else { 1 };
        let (mut from, mut to, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for (at, &sequence) in sequences.iter().enumerate() {
            let tokens = pass.tokens(sequence);
            for token in tokens.clone() {
                let slot = if self == Self::Flatten { pass.positions[token] } else { 0 };
                from.push(token as i32);
                to.push((at * slots) as i32 + slot);
                shares.push(1.0 / tokens.len() as f32);
            }
        }
        let count = from.len();
        let mut states = gather(states.clone(), &from); // [events, d]
        if self == Self::Mean {
            states = states * Tensor::from_data(TensorData::new(shares, [count, 1]), &device);
        }
        let out = Tensor::zeros([sequences.len() * slots, dim], &device);
        let out = out.select_assign(0, indices::<B>(to, &device), states, IndexingUpdateOp::Add);
        out.reshape([sequences.len(), slots * dim])
    }
}
