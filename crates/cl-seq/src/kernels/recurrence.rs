//! A gated recurrence in plain Burn operations, for every backend: what is wide is one product, what must follow one another
//! goes through the sequences that are still going on.

use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor, TensorData, TensorPrimitive};
use cl_core::kernels::List;

fn float<B: Backend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Tokens in the order in which they are computed: the first of each sequence, the second of each that has one, and so on,
/// longer sequences first, so that those that go on are always the first ones.
#[derive(Clone)]
pub(super) struct Steps<B: Backend> {
    /// Sequences that have a token at each step.
    counts: Vec<usize>,
    /// The token at each place of that order.
    tokens: Tensor<B, 1, Int>,
    /// The place of each token.
    places: Tensor<B, 1, Int>,
    /// The place of what came before, for each place; behind the last for a sequence's first token.
    before: Tensor<B, 1, Int>,
}

impl<B: Backend> Steps<B> {
    /// Of sequences that begin there, made on first use. Not under Fusion, whose tensors may not be let go of where its queue is
    /// worked off, as a list may be.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    pub(super) fn of(offsets: &List<usize>, device: &B::Device) -> Self {
        let here = |made: &Self| made.tokens.device() == *device;
        offsets.on_device().get(here, || Self::new(offsets, device))
    }

    pub(super) fn new(offsets: &[usize], device: &B::Device) -> Self {
        let mut sequences: Vec<(usize, usize)> =
            offsets.windows(2).map(|pair| (pair[1] - pair[0], pair[0])).collect();
        // Equal ones stay in their order.
        sequences.sort_by_key(|&(length, _)| std::cmp::Reverse(length));
        let total = offsets.last().copied().unwrap_or(0);
        let (mut counts, mut tokens) = (Vec::new(), Vec::with_capacity(total));
        let (mut places, mut before) = (vec![0; total], Vec::with_capacity(total));
        for step in 0..sequences.first().map_or(0, |(longest, _)| *longest) {
            let going_on = sequences.partition_point(|&(length, _)| length > step);
            for (_, first) in &sequences[..going_on] {
                before.push(counts.last().map_or(total, |last| tokens.len() - last) as i32);
                places[first + step] = tokens.len() as i32;
                tokens.push((first + step) as i32);
            }
            counts.push(going_on);
        }
        let indices = |values: Vec<i32>| Tensor::from_data(TensorData::new(values, [total]), device);
        Self { counts, tokens: indices(tokens), places: indices(places), before: indices(before) }
    }
}

/// Columns of r, z and n.
fn thirds<B: Backend>(x: &Tensor<B, 2>) -> [Tensor<B, 2>; 3] {
    let hidden = x.dims()[1] / 3;
    [0, 1, 2].map(|third| x.clone().narrow(1, third * hidden, hidden))
}

/// r, z, n and u_n.
fn gates<B: Backend>(of_input: &Tensor<B, 2>, of_state: &Tensor<B, 2>) -> [Tensor<B, 2>; 4] {
    let ([a_r, a_z, a_n], [u_r, u_z, u_n]) = (thirds(of_input), thirds(of_state));
    let (r, z) = (sigmoid(a_r + u_r), sigmoid(a_z + u_z));
    let n = tanh(a_n + r.clone() * u_n.clone());
    [r, z, n, u_n]
}

/// See [`SequenceBackend::recur`](super::SequenceBackend::recur).
pub(super) fn forward<B: Backend>(
    steps: Steps<B>,
    of_inputs: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let [of_inputs, weight, bias] = [of_inputs, weight, bias].map(float::<B>);
    let (hidden, device) = (weight.dims()[0], weight.device());
    let Some(&first) = steps.counts.first() else {
        return Tensor::<B, 2>::zeros([0, hidden], &device).into_primitive().tensor();
    };
    let of_inputs = of_inputs.select(0, steps.tokens);
    let mut state = Tensor::zeros([first, hidden], &device);
    let (mut at, mut states) = (0, Vec::new());
    for count in steps.counts {
        state = state.narrow(0, 0, count); // [count, h]
        let of_state = state.clone().matmul(weight.clone()) + bias.clone(); // [count, 3h]
        let [_, z, n, _] = gates(&of_inputs.clone().narrow(0, at, count), &of_state);
        state = n.clone() + z * (state - n);
        states.push(state.clone());
        at += count;
    }
    Tensor::cat(states, 0).select(0, steps.places).into_primitive().tensor()
}

