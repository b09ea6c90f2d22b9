//! What the losses are made of.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};
use serde::{Deserialize, Serialize};

use super::Keys;
use crate::kernels::{ContrastBackend, KeyMask, List};
use crate::registry::{Check, ensure};
use crate::schedule::Schedule;
use crate::source::Sides;

/// How alike two embeddings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Similarity {
    /// The dot product of unit rows.
    #[default]
    Cosine,
    /// The dot product as it is.
    Dot,
}

impl Similarity {
    /// Rows whose dot product is the similarity, `[n, d]` → `[n, d]`.
    #[must_use]
    pub fn prepare<B: ContrastBackend>(self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::Cosine => normalize_rows(rows),
            Self::Dot => rows,
        }
    }
}

/// From one loss a row to the loss of a batch. Weights of loss terms mean nothing without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// The mean over rows.
    #[default]
    Mean,
    /// The sum over rows.
    Sum,
}

impl Reduction {
    /// `[n]` → `[1]`, added in an order that does not depend on the number of threads.
    #[must_use]
    pub fn apply<B: ContrastBackend>(self, rows: Tensor<B, 1>) -> Tensor<B, 1> {
        let [n] = rows.dims();
        let sum = B::total(rows.into_primitive().tensor());
        let sum = Tensor::from_primitive(TensorPrimitive::Float(sum));
        match self {
            Self::Mean => sum.div_scalar(n as f64),
            Self::Sum => sum,
        }
    }
}

/// Rows of unit length, `x / ‖x‖₂`; `[n, d]` → `[n, d]`.
///
/// A row no longer than 1e-12 has no direction: it becomes zero, and its gradient is zero. (PyTorch's `normalize` divides
/// by 1e-12 there, and so does its gradient.)
#[must_use]
pub fn normalize_rows<B: ContrastBackend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(B::normalize_rows(rows.into_primitive().tensor())))
}

/// The dot product of each pair of rows, `[n, d], [n, d]` → `[n]`.
///
/// # Panics
///
/// If the shapes differ.
#[track_caller]
#[must_use]
pub fn row_dot<B: ContrastBackend>(a: Tensor<B, 2>, b: Tensor<B, 2>) -> Tensor<B, 1> {
    assert_eq!(a.dims(), b.dims(), "row_dot needs equal shapes");
    let [a, b] = [a, b].map(|rows| rows.into_primitive().tensor());
    Tensor::from_primitive(TensorPrimitive::Float(B::row_dot(a, b)))
}

/// `ln(floor + σ(x))`, number by number, `[n, k]` → `[n, k]`; right where σ is near 0 and where it is near 1, its gradient
/// too. The floor is 0 or a small positive number.
#[must_use]
pub fn log_sigmoid<B: ContrastBackend>(x: Tensor<B, 2>, floor: f32) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(B::floored_log_sigmoid(x.into_primitive().tensor(), floor)))
}

/// `log Σ_j exp(scale · ⟨anchor_i, key_j⟩)`, `[n, d], [m, d]` → `[n]`, in O((n + m) · d) memory on the host backends.
///
/// `mask` takes keys out of an anchor's sum.
///
/// # Panics
///
/// If the widths differ, or the mask has not one id a row.
#[track_caller]
#[must_use]
pub fn row_lse<B: ContrastBackend>(
    anchors: Tensor<B, 2>,
    keys: Tensor<B, 2>,
    scale: f32,
    mask: Option<KeyMask>,
) -> Tensor<B, 1> {
    let ([n, d], [m, width]) = (anchors.dims(), keys.dims());
    assert_eq!(d, width, "anchors are {d} wide, keys {width}");
    if let Some(mask) = &mask {
        mask.check(n, m);
    }
    if n == 0 || m == 0 {
        return Tensor::full([n], f32::NEG_INFINITY, &anchors.device());
    }
    let primitive = |tensor: Tensor<B, 2>| tensor.into_primitive().tensor();
    Tensor::from_primitive(TensorPrimitive::Float(B::row_lse(
        primitive(anchors),
        primitive(keys),
        scale,
        mask,
    )))
}

/// The negatives of each anchor: the keys without its positive and, in the batch itself or where the keys ask for it,
/// without all that carry its own id.
pub(super) struct Others<B: Backend> {
    anchors: Tensor<B, 2>,
    vectors: Tensor<B, 2>,
    mask: Option<KeyMask>,
    /// Their number, a row each.
    counts: Vec<f32>,
}

