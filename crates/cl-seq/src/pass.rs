//! Distinct inputs laid end to end, without padding.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use cl_core::StreamKey;
use serde::{Deserialize, Serialize};

use crate::input::SequenceInput;
use crate::kernels::{Dropout, SequenceBackend, drop_out};

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

/// The sequences of a pass.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Where each begins, and where the last ends.
    pub(crate) offsets: Arc<[usize]>,
    /// The dropout of each; none in ranking.
    pub(crate) dropout: Option<Arc<[StreamKey]>>,
}

impl Layout {
    /// Drops numbers of `x [tokens, d]` at the share `rate`; the others grow by 1 / (1 − rate). Which ones is a function of
    /// the sequence's key, the place, the position in the sequence and the column.
    pub(crate) fn drop<B: SequenceBackend>(
        &self,
        x: Tensor<B, 2>,
        rate: f64,
        place: &str,
        layer: usize,
    ) -> Tensor<B, 2> {
        let Some(keys) = self.dropout.as_ref().filter(|_| rate > 0.0) else { return x };
        let keys = keys.iter().map(|key| key.child(place).at(layer as u64)).collect();
        drop_out(x, &Dropout { offsets: self.offsets.clone(), keys, rate: rate as f32 })
    }
}

/// How an encoder reads sequences.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Number of items of the catalogue.
    pub(crate) items: usize,
    /// The most events of a sequence.
    pub(crate) longest: usize,
    /// Where positions are counted from.
    pub(crate) positions: Positions,
}

/// Distinct inputs laid end to end.
pub(crate) struct Pass {
    pub(crate) layout: Layout,
    /// Item of each token.
    pub(crate) items: Vec<i32>,
    /// Position of each token.
    pub(crate) positions: Vec<i32>,
    /// Of each input: its first sequence and its first token.
    pub(crate) starts: Vec<(usize, usize)>,
}

impl Pass {
    /// Lays inputs out that all have dropout, or none of them.
    pub(crate) fn new(inputs: &[&SequenceInput], reading: Reading) -> Self {
        let Reading { items, longest, .. } = reading;
        let (mut offsets, mut keys) = (vec![0], Vec::new());
        let (mut tokens, mut positions, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for input in inputs {
            starts.push((offsets.len() - 1, tokens.len()));
            for sequence in 0..input.sequences.users() {
                let of = input.sequences.of(sequence);
                let length = of.len();
                assert!(length <= longest, "sequence {sequence} has {length} events, and {longest} are read");
                let first = match reading.positions {
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

    /// The tokens of a sequence, counted through the pass.
    ///
    /// # Panics
    ///
    /// If it has none, and so no state.
    pub(crate) fn tokens(&self, sequence: usize) -> std::ops::Range<usize> {
        let tokens = self.layout.offsets[sequence]..self.layout.offsets[sequence + 1];
        assert!(!tokens.is_empty(), "sequence {sequence} of the pass has no event, and no state");
        tokens
    }
}

/// Numbers as a tensor of indices.
pub(crate) fn indices<B: Backend>(values: Vec<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    /// What a layout drops of ones, `[tokens, 20]`.
    fn dropped(layout: &Layout, rate: f64, place: &str, layer: usize) -> Vec<f32> {
        let tokens = layout.offsets[layout.offsets.len() - 1];
        let ones = Tensor::<Flex, 2>::ones([tokens, 20], &Default::default());
        layout.drop(ones, rate, place, layer).into_data().to_vec().unwrap()
    }

    fn layout(offsets: &[usize], keys: &[u64]) -> Layout {
        let keys = keys.iter().map(|&key| StreamKey::root(key)).collect();
        Layout { offsets: offsets.into(), dropout: Some(keys) }
    }

    #[test]
    fn numbers_are_dropped_at_the_rate_and_the_others_grow() {
        let found = dropped(&layout(&[0, 1000, 3000], &[1, 2]), 0.3, "inner", 1);
        let zeros = found.iter().filter(|&&x| x == 0.0).count();
        // 18 000 expected, standard deviation 112.
        assert!((17_500..18_500).contains(&zeros), "{zeros}");
        assert!(found.iter().all(|&x| x == 0.0 || x == 1.0 / (1.0 - 0.3_f32)));
        let untouched = Layout { offsets: [0, 2].into(), dropout: None };
        assert_eq!(dropped(&untouched, 0.3, "inner", 1), [1.0; 40]);
        assert_eq!(dropped(&layout(&[0, 2], &[1]), 0.0, "inner", 1), [1.0; 40]);
    }

    #[test]
    fn each_key_place_and_layer_drops_others_and_a_sequence_keeps_its_own() {
        let both = dropped(&layout(&[0, 7, 12], &[1, 2]), 0.5, "inner", 0);
        assert_eq!(
            both[7 * 20..],
            dropped(&layout(&[0, 5], &[2]), 0.5, "inner", 0),
            "whoever stands before it"
        );
        let one = |key, place, layer| dropped(&layout(&[0, 7], &[key]), 0.5, place, layer);
        assert_eq!(both[..7 * 20], one(1, "inner", 0));
        for other in [one(2, "inner", 0), one(1, "outer", 0), one(1, "inner", 1)] {
            assert_ne!(one(1, "inner", 0), other);
        }
    }
}
