//! The same operations in plain Burn operations on padded sequences: the reference of every kernel, and the body of a
//! backend without one.

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Bool, IndexingUpdateOp, Int, Tensor, TensorData, TensorPrimitive};
use cl_core::kernels::List;

use super::backend::{Attention, Dropout};

/// Sequences side by side, each filled up to the longest.
struct Padded<'a, B: Backend> {
    attention: &'a Attention,
    longest: usize,
    dim: usize,
    /// The token at each slot; where there is none, the row behind the last.
    tokens: Tensor<B, 1, Int>,
    /// The slot of each token.
    slots: Tensor<B, 1, Int>,
    device: B::Device,
}

fn float<B: Backend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn indices<B: Backend>(values: Vec<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// A list as a tensor, made on first use.
pub(super) fn listed<B: Backend>(ids: &List<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let here = |made: &Tensor<B, 1, Int>| made.device() == *device;
    ids.on_device().get(here, || indices::<B>(ids.to_vec(), device))
}

impl<'a, B: Backend> Padded<'a, B> {
    fn new(attention: &'a Attention, dim: usize, device: B::Device) -> Self {
        let lengths = attention.offsets.windows(2).map(|pair| pair[1] - pair[0]);
        let longest = lengths.max().unwrap_or(0);
        let mut tokens = vec![attention.tokens() as i32; attention.sequences() * longest];
        let mut slots = Vec::with_capacity(attention.tokens());
        for (sequence, pair) in attention.offsets.windows(2).enumerate() {
            for (at, token) in (pair[0]..pair[1]).enumerate() {
                tokens[sequence * longest + at] = token as i32;
                slots.push((sequence * longest + at) as i32);
            }
        }
        let (tokens, slots) = (indices::<B>(tokens, &device), indices::<B>(slots, &device));
        Self { attention, longest, dim, tokens, slots, device }
    }

    /// `[tokens, d]` → `[sequences, heads, longest, d / heads]`
    fn split(&self, x: FloatTensor<B>) -> Tensor<B, 4> {
        let (heads, sequences) = (self.attention.heads, self.attention.sequences());
        let padding = Tensor::zeros([1, self.dim], &self.device);
        let x = Tensor::cat(vec![float::<B>(x), padding], 0).select(0, self.tokens.clone());
        x.reshape([sequences, self.longest, heads, self.dim / heads]).swap_dims(1, 2)
    }

    /// `[sequences, heads, longest, d / heads]` → `[tokens, d]`
    fn join(&self, x: Tensor<B, 4>) -> FloatTensor<B> {
        let slots = self.attention.sequences() * self.longest;
        let x = x.swap_dims(1, 2).reshape([slots, self.dim]).select(0, self.slots.clone());
        x.into_primitive().tensor()
    }

    /// For each pair of slots: whether the second is hidden from the first, `[sequences, 1, longest, longest]`. An empty
    /// slot sees the first one, so that its softmax is a number; nobody reads it.
    fn hidden(&self) -> Tensor<B, 4, Bool> {
        let n = self.longest;
        let lengths = self.attention.offsets.windows(2).map(|pair| pair[1] - pair[0]);
        let hidden: Vec<bool> = lengths
            .flat_map(|length| (0..n * n).map(move |pair| (length, pair / n, pair % n)))
            .map(|(length, from, to)| {
                let seen = from < length && to < length && !(self.attention.causal && to > from);
                !seen && to > 0
            })
            .collect();
        let shape = [self.attention.sequences(), 1, n, n];
        Tensor::from_data(TensorData::new(hidden, shape), &self.device)
    }

    /// What dropout multiplies the weights with, `[sequences, heads, longest, longest]`.
    fn keep(&self) -> Tensor<B, 4> {
        let (sequences, heads, n) = (self.attention.sequences(), self.attention.heads, self.longest);
        let mut keep = vec![0.0_f32; sequences * heads * n * n];
        for (row, out) in keep.chunks_mut(n.max(1)).enumerate() {
            self.attention.keep(row / n / heads, row / n % heads, row % n, out);
        }
        Tensor::from_data(TensorData::new(keep, [sequences, heads, n, n]), &self.device)
    }

    fn scale(&self) -> f64 {
        1.0 / ((self.dim / self.attention.heads) as f64).sqrt()
    }

    /// The weights before dropout.
    fn weights(&self, q: Tensor<B, 4>, k: Tensor<B, 4>) -> Tensor<B, 4> {
        let shape = [self.attention.sequences(), self.attention.heads, self.longest, self.longest];
        let scores = q.matmul(k.swap_dims(2, 3)).mul_scalar(self.scale());
        softmax(scores.mask_fill(self.hidden().expand(shape), f32::NEG_INFINITY), 3)
    }
}

/// See [`SequenceBackend::gather`](super::SequenceBackend::gather).
pub fn gather<B: Backend>(table: FloatTensor<B>, ids: &List<i32>) -> FloatTensor<B> {
    let ids = listed::<B>(ids, &B::float_device(&table));
    float::<B>(table).select(0, ids).into_primitive().tensor()
}

/// See [`SequenceBackend::gather_backward`](super::SequenceBackend::gather_backward).
pub fn gather_backward<B: Backend>(grad: FloatTensor<B>, ids: &List<i32>, rows: usize) -> FloatTensor<B> {
    let device = B::float_device(&grad);
    let grad = float::<B>(grad);
    let out = Tensor::<B, 2>::zeros([rows, grad.dims()[1]], &device);
    let ids = listed::<B>(ids, &device);
    out.select_assign(0, ids, grad, IndexingUpdateOp::Add).into_primitive().tensor()
}

/// See [`SequenceBackend::attend`](super::SequenceBackend::attend).
pub fn attention<B: Backend>(
    attention: &Attention,
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
) -> FloatTensor<B> {
    if attention.tokens() == 0 {
        return q;
    }
    let [_, dim] = float::<B>(q.clone()).dims();
    let padded = Padded::<B>::new(attention, dim, B::float_device(&q));
    let weights = padded.weights(padded.split(q), padded.split(k)) * padded.keep();
    padded.join(weights.matmul(padded.split(v)))
}

/// See [`SequenceBackend::attend_backward`](super::SequenceBackend::attend_backward).
///
/// With P the weights, D dropout, A = D ∘ P: `∂v = Aᵀ g`, `∂A = g vᵀ`, `∂S = P ∘ (D ∘ ∂A − rowsum(P ∘ D ∘ ∂A))`,
/// `∂q = ∂S k / √(d/h)`, `∂k = ∂Sᵀ q / √(d/h)`.
pub fn attention_backward<B: Backend>(
    attention: &Attention,
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    if attention.tokens() == 0 {
        return [q, k, v];
    }
    let [_, dim] = float::<B>(q.clone()).dims();
    let padded = Padded::<B>::new(attention, dim, B::float_device(&q));
    let [q, k, v, grad] = [q, k, v, grad].map(|x| padded.split(x));
    let (weights, keep) = (padded.weights(q.clone(), k.clone()), padded.keep());
    let of_v = (weights.clone() * keep.clone()).swap_dims(2, 3).matmul(grad.clone());
    let of_weights = grad.matmul(v.swap_dims(2, 3)) * keep;
    let mean = (weights.clone() * of_weights.clone()).sum_dim(3);
    let of_scores = (weights * (of_weights - mean)).mul_scalar(padded.scale());
    let of_q = of_scores.clone().matmul(k);
    let of_k = of_scores.swap_dims(2, 3).matmul(q);
    [of_q, of_k, of_v].map(|x| padded.join(x))
}

/// `x̂` and 1 / √(variance + ε), `[n, d]` and `[n, 1]`.
fn normed<B: Backend>(x: Tensor<B, 2>, epsilon: f32) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let centered = x.clone() - x.mean_dim(1);
    let variance = (centered.clone() * centered.clone()).mean_dim(1);
    let inverse = variance.add_scalar(epsilon).sqrt().recip();
    (centered * inverse.clone(), inverse)
}

