//! Attention on slices, once for all host backends. A sequence is computed by one thread from beginning to end, so that
//! the bits do not depend on the number of threads, nor on which sequences share a batch.

use cl_core::simd;
use cl_core::simd::exp;
use rayon::prelude::*;

use super::backend::Attention;

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

/// One head of one sequence: its columns of a `[length, dim]` block of rows, turned: `[width, length]`.
#[inline(always)]
fn turn(rows: &[f32], dim: usize, first: usize, width: usize, out: &mut Vec<f32>) {
    let length = rows.len() / dim;
    out.clear();
    out.resize(width * length, 0.0);
    for (at, row) in rows.chunks_exact(dim).enumerate() {
        for k in 0..width {
            out[k * length + at] = row[first + k];
        }
    }
}

/// `out_j = Σ_k x_k turned_kj` for the first tokens: dot products with all of them at once.
#[inline(always)]
fn dots(x: &[f32], turned: &[f32], length: usize, out: &mut [f32]) {
    out.fill(0.0);
    for (k, x) in x.iter().enumerate() {
        let row = &turned[k * length..][..out.len()];
        for (out, y) in out.iter_mut().zip(row) {
            *out += x * y;
        }
    }
}

/// The softmax of scores, in place. Sixteen sums side by side, so that their order is the same for every vector width.
#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let mut top = f32::NEG_INFINITY;
    for score in scores.iter() {
        top = top.max(*score);
    }
    for score in scores.iter_mut() {
        *score = exp(*score - top);
    }
    let inverse = 1.0 / sum(scores.iter().copied(), scores.len());
    for score in scores.iter_mut() {
        *score *= inverse;
    }
}

#[inline(always)]
fn sum(mut values: impl Iterator<Item = f32>, count: usize) -> f32 {
    let mut lanes = [0.0_f32; 16];
    for at in 0..count {
        lanes[at % 16] += values.next().unwrap_or(0.0);
    }
    lanes.iter().sum()
}

simd! {
    fn forward(attention: &Attention, task: std::ops::Range<usize>, q: &[f32], k: &[f32], v: &[f32], dim: usize, out: &mut [f32]) {
        let width = dim / attention.heads;
        let scale = 1.0 / (width as f32).sqrt();
        let start = attention.offsets[task.start];
        let (mut keys, mut weights, mut keep) = (Vec::new(), Vec::new(), Vec::new());
        for sequence in task {
            let (first, end) = (attention.offsets[sequence], attention.offsets[sequence + 1]);
            let length = end - first;
            for head in 0..attention.heads {
                let column = head * width;
                turn(&k[first * dim..end * dim], dim, column, width, &mut keys);
                for from in 0..length {
                    let seen = if attention.causal { from + 1 } else { length };
                    weights.resize(seen, 0.0);
                    dots(&q[(first + from) * dim + column..][..width], &keys, length, &mut weights);
                    for weight in weights.iter_mut() {
                        *weight *= scale;
                    }
                    softmax(&mut weights);
                    if attention.dropout.is_some() {
                        keep.resize(seen, 0.0);
                        attention.keep(sequence, head, from, &mut keep);
                        for (weight, keep) in weights.iter_mut().zip(&keep) {
                            *weight *= keep;
                        }
                    }
                    let out = &mut out[(first - start + from) * dim + column..][..width];
                    for (to, weight) in weights.iter().enumerate() {
                        for (out, v) in out.iter_mut().zip(&v[(first + to) * dim + column..][..width]) {
                            *out += weight * v;
                        }
                    }
                }
            }
        }
    }
}

simd! {
    fn backward(attention: &Attention, task: std::ops::Range<usize>, q: &[f32], k: &[f32], v: &[f32], grad: &[f32], dim: usize, of_q: &mut [f32], of_k: &mut [f32], of_v: &mut [f32]) {
        let width = dim / attention.heads;
        let scale = 1.0 / (width as f32).sqrt();
        let start = attention.offsets[task.start];
        let [mut keys, mut values, mut weights, mut keep, mut of_weights] = [(); 5].map(|()| Vec::new());
        for sequence in task {
            let (first, end) = (attention.offsets[sequence], attention.offsets[sequence + 1]);
            let length = end - first;
            for head in 0..attention.heads {
                let column = head * width;
                turn(&k[first * dim..end * dim], dim, column, width, &mut keys);
                turn(&v[first * dim..end * dim], dim, column, width, &mut values);
                for from in 0..length {
                    let seen = if attention.causal { from + 1 } else { length };
                    weights.resize(seen, 0.0);
                    of_weights.resize(seen, 0.0);
                    keep.resize(seen, 0.0);
                    let row = (first + from) * dim + column;
                    let (q, grad) = (&q[row..][..width], &grad[row..][..width]);
                    dots(q, &keys, length, &mut weights);
                    for weight in weights.iter_mut() {
                        *weight *= scale;
                    }
                    softmax(&mut weights);
                    attention.keep(sequence, head, from, &mut keep);
                    dots(grad, &values, length, &mut of_weights);
                    for (of, keep) in of_weights.iter_mut().zip(&keep) {
                        *of *= keep;
                    }
                    let mean = sum(weights.iter().zip(&of_weights).map(|(p, of)| p * of), seen);
                    let of_q = &mut of_q[(first - start + from) * dim + column..][..width];
                    for to in 0..seen {
                        let of_score = weights[to] * (of_weights[to] - mean) * scale;
                        let weight = weights[to] * keep[to];
                        let there = (first - start + to) * dim + column;
                        let (of_k, of_v) = (&mut of_k[there..][..width], &mut of_v[there..][..width]);
                        let k = &k[(first + to) * dim + column..][..width];
                        for c in 0..width {
                            of_q[c] += of_score * k[c];
                            of_k[c] += of_score * q[c];
                            of_v[c] += weight * grad[c];
                        }
                    }
                }
            }
        }
    }
}
