//! Distinct inputs laid end to end, without padding.

use std::sync::{Mutex, PoisonError};

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use cl_core::StreamKey;
use cl_core::kernels::List;
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

/// Something that is dropped from: its name, and the layer that it is in.
pub(crate) type Place = (&'static str, usize);

/// The embeddings of items, before the first layer.
pub(crate) const EMBEDDING: Place = ("embedding", 0);

/// The sequences of a pass.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Where each begins, and where the last ends.
    pub(crate) offsets: List<usize>,
    /// The dropout of each; none in ranking.
    dropout: Option<Vec<StreamKey>>,
    /// Keys of places that were asked for.
    keys: Mutex<Vec<(Place, List<StreamKey>)>>,
}

impl Layout {
    fn new(offsets: Vec<usize>, dropout: Option<Vec<StreamKey>>) -> Self {
        Self { offsets: offsets.into(), dropout, keys: Mutex::default() }
    }

    /// The key of each sequence at a place; `None` where nothing is dropped. Of a place they are one list, whoever asks.
    pub(crate) fn keys(&self, rate: f64, place: Place) -> Option<List<StreamKey>> {
        let of_sequences = self.dropout.as_ref().filter(|_| rate > 0.0)?;
        // A panic while the lock was held left a complete list behind: entries are pushed whole.
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, keys)) = known.iter().find(|(of, _)| *of == place) {
            return Some(keys.clone());
        }
        let (name, layer) = place;
        let keys: List<_> = of_sequences.iter().map(|key| key.child(name).at(layer as u64)).collect();
        known.push((place, keys.clone()));
        Some(keys)
    }

    /// What is dropped at a place, at the share `rate`; the others grow by 1 / (1 − rate). Which numbers is a function of the
    /// sequence's key, the place, the position in the sequence and the column.
    pub(crate) fn dropout(&self, rate: f64, place: Place) -> Option<Dropout> {
        let keys = self.keys(rate, place)?;
        Some(Dropout { offsets: self.offsets.clone(), keys, rate: rate as f32 })
    }

    /// Drops numbers of `x [tokens, d]`.
    pub(crate) fn drop<B: SequenceBackend>(&self, x: Tensor<B, 2>, rate: f64, place: Place) -> Tensor<B, 2> {
        match self.dropout(rate, place) {
            Some(dropout) => drop_out(x, &dropout),
            None => x,
        }
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
    pub(crate) items: List<i32>,
    /// Position of each token.
    pub(crate) positions: List<i32>,
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
        let dropout = (keys.len() == offsets.len() - 1).then_some(keys);
        let (items, positions) = (tokens.into(), positions.into());
        Self { layout: Layout::new(offsets, dropout), items, positions, starts }
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
    fn dropped(layout: &Layout, rate: f64, place: &'static str, layer: usize) -> Vec<f32> {
        let tokens = layout.offsets[layout.offsets.len() - 1];
        let ones = Tensor::<Flex, 2>::ones([tokens, 20], &Default::default());
        layout.drop(ones, rate, (place, layer)).into_data().to_vec().unwrap()
    }

    fn layout(offsets: &[usize], keys: &[u64]) -> Layout {
        let keys = keys.iter().map(|&key| StreamKey::root(key)).collect();
        Layout::new(offsets.to_vec(), Some(keys))
    }

    #[test]
    fn numbers_are_dropped_at_the_rate_and_the_others_grow() {
        let found = dropped(&layout(&[0, 1000, 3000], &[1, 2]), 0.3, "inner", 1);
        let zeros = found.iter().filter(|&&x| x == 0.0).count();
        // 18 000 expected, standard deviation 112.
        assert!((17_500..18_500).contains(&zeros), "{zeros}");
        assert!(found.iter().all(|&x| x == 0.0 || x == 1.0 / (1.0 - 0.3_f32)));
        let untouched = Layout::new(vec![0, 2], None);
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
