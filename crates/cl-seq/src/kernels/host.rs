//! Attention on slices, once for all host backends. A sequence is computed by one thread from beginning to end, so that
//! the bits do not depend on the number of threads, nor on which sequences share a batch.

use cl_core::simd;
use rayon::prelude::*;

use super::backend::Attention;
use super::head::{LANES, ROWS, dot, mix, pack, products, softmax, spread, turn, unpack, up};

/// Multiplications in a task, about: many short sequences are one task.
const TASK: usize = 1 << 17;

/// Runs of sequences that are about equally much work.
fn tasks(attention: &Attention, dim: usize) -> Vec<std::ops::Range<usize>> {
    let mut tasks = Vec::new();
    let (mut start, mut work) = (0, 0);
    for sequence in 0..attention.sequences() {
        let length = attention.offsets[sequence + 1] - attention.offsets[sequence];
        work += length * length * dim;
        if work >= TASK || sequence + 1 == attention.sequences() {
            tasks.push(start..sequence + 1);
            (start, work) = (sequence + 1, 0);
        }
    }
    tasks
}

/// The rows of each task.
fn rows<'a>(
    attention: &Attention,
    tasks: &[std::ops::Range<usize>],
    dim: usize,
    mut all: &'a mut [f32],
) -> Vec<&'a mut [f32]> {
    tasks
        .iter()
        .map(|task| {
            let tokens = attention.offsets[task.end] - attention.offsets[task.start];
            let (rows, rest) = std::mem::take(&mut all).split_at_mut(tokens * dim);
            all = rest;
            rows
        })
        .collect()
}

/// See [`SequenceBackend::attend`](super::SequenceBackend::attend).
pub(super) fn attention(attention: &Attention, q: &[f32], k: &[f32], v: &[f32], dim: usize) -> Vec<f32> {
    let mut out = vec![0.0; attention.tokens() * dim];
    let tasks = tasks(attention, dim);
    let rows = rows(attention, &tasks, dim, &mut out);
    tasks.par_iter().zip(rows).for_each(|(task, out)| forward(attention, task.clone(), q, k, v, dim, out));
    out
}

/// See [`SequenceBackend::attend_backward`](super::SequenceBackend::attend_backward).
pub(super) fn attention_backward(
    attention: &Attention,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    grad: &[f32],
    dim: usize,
) -> [Vec<f32>; 3] {
    let mut of = [(); 3].map(|()| vec![0.0; attention.tokens() * dim]);
    let tasks = tasks(attention, dim);
    let [of_q, of_k, of_v] = of.each_mut().map(|of| rows(attention, &tasks, dim, of));
    tasks.par_iter().zip(of_q).zip(of_k).zip(of_v).for_each(|(((task, of_q), of_k), of_v)| {
        backward(attention, task.clone(), q, k, v, grad, dim, of_q, of_k, of_v);
    });
    of
}

/// How many tokens one sees: itself and those before it, or all.
#[inline(always)]
fn seen(attention: &Attention, from: usize, length: usize) -> usize {
    if attention.causal { (from + 1).min(length) } else { length }
}

simd! {
    fn forward(attention: &Attention, task: std::ops::Range<usize>, q: &[f32], k: &[f32], v: &[f32], dim: usize, out: &mut [f32]) {
        let width = dim / attention.heads;
        let (scale, wide) = (1.0 / (width as f32).sqrt(), up(width, LANES));
        let start = attention.offsets[task.start];
        let [mut queries, mut keys, mut turned, mut values] = [(); 4].map(|()| Vec::new());
        let [mut weights, mut keep, mut mixed] = [(); 3].map(|()| Vec::new());
        for sequence in task {
            let (first, end) = (attention.offsets[sequence], attention.offsets[sequence + 1]);
            let length = end - first;
            let (long, rows) = (up(length, LANES), first * dim..end * dim);
            weights.resize(ROWS * long, 0.0);
            keep.resize(long, 0.0);
            mixed.resize(up(length, ROWS) * wide, 0.0);
            for head in 0..attention.heads {
                let column = head * width;
                pack(&q[rows.clone()], dim, column, width, &mut queries);
                pack(&k[rows.clone()], dim, column, width, &mut keys);
                pack(&v[rows.clone()], dim, column, width, &mut values);
                turn(&keys, length, width, &mut turned);
                for from in (0..length).step_by(ROWS) {
                    let most = seen(attention, from + ROWS - 1, length);
                    products(&queries[from * wide..], wide, &turned, long, most, &mut weights);
                    // Rows that fill the last four up are zeros, and so is what comes of them.
                    for (row, weights) in weights.chunks_exact_mut(long).take(length - from).enumerate() {
                        let seen = seen(attention, from + row, length);
                        softmax(&mut weights[..up(most, LANES)], seen, scale);
                        if attention.dropout.is_some() {
                            attention.keep(sequence, head, from + row, &mut keep[..seen]);
                            for (weight, keep) in weights[..seen].iter_mut().zip(&keep) {
                                *weight *= keep;
                            }
                        }
                    }
                    mix(&weights, long, most, &values, wide, &mut mixed[from * wide..]);
                }
                unpack(&mixed, dim, column, width, &mut out[(first - start) * dim..(end - start) * dim]);
            }
        }
    }
}