/// See [`SequenceBackend::recur_backward`](super::SequenceBackend::recur_backward).
///
/// With g = ∂h′: `∂n = g (1 − z)(1 − n²)`, `∂z = g (h − n) z (1 − z)`, `∂r = ∂n u_n r (1 − r)` before their activations;
/// `∂u = [∂r, ∂z, ∂n r]`, `∂h = g z + ∂u Vᵀ`. Each of these is g times what the states alone decide, which is computed for
/// all tokens at once; then g goes back step by step.
pub(super) fn backward<B: Backend>(
    steps: Steps<B>,
    of_inputs: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    states: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let [of_inputs, weight, bias, states, grad] = [of_inputs, weight, bias, states, grad].map(float::<B>);
    let ([hidden, columns], device) = (weight.dims(), weight.device());
    if steps.counts.is_empty() {
        let nothing = |rows| Tensor::<B, 2>::zeros([rows, columns], &device).into_primitive().tensor();
        return [0, hidden, 1].map(nothing);
    }
    let [of_inputs, states, grad] = [of_inputs, states, grad].map(|x| x.select(0, steps.tokens.clone()));
    let none = Tensor::zeros([1, hidden], &device);
    let before = Tensor::cat(vec![states, none], 0).select(0, steps.before); // [tokens, h]
    let of_states = before.clone().matmul(weight.clone()) + bias;
    let [r, z, n, u_n] = gates(&of_inputs, &of_states);
    let one_minus = |x: &Tensor<B, 2>| x.clone().neg().add_scalar(1.0);
    let by_n = one_minus(&z) * one_minus(&(n.clone() * n.clone()));
    let by_z = (before.clone() - n) * z.clone() * one_minus(&z);
    let by_r = by_n.clone() * u_n * r.clone() * one_minus(&r);
    let by_states = Tensor::cat(vec![by_r, by_z, by_n.clone() * r], 1); // [tokens, 3h]

    let back = weight.transpose(); // [3h, h]
    let mut at: usize = steps.counts.iter().sum();
    let mut carried: Option<Tensor<B, 2>> = None;
    let (mut of_all, mut of_states) = (Vec::new(), Vec::new());
    for &count in steps.counts.iter().rev() {
        at -= count;
        let mut g = grad.clone().narrow(0, at, count);
        if let Some(carried) = carried.take() {
            let on = carried.dims()[0];
            let going_on = g.clone().narrow(0, 0, on) + carried;
            g = if on == count {
                going_on
            } else {
                Tensor::cat(vec![going_on, g.narrow(0, on, count - on)], 0)
            };
        }
        let of_state = Tensor::cat(vec![g.clone(); 3], 1) * by_states.clone().narrow(0, at, count); // [count, 3h]
        carried = Some(g.clone() * z.clone().narrow(0, at, count) + of_state.clone().matmul(back.clone()));
        of_all.push(g);
        of_states.push(of_state);
    }
    of_all.reverse();
    of_states.reverse();
    let (of_all, of_states) = (Tensor::cat(of_all, 0), Tensor::cat(of_states, 0));
    let of_weight = before.transpose().matmul(of_states.clone()); // [h, 3h]
    let of_bias = of_states.clone().sum_dim(0); // [1, 3h]
    // The inputs' share of r and z is the states', that of n has no r before it.
    let of_inputs = Tensor::cat(vec![of_states.narrow(1, 0, 2 * hidden), of_all * by_n], 1);
    [of_inputs.select(0, steps.places), of_weight, of_bias].map(|x| x.into_primitive().tensor())
}
