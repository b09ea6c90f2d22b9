//! The host kernel against the portable body, against plain loops in f64 and finite differences, and its bits against the
//! number of threads and against who else is in the batch.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;
use cl_core::StreamKey;
use cl_core::kernels::List;
use cl_core::rng::{below, unit};
use cl_seq::kernels::portable;
use cl_seq::{Attention, SequenceBackend, attention, gather};
use common::{Worst, bits, compiles_kernels, on_each_backend, random, tensor, values, with_threads};

/// f32 against f32, sums in another order.
const TOLERANCE: f64 = 1e-5;

/// Random sequences, some of them empty.
fn sequences(key: StreamKey, count: u32, longest: u32) -> Vec<usize> {
    let mut offsets = vec![0];
    for sequence in 0..count {
        offsets.push(offsets[sequence as usize] + below(key.words(sequence, 0)[0], longest + 1) as usize);
    }
    offsets
}

fn who(key: StreamKey, offsets: Vec<usize>, heads: usize, causal: bool, rate: f32) -> Attention {
    let keys = (0..offsets.len() as u64 - 1).map(|sequence| key.at(sequence)).collect();
    Attention { offsets: offsets.into(), heads, causal, dropout: (rate > 0.0).then_some((rate, keys)) }
}

fn draws(backend: &str) -> Vec<(Attention, usize, StreamKey)> {
    let mut draws = Vec::new();
    let shapes = [(1, 1), (1, 50), (2, 64), (4, 12), (3, 51), (8, 8)];
    let shapes = if compiles_kernels(backend) { &shapes[1..4] } else { &shapes };
    for (at, &(heads, dim)) in shapes.iter().enumerate() {
        for (causal, rate) in [(true, 0.0), (true, 0.4), (false, 0.0), (false, 0.7)] {
            for longest in [1, 9, 40] {
                let key = StreamKey::root(71).at(at as u64).at(longest).at(u64::from(causal));
                let offsets = sequences(key.child("lengths"), 7, longest as u32);
                draws.push((who(key.child("dropout"), offsets, heads, causal, rate), dim, key));
            }
        }
    }
    // No token at all.
    draws.push((who(StreamKey::root(1), vec![0, 0, 0], 1, true, 0.0), 3, StreamKey::root(1)));
    draws
}

fn inputs(who: &Attention, dim: usize, key: StreamKey) -> [Vec<f64>; 4] {
    ["q", "k", "v", "grad"].map(|name| random(key.child(name), who.tokens() * dim))
}

fn wrap<B: SequenceBackend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(burn::tensor::TensorPrimitive::Float(primitive))
}

/// The formula, token by token, in f64.
fn loops(who: &Attention, dim: usize, [q, k, v]: [&[f64]; 3]) -> Vec<f64> {
    let width = dim / who.heads;
    let mut out = vec![0.0; who.tokens() * dim];
    for (sequence, pair) in who.offsets.windows(2).enumerate() {
        for head in 0..who.heads {
            let column = |token: usize, c: usize| token * dim + head * width + c;
            for i in pair[0]..pair[1] {
                let seen = pair[0]..if who.causal { i + 1 } else { pair[1] };
                let score = |j: usize| {
                    let dot: f64 = (0..width).map(|c| q[column(i, c)] * k[column(j, c)]).sum();
                    (dot / (width as f64).sqrt()).exp()
                };
                let total: f64 = seen.clone().map(score).sum();
                for j in seen {
                    let kept = who.dropout.as_ref().map_or(1.0, |(rate, keys)| {
                        let (from, to) = (i - pair[0], (j - pair[0]) as u32);
                        let word =
                            keys[sequence].words((from * who.heads + head) as u32, to / 4)[to as usize % 4];
                        if unit(word) < *rate { 0.0 } else { 1.0 / (1.0 - f64::from(*rate)) }
                    });
                    for c in 0..width {
                        out[column(i, c)] += kept * score(j) / total * v[column(j, c)];
                    }
                }
            }
        }
    }
    out
}

fn kernels_and_portable_body_and_loops<B: SequenceBackend>(backend: &str) {
    let mut plain = Worst::new(format!("attention on {backend}, against loops"), TOLERANCE);
    let mut forward = Worst::new(format!("attention on {backend}, against the portable body"), TOLERANCE);
    let mut backward = Worst::new(format!("attention_backward on {backend}"), TOLERANCE);
    for (who, dim, key) in draws(backend) {
        let numbers = inputs(&who, dim, key);
        let name = format!("dim {dim}, {who:?}");
        let primitive =
            |at: usize| tensor::<B, 2>(&numbers[at], [who.tokens(), dim]).into_primitive().tensor();
        let found = values(wrap::<B>(B::attend(&who, primitive(0), primitive(1), primitive(2))));
        let expected =
            values(wrap::<B>(portable::attention::<B>(&who, primitive(0), primitive(1), primitive(2))));
        forward.check(&found, &expected, &name);
        plain.check(&found, &loops(&who, dim, [&numbers[0], &numbers[1], &numbers[2]]), &name);
        let [q, k, v, grad] = [0, 1, 2, 3].map(primitive);
        let found = B::attend_backward(&who, q.clone(), k.clone(), v.clone(), grad.clone());
        let expected = portable::attention_backward::<B>(&who, q, k, v, grad);
        for (found, expected) in found.into_iter().zip(expected) {
            let [found, expected] = [found, expected].map(|x| values(wrap::<B>(x)));
            backward.check(&found, &expected, &name);
        }
    }
}