simd! {
    fn backward(attention: &Attention, task: std::ops::Range<usize>, q: &[f32], k: &[f32], v: &[f32], grad: &[f32], dim: usize, of_q: &mut [f32], of_k: &mut [f32], of_v: &mut [f32]) {
        let width = dim / attention.heads;
        let (scale, wide) = (1.0 / (width as f32).sqrt(), up(width, LANES));
        let start = attention.offsets[task.start];
        let [mut queries, mut keys, mut values, mut grads, mut turned_keys, mut turned_values] = [(); 6].map(|()| Vec::new());
        let [mut weights, mut of_weights, mut keep] = [(); 3].map(|()| Vec::new());
        let [mut of_queries, mut of_keys, mut of_values] = [(); 3].map(|()| Vec::new());
        for sequence in task {
            let (first, end) = (attention.offsets[sequence], attention.offsets[sequence + 1]);
            let length = end - first;
            let (long, rows) = (up(length, LANES), first * dim..end * dim);
            weights.resize(ROWS * long, 0.0);
            of_weights.resize(ROWS * long, 0.0);
            keep.resize(long, 0.0);
            for head in 0..attention.heads {
                let column = head * width;
                for (x, packed) in [(q, &mut queries), (k, &mut keys), (v, &mut values), (grad, &mut grads)] {
                    pack(&x[rows.clone()], dim, column, width, packed);
                }
                turn(&keys, length, width, &mut turned_keys);
                turn(&values, length, width, &mut turned_values);
                for of in [&mut of_queries, &mut of_keys, &mut of_values] {
                    of.clear();
                    of.resize(up(length, ROWS) * wide, 0.0);
                }
                for from in (0..length).step_by(ROWS) {
                    let most = seen(attention, from + ROWS - 1, length);
                    let (queries, grads) = (&queries[from * wide..], &grads[from * wide..]);
                    products(queries, wide, &turned_keys, long, most, &mut weights);
                    products(grads, wide, &turned_values, long, most, &mut of_weights);
                    let rows = weights.chunks_exact_mut(long).zip(of_weights.chunks_exact_mut(long));
                    for (row, (weights, of)) in rows.take(length - from).enumerate() {
                        let seen = seen(attention, from + row, length);
                        let (weights, of) = (&mut weights[..up(most, LANES)], &mut of[..up(most, LANES)]);
                        softmax(weights, seen, scale);
                        attention.keep(sequence, head, from + row, &mut keep[..seen]);
                        for (of, keep) in of[..seen].iter_mut().zip(&keep) {
                            *of *= keep;
                        }
                        // Behind what is seen, weights are 0, and so are their gradients.
                        of[seen..].fill(0.0);
                        let mean = dot(weights, of);
                        for ((of, weight), keep) in of.iter_mut().zip(weights).zip(&keep) {
                            *of = *weight * (*of - mean) * scale;
                            *weight *= keep;
                        }
                    }
                    mix(&of_weights, long, most, &keys, wide, &mut of_queries[from * wide..]);
                    spread(&of_weights, long, most, queries, wide, &mut of_keys);
                    spread(&weights, long, most, grads, wide, &mut of_values);
                }
                let tokens = (first - start) * dim..(end - start) * dim;
                unpack(&of_queries, dim, column, width, &mut of_q[tokens.clone()]);
                unpack(&of_keys, dim, column, width, &mut of_k[tokens.clone()]);
                unpack(&of_values, dim, column, width, &mut of_v[tokens]);
            }
        }
    }
}
