//! What host backends do with each row: dropout, normalisation and its gradient.

use cl_core::simd;
use rayon::prelude::*;

use super::backend::Dropout;

/// Rows whose sums are added by themselves first, so that the bits do not depend on the number of threads.
const CHUNK: usize = 256;

/// See [`SequenceBackend::drop_out`](super::SequenceBackend::drop_out).
pub(super) fn drop_out(x: &mut [f32], dropout: &Dropout, dim: usize) {
    let mut rest = x;
    let sequences: Vec<&mut [f32]> = dropout
        .offsets
        .windows(2)
        .map(|pair| {
            let (rows, after) = std::mem::take(&mut rest).split_at_mut((pair[1] - pair[0]) * dim);
            rest = after;
            rows
        })
        .collect();
    let each = |(sequence, rows)| dropout.of_sequence(sequence, rows, dim);
    sequences.into_par_iter().enumerate().with_min_len(8).for_each(each);
}

/// See [`SequenceBackend::row_norm`](super::SequenceBackend::row_norm).
pub(super) fn norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let chunk = CHUNK * gamma.len();
    let mut out = vec![0.0; x.len()];
    let chunks = out.par_chunks_mut(chunk).zip(x.par_chunks(chunk));
    chunks.for_each(|(out, x)| rows_forward(x, gamma, beta, epsilon, out));
    out
}

/// See [`SequenceBackend::row_norm_backward`](super::SequenceBackend::row_norm_backward).
pub(super) fn norm_backward(x: &[f32], gamma: &[f32], epsilon: f32, grad: &[f32]) -> [Vec<f32>; 3] {
    let dim = gamma.len();
    let mut of_x = vec![0.0; x.len()];
    let parts: Vec<[Vec<f32>; 2]> = of_x
        .par_chunks_mut(CHUNK * dim)
        .zip(x.par_chunks(CHUNK * dim).zip(grad.par_chunks(CHUNK * dim)))
        .map(|(of_x, (x, grad))| {
            let [mut of_gamma, mut of_beta] = [0; 2].map(|_| vec![0.0; dim]);
            rows_backward(x, gamma, epsilon, grad, of_x, &mut of_gamma, &mut of_beta);
            [of_gamma, of_beta]
        })
        .collect();
    let [mut of_gamma, mut of_beta] = [0; 2].map(|_| vec![0.0; dim]);
    for [gamma, beta] in parts {
        for (sum, part) in of_gamma.iter_mut().chain(&mut of_beta).zip(gamma.iter().chain(&beta)) {
            *sum += part;
        }
    }
    [of_x, of_gamma, of_beta]
}

/// Numbers that are added side by side.
const LANES: usize = 16;

/// The sum of `f(k)` over k below `count`, in [`LANES`] sums of every 16th and then their sum.
#[inline(always)]
fn sum(count: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = count / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, k) in lanes.iter_mut().zip(first..) {
            *lane += f(k);
        }
    }
    for (k, lane) in (whole..count).zip(&mut lanes) {
        *lane += f(k);
    }
    lanes.iter().sum()
}

/// Mean and 1 / √(variance + ε).
#[inline(always)]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let share = 1.0 / x.len() as f32;
    let mean = sum(x.len(), |k| x[k]) * share;
    let variance = sum(x.len(), |k| (x[k] - mean) * (x[k] - mean)) * share;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

simd! {
    fn rows_forward(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, out: &mut [f32]) {
        let dim = gamma.len();
        for (x, out) in x.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
            let (mean, inverse) = moments(x, epsilon);
            for k in 0..dim {
                out[k] = gamma[k] * ((x[k] - mean) * inverse) + beta[k];
            }
        }
    }
}

simd! {
    fn rows_backward(
        x: &[f32],
        gamma: &[f32],
        epsilon: f32,
        grad: &[f32],
        of_x: &mut [f32],
        of_gamma: &mut [f32],
        of_beta: &mut [f32],
    ) {
        let dim = gamma.len();
        let share = 1.0 / dim as f32;
        let mut normed = vec![0.0_f32; dim];
        let mut h = vec![0.0_f32; dim];
        for ((x, grad), of_x) in x.chunks_exact(dim).zip(grad.chunks_exact(dim)).zip(of_x.chunks_exact_mut(dim)) {
            let (mean, inverse) = moments(x, epsilon);
            for k in 0..dim {
                normed[k] = (x[k] - mean) * inverse;
                h[k] = gamma[k] * grad[k];
                of_gamma[k] += grad[k] * normed[k];
                of_beta[k] += grad[k];
            }
            let mean_h = sum(dim, |k| h[k]) * share;
            let along = sum(dim, |k| h[k] * normed[k]) * share;
            for k in 0..dim {
                of_x[k] = (h[k] - mean_h - normed[k] * along) * inverse;
            }
        }
    }
}