/// The derivative of Σ grad ∘ out by differences of the f64 loops.
fn gradients_are_those_of_finite_differences<B: SequenceBackend>(backend: &str) {
    const STEP: f64 = 1e-6;
    let mut worst = Worst::new(format!("attention's gradients on {backend}, against differences"), TOLERANCE);
    for (causal, rate) in [(true, 0.0), (true, 0.3), (false, 0.3)] {
        let key = StreamKey::root(73);
        let (who, dim) = (who(key, vec![0, 4, 4, 5, 11], 2, causal, rate), 6);
        let [q, k, v, grad] = inputs(&who, dim, key);
        let leaves = [&q, &k, &v].map(|x| tensor::<Autodiff<B>, 2>(x, [who.tokens(), dim]).require_grad());
        let [a, b, c] = leaves.clone();
        let upstream = tensor::<Autodiff<B>, 2>(&grad, [who.tokens(), dim]);
        let grads = (attention(&who, a, b, c) * upstream).sum().backward();
        for which in 0..3 {
            let mut moved = [q.clone(), k.clone(), v.clone()];
            let mut numeric = Vec::new();
            for at in 0..q.len() {
                let loss = |x: f64, moved: &mut [Vec<f64>; 3]| -> f64 {
                    moved[which][at] = x;
                    let out = loops(&who, dim, [&moved[0], &moved[1], &moved[2]]);
                    out.iter().zip(&grad).map(|(out, grad)| out * grad).sum()
                };
                let here = moved[which][at];
                let slope = (loss(here + STEP, &mut moved) - loss(here - STEP, &mut moved)) / (2.0 * STEP);
                numeric.push(slope);
                moved[which][at] = here;
            }
            worst.check(&values(leaves[which].grad(&grads).unwrap()), &numeric, ["q", "k", "v"][which]);
        }
    }
}

fn bits_do_not_depend_on_threads_nor_on_the_batch<B: SequenceBackend>(_backend: &str) {
    let key = StreamKey::root(72);
    let (dim, offsets) = (64, sequences(key, 60, 50));
    let all = who(key, offsets.clone(), 2, true, 0.2);
    let numbers = inputs(&all, dim, key);
    let run = |who: &Attention, rows: std::ops::Range<usize>| {
        let part = |at: usize| {
            tensor::<B, 2>(&numbers[at][rows.start * dim..rows.end * dim], [rows.len(), dim])
                .into_primitive()
                .tensor()
        };
        let out = bits(wrap::<B>(B::attend(who, part(0), part(1), part(2))));
        let of = B::attend_backward(who, part(0), part(1), part(2), part(3)).map(|of| bits(wrap::<B>(of)));
        (out, of)
    };
    let alone = with_threads(1, || run(&all, 0..all.tokens()));
    for threads in [2, 4] {
        assert!(alone == with_threads(threads, || run(&all, 0..all.tokens())), "{threads} threads");
    }
    // One sequence by itself.
    let at = 17;
    let (first, end) = (offsets[at], offsets[at + 1]);
    assert!(end > first);
    let mut one = who(key, vec![0, end - first], 2, true, 0.2);
    one.dropout = Some((0.2, [key.at(at as u64)].into()));
    let (out, of) = run(&one, first..end);
    assert_eq!(out, alone.0[first * dim..end * dim]);
    for (of, alone) in of.iter().zip(&alone.1) {
        assert_eq!(*of, alone[first * dim..end * dim]);
    }
}

/// Ids of a table with a row that nobody asks for and rows that are asked for often, against sums in f64.
fn gathered_rows_and_their_gradients_are_those_of_loops<B: SequenceBackend>(backend: &str) {
    let mut worst = Worst::new(format!("gather's gradient on {backend}"), TOLERANCE);
    for (rows, count, dim) in [(1, 1, 1), (5, 40, 7), (300, 900, 64), (4, 1500, 70)] {
        let key = StreamKey::root(75).at(count as u64);
        let ids: List<i32> = (0..count)
            .map(|at| (below(key.words(at, 0)[0], rows) * below(key.words(at, 0)[1], 2)) as i32)
            .collect();
        let table = random(key.child("table"), rows as usize * dim);
        let upstream = random(key.child("grad"), count as usize * dim);
        let leaf = tensor::<Autodiff<B>, 2>(&table, [rows as usize, dim]).require_grad();
        let out = gather(leaf.clone(), &ids);
        let copied: Vec<f64> =
            ids.iter().flat_map(|&id| table[id as usize * dim..][..dim].iter().copied()).collect();
        assert_eq!(values(out.clone()), copied, "{backend}");
        let grads = (out * tensor(&upstream, [count as usize, dim])).sum().backward();
        let mut expected = vec![0.0; table.len()];
        for (at, &id) in ids.iter().enumerate() {
            for column in 0..dim {
                expected[id as usize * dim + column] += upstream[at * dim + column];
            }
        }
        let found = leaf.grad(&grads).unwrap();
        worst.check(&values(found.clone()), &expected, &format!("{rows} rows, {count} ids"));
        let again = gather(leaf.clone(), &ids.to_vec().into()) * tensor(&upstream, [count as usize, dim]);
        assert_eq!(bits(leaf.grad(&again.sum().backward()).unwrap()), bits(found), "{backend}");
    }
}

fn a_row_that_is_not_there_is_named<B: SequenceBackend>(backend: &str) {
    let table = tensor::<B, 2>(&[1.0, 2.0], [2, 1]);
    for id in [2, -1] {
        let panic =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| gather(table.clone(), &[0, id].into())));
        let message = panic.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains(&format!("row {id} is asked for")), "{backend}: {message}");
    }
}

on_each_backend!(
    gathered_rows_and_their_gradients_are_those_of_loops,
    a_row_that_is_not_there_is_named,
    kernels_and_portable_body_and_loops,
    gradients_are_those_of_finite_differences,
    bits_do_not_depend_on_threads_nor_on_the_batch,
);