impl<B: ContrastBackend> Others<B> {
    /// Of rows that are prepared; `ids` are the anchors'.
    pub(super) fn new(anchors: Tensor<B, 2>, positives: Tensor<B, 2>, keys: Keys<B>, ids: List<u32>) -> Self {
        let (vectors, mask) = match keys {
            Keys::Own => (positives, Some(KeyMask::Ids { anchors: ids.clone(), keys: ids })),
            Keys::Others { vectors, mask } => (vectors, mask),
        };
        let ([n, _], [m, _]) = (anchors.dims(), vectors.dims());
        let of_mask = |mask: &KeyMask| -> Vec<f32> {
            let [anchors, keys] = mask.ids(n, m);
            // A key's id is the row of a table, or its own place; an anchor that no key belongs to may have any.
            let most = keys.iter().max().map_or(0, |&id| id as usize + 1);
            let mut hidden = vec![0_u32; most];
            keys.iter().for_each(|&id| hidden[id as usize] += 1);
            let of_id = |&id: &u32| hidden.get(id as usize).copied().unwrap_or(0);
            anchors.iter().map(|id| (m as u32 - of_id(id)) as f32).collect()
        };
        let counts = mask.as_ref().map_or_else(|| vec![m as f32; n], of_mask);
        Self { anchors, vectors, mask, counts }
    }

    /// `log Σ_j exp(scale · ⟨anchor_i, negative_j⟩)`, `[n]`; 0 of an anchor without any negative.
    pub(super) fn log_sum(&self, scale: f64) -> Tensor<B, 1> {
        let sum = row_lse(self.anchors.clone(), self.vectors.clone(), scale as f32, self.mask.clone());
        self.or_zero(sum)
    }

    /// f of the number of negatives of each anchor, `[n]`.
    pub(super) fn of_counts(&self, f: impl Fn(f32) -> f32) -> Tensor<B, 1> {
        if let Some((&first, rest)) = self.counts.split_first()
            && rest.iter().all(|count| *count == first)
        {
            // A device need not be given them.
            return Tensor::full([self.counts.len()], f(first), &self.anchors.device());
        }
        let values: Vec<f32> = self.counts.iter().map(|&count| f(count)).collect();
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), &self.anchors.device())
    }

    /// `x [n]` with 0 for each anchor without any negative.
    pub(super) fn or_zero(&self, x: Tensor<B, 1>) -> Tensor<B, 1> {
        if self.counts.iter().all(|&count| count > 0.0) {
            return x;
        }
        let none = self.of_counts(|count| count).equal_elem(0.0);
        x.mask_fill(none, 0.0)
    }
}

/// The checks that all temperature losses share.
pub(super) fn check(temperature: Schedule, weight: Schedule, sides: Sides, merge: bool) -> Check {
    ensure(temperature.all(|value| value > 0.0 && value.is_finite()), "temperature", || {
        format!("must be more than 0, got {temperature}")
    })?;
    check_weight(weight)?;
    ensure(!merge || sides == Sides::Both, "merge", || {
        "needs sides = \"both\": there is nothing to merge".into()
    })
}

/// λ is a finite number from 0 on.
pub(super) fn check_weight(weight: Schedule) -> Check {
    ensure(weight.all(|value| value >= 0.0 && value.is_finite()), "weight", || {
        format!("must be 0 or more, got {weight}")
    })
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::super::ABSENT;
    use super::*;
    use crate::kernels::Places;

    #[test]
    fn negatives_are_the_keys_that_are_not_hidden() {
        let rows = |n| Tensor::<Flex, 2>::ones([n, 2], &Default::default());
        let counts = |keys| Others::new(rows(3), rows(3), keys, [7, 8, 7].into()).counts;
        assert_eq!(counts(Keys::Own), [1.0, 2.0, 1.0]);
        let others = |m, mask| Keys::Others { vectors: rows(m), mask };
        let ids = KeyMask::Ids { anchors: [7, 8, 7].into(), keys: [7, 7, 1, 9].into() };
        assert_eq!(counts(others(4, Some(ids))), [2.0, 4.0, 2.0]);
        assert_eq!(counts(others(4, None)), [4.0; 3]);
        assert_eq!(counts(others(4, Some(KeyMask::Diagonal))), [3.0; 3]);
        let places =
            |numbers: [u32; 3], first| Some(KeyMask::Places(Places { numbers: numbers.into(), first }));
        // The second anchor's positive is not among the keys.
        assert_eq!(counts(others(4, places([0, ABSENT, 3], 0))), [3.0, 4.0, 3.0]);
        assert_eq!(counts(others(4, places([20, 23, 24], 20))), [3.0, 3.0, 4.0]);
        assert_eq!(counts(others(0, places([ABSENT; 3], 0))), [0.0; 3]);
    }
}