/// A number for each column, `[1, d]`.
fn row<B: Backend>(numbers: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(numbers)).unsqueeze()
}

/// See [`SequenceBackend::row_norm`](super::SequenceBackend::row_norm).
pub fn row_norm<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let (normed, _) = normed::<B>(float::<B>(x), epsilon);
    (normed * row::<B>(gamma) + row::<B>(beta)).into_primitive().tensor()
}

/// See [`SequenceBackend::row_norm_backward`](super::SequenceBackend::row_norm_backward).
pub fn row_norm_backward<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    epsilon: f32,
    grad: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let grad = float::<B>(grad);
    let (normed, inverse) = normed::<B>(float::<B>(x), epsilon); // [n, d], [n, 1]
    let h = grad.clone() * row::<B>(gamma);
    let along = (h.clone() * normed.clone()).mean_dim(1); // [n, 1]
    let of_x = (h.clone() - h.mean_dim(1) - normed.clone() * along) * inverse;
    let sum = |x: Tensor<B, 2>| sum_rows::<B>(x.into_primitive().tensor());
    [of_x.into_primitive().tensor(), sum(grad.clone() * normed), sum(grad)]
}

/// See [`SequenceBackend::sum_rows`](super::SequenceBackend::sum_rows).
pub fn sum_rows<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    float::<B>(x).sum_dim(0).squeeze_dim::<1>(0).into_primitive().tensor()
}

/// See [`SequenceBackend::drop_out`](super::SequenceBackend::drop_out).
pub fn drop_out<B: Backend>(x: FloatTensor<B>, dropout: &Dropout) -> FloatTensor<B> {
    let x = float::<B>(x);
    let ([tokens, dim], device) = (x.dims(), x.device());
    let mut mask = vec![1.0_f32; tokens * dim];
    for (sequence, pair) in dropout.offsets.windows(2).enumerate() {
        dropout.of_sequence(sequence, &mut mask[pair[0] * dim..pair[1] * dim], dim);
    }
    (x * Tensor::from_data(TensorData::new(mask, [tokens, dim]), &device)).into_primitive().tensor()
}
