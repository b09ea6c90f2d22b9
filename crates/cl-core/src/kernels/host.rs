//! The kernels on slices, once for all host backends. Threads share work in pieces of a fixed size, each computed by
//! one thread in one order, so that the bits do not depend on their number.

use rayon::prelude::*;

use super::backend::{AdamStep, KeyMask, SHORTEST};
use crate::simd;
use crate::simd::exp;

/// A row-major matrix that a kernel reads.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<'a> Matrix<'a> {
    fn slice(self, start: usize, rows: usize) -> Matrix<'a> {
        Matrix {
            data: &self.data[start * self.columns..][..rows * self.columns],
            rows,
            columns: self.columns,
        }
    }
}

simd! {
    /// Turns rows to unit length in place.
    fn normalize_chunk(rows: &mut [f32], d: usize) {
        for row in rows.chunks_exact_mut(d) {
            let inverse = inverse_norm(row);
            for value in row {
                *value *= inverse;
            }
        }
    }
}

simd! {
    /// Turns the gradients of unit rows into those of the rows, in place.
    fn normalize_backward_chunk(rows: &[f32], grads: &mut [f32], d: usize) {
        for (row, grad) in rows.chunks_exact(d).zip(grads.chunks_exact_mut(d)) {
            let inverse = inverse_norm(row);
            let along = inverse * dot(row, grad);
            for (grad, value) in grad.iter_mut().zip(row) {
                *grad = (*grad - inverse * *value * along) * inverse;
            }
        }
    }
}

/// `1 / ‖row‖₂`, 0 where the row has no direction.
#[inline(always)]
fn inverse_norm(row: &[f32]) -> f32 {
    let squares = dot(row, row);
    if squares <= SHORTEST * SHORTEST { 0.0 } else { 1.0 / squares.sqrt() }
}

/// The dot product in sixteen sums side by side, so that the order of additions is the same for every vector width.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..16 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.into_iter().fold(rest, |sum, lane| sum + lane)
}

/// Rows that one thread normalises at once.
const ROWS_AT_ONCE: usize = 256;

/// Turns `rows`, each `d` wide, to unit length in place.
pub(super) fn normalize_rows(rows: &mut [f32], d: usize) {
    let d = d.max(1);
    rows.par_chunks_mut(ROWS_AT_ONCE * d).for_each(|rows| normalize_chunk(rows, d));
}

/// Turns `grads` of unit rows into those of `rows`, in place.
pub(super) fn normalize_rows_backward(rows: Matrix<'_>, grads: &mut [f32]) {
    let d = rows.columns.max(1);
    grads
        .par_chunks_mut(ROWS_AT_ONCE * d)
        .zip(rows.data.par_chunks(ROWS_AT_ONCE * d))
        .for_each(|(grads, rows)| normalize_backward_chunk(rows, grads, d));
}

/// Rows and keys of a tile: 128 × 512 logits are 256 KiB and stay in the second-level cache.
const ROWS: usize = 128;
const KEYS: usize = 512;

/// `out = alpha · left · right`, or `out += …` with `add`; strides in elements, by one thread.
#[allow(clippy::too_many_arguments)]
fn multiply(
    out: &mut [f32],
    [m, n, k]: [usize; 3],
    left: &[f32],
    left_strides: [isize; 2],
    right: &[f32],
    right_strides: [isize; 2],
    alpha: f32,
    add: bool,
) {
    debug_assert!(out.len() >= m * n);
    // Safety: `out` is m × n row-major; the callers pass strides that stay inside `left` and `right`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            left.as_ptr(),
            left_strides[1],
            left_strides[0],
            right.as_ptr(),
            right_strides[1],
            right_strides[0],
            if add { 1.0 } else { 0.0 },
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `scale · rows · keysᵀ` into `tile` (row-major, `rows.rows × keys.rows`), −∞ where the ids agree.
fn logits(tile: &mut [f32], rows: Matrix<'_>, keys: Matrix<'_>, scale: f32, ids: Option<(&[u32], &[u32])>) {
    let d = rows.columns;
    let strides = [d as isize, 1];
    multiply(tile, [rows.rows, keys.rows, d], rows.data, strides, keys.data, [1, d as isize], scale, false);
    if let Some((row_ids, key_ids)) = ids {
        hide(tile, row_ids, key_ids);
    }
}

simd! {
    /// −∞ where the ids agree.
    fn hide(tile: &mut [f32], row_ids: &[u32], key_ids: &[u32]) {
        for (row, &id) in tile.chunks_exact_mut(key_ids.len()).zip(row_ids) {
            for (logit, &key) in row.iter_mut().zip(key_ids) {
                *logit = if id == key { f32::NEG_INFINITY } else { *logit };
            }
        }
    }
}

/// The largest of a row and of `start`.
#[inline(always)]
fn highest(row: &[f32], start: f32) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = row.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..16 {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().chain(rest).fold(start, |most, &value| if value > most { value } else { most })
}

simd! {
    /// Takes a tile's logits into the running maximum and sum of each row.
    fn accumulate(tile: &[f32], keys: usize, peaks: &mut [f32], sums: &mut [f32]) {
        for ((row, peak), sum) in tile.chunks_exact(keys).zip(peaks).zip(sums) {
            let tile_peak = highest(row, *peak);
            if tile_peak == f32::NEG_INFINITY {
                // All are masked, or NaN, which no comparison sees and which must reach the loss.
                if row.iter().any(|value| value.is_nan()) {
                    *sum = f32::NAN;
                }
                continue;
            }
            let mut lanes = [0.0_f32; 16];
            let chunks = row.chunks_exact(16);
            let rest = chunks.remainder();
            for chunk in chunks {
                for lane in 0..16 {
                    lanes[lane] += exp(chunk[lane] - tile_peak);
                }
            }
            let mut total = *sum * exp(*peak - tile_peak);
            for value in lanes {
                total += value;
            }
            for &value in rest {
                total += exp(value - tile_peak);
            }
            (*peak, *sum) = (tile_peak, total);
        }
    }
}

simd! {
    /// The same, and turns the logits into `exp(logit − peak)`; `means`, `d` a row, follow the peaks.
    fn accumulate_and_keep(
        tile: &mut [f32],
        keys: usize,
        peaks: &mut [f32],
        sums: &mut [f32],
        means: &mut [f32],
        d: usize,
    ) {
        let rows = tile.chunks_exact_mut(keys).zip(means.chunks_exact_mut(d));
        for (((row, mean), peak), sum) in rows.zip(peaks).zip(sums) {
            let tile_peak = highest(row, *peak);
            if tile_peak == f32::NEG_INFINITY {
                if row.iter().any(|value| value.is_nan()) {
                    *sum = f32::NAN;
                }
                row.fill(0.0);
                continue;
            }
            let mut lanes = [0.0_f32; 16];
            let mut chunks = row.chunks_exact_mut(16);
            for chunk in &mut chunks {
                for lane in 0..16 {
                    chunk[lane] = exp(chunk[lane] - tile_peak);
                    lanes[lane] += chunk[lane];
                }
            }
            let before = exp(*peak - tile_peak);
            let mut total = *sum * before;
            for value in lanes {
                total += value;
            }
            for value in chunks.into_remainder() {
                *value = exp(*value - tile_peak);
                total += *value;
            }
            if before != 1.0 {
                for value in mean {
                    *value *= before;
                }
            }
            (*peak, *sum) = (tile_peak, total);
        }
    }
}

/// `log Σ_j exp(scale ⟨anchor_i, key_j⟩)` for every anchor.
pub(super) fn row_lse(anchors: Matrix<'_>, keys: Matrix<'_>, scale: f32, mask: Option<&KeyMask>) -> Vec<f32> {
    let mask = mask.map(|mask| mask.ids(anchors.rows, keys.rows));
    let mut out = vec![0.0; anchors.rows];
    out.par_chunks_mut(ROWS).enumerate().for_each_init(
        || vec![0.0; ROWS * KEYS],
        |tile, (block, out)| {
            let start = block * ROWS;
            let rows = anchors.slice(start, out.len());
            let mut peaks = [f32::NEG_INFINITY; ROWS];
            let mut sums = [0.0_f32; ROWS];
            for first in (0..keys.rows).step_by(KEYS) {
                let keys = keys.slice(first, KEYS.min(keys.rows - first));
                let tile = &mut tile[..rows.rows * keys.rows];
                let ids = mask.as_ref().map(|[of_rows, of_keys]| {
                    (&of_rows[start..][..rows.rows], &of_keys[first..][..keys.rows])
                });
                logits(tile, rows, keys, scale, ids);
                accumulate(tile, keys.rows, &mut peaks, &mut sums);
            }
            for (out, (peak, sum)) in out.iter_mut().zip(peaks.iter().zip(sums)) {
                // Without any key: log 0 = −∞, and no −∞ + −∞.
                *out = if sum == 0.0 { f32::NEG_INFINITY } else { peak + sum.ln() };
            }
        },
    );
    out
}

/// The same, and the mean key under the softmax of every anchor: sums of keys that are scaled as the maximum rises.
pub(super) fn row_lse_and_mean(
    anchors: Matrix<'_>,
    keys: Matrix<'_>,
    scale: f32,
    mask: Option<&KeyMask>,
) -> (Vec<f32>, Vec<f32>) {
    let d = anchors.columns;
    let mask = mask.map(|mask| mask.ids(anchors.rows, keys.rows));
    let (mut out, mut means) = (vec![0.0; anchors.rows], vec![0.0; anchors.rows * d]);
    out.par_chunks_mut(ROWS).zip(means.par_chunks_mut(ROWS * d)).enumerate().for_each_init(
        || vec![0.0; ROWS * KEYS],
        |tile, (block, (out, means))| {
            let start = block * ROWS;
            let rows = anchors.slice(start, out.len());
            let mut peaks = [f32::NEG_INFINITY; ROWS];
            let mut sums = [0.0_f32; ROWS];
            for first in (0..keys.rows).step_by(KEYS) {
                let keys = keys.slice(first, KEYS.min(keys.rows - first));
                let tile = &mut tile[..rows.rows * keys.rows];
                let ids = mask.as_ref().map(|[of_rows, of_keys]| {
                    (&of_rows[start..][..rows.rows], &of_keys[first..][..keys.rows])
                });
                logits(tile, rows, keys, scale, ids);
                accumulate_and_keep(tile, keys.rows, &mut peaks, &mut sums, means, d);
                let strides = [keys.rows as isize, 1];
                multiply(
                    means,
                    [rows.rows, d, keys.rows],
                    tile,
                    strides,
                    keys.data,
                    [d as isize, 1],
                    1.0,
                    true,
                );
            }
            for (((out, mean), peak), sum) in
                out.iter_mut().zip(means.chunks_exact_mut(d)).zip(peaks).zip(sums)
            {
                *out = if sum == 0.0 { f32::NEG_INFINITY } else { peak + sum.ln() };
                let inverse = if sum == 0.0 { 0.0 } else { 1.0 / sum };
                mean.iter_mut().for_each(|value| *value *= inverse);
            }
        },
    );
    (out, means)
}

simd! {
    /// Turns logits into `scale · grad · exp(logit − lse)`, where lse and grad belong to the tile's rows.
    fn weigh(tile: &mut [f32], keys: usize, lse: &[f32], grad: &[f32], scale: f32) {
        for ((row, &lse), &grad) in tile.chunks_exact_mut(keys).zip(lse).zip(grad) {
            let factor = if lse == f32::NEG_INFINITY { 0.0 } else { scale * grad };
            let lse = if lse == f32::NEG_INFINITY { 0.0 } else { lse };
            for value in row {
                *value = exp(*value - lse) * factor;
            }
        }
    }
}

/// Anchors that are worked on together in the backward pass: all threads share out the keys of one panel, then of the
/// next, so that both gradients are written without a buffer a thread.
const PANEL: usize = 256;

/// The gradients of [`row_lse`] for anchors and keys, each logit computed once more.
///
/// Memory besides the gradients: `[PANEL, d]` for every [`KEYS`] keys or part of them.
pub(super) fn row_lse_backward(
    anchors: Matrix<'_>,
    keys: Matrix<'_>,
    lse: &[f32],
    grad: &[f32],
    scale: f32,
    mask: Option<&KeyMask>,
) -> (Vec<f32>, Vec<f32>) {
    let d = anchors.columns;
    let mask = mask.map(|mask| mask.ids(anchors.rows, keys.rows));
    let (mut of_anchors, mut of_keys) = (vec![0.0; anchors.rows * d], vec![0.0; keys.rows * d]);
    let blocks = keys.rows.div_ceil(KEYS);
    let mut partial = vec![0.0; blocks * PANEL * d];
    for (panel, of_anchors) in of_anchors.chunks_mut(PANEL * d).enumerate() {
        let start = panel * PANEL;
        let rows = of_anchors.len() / d;
        of_keys.par_chunks_mut(KEYS * d).zip(partial.par_chunks_mut(PANEL * d)).enumerate().for_each_init(
            || vec![0.0; ROWS * KEYS],
            |tile, (block, (of_keys, of_anchors))| {
                let first = block * KEYS;
                let keys = keys.slice(first, of_keys.len() / d);
                for inner in (0..rows).step_by(ROWS) {
                    let at = start + inner;
                    let anchors = anchors.slice(at, ROWS.min(rows - inner));
                    let tile = &mut tile[..anchors.rows * keys.rows];
                    let ids = mask.as_ref().map(|[of_rows, of_keys]| {
                        (&of_rows[at..][..anchors.rows], &of_keys[first..][..keys.rows])
                    });
                    logits(tile, anchors, keys, scale, ids);
                    weigh(tile, keys.rows, &lse[at..][..anchors.rows], &grad[at..][..anchors.rows], scale);
                    let (row, one) = (keys.rows as isize, 1);
                    let of_anchors = &mut of_anchors[inner * d..][..anchors.rows * d];
                    let shape = [anchors.rows, d, keys.rows];
                    multiply(of_anchors, shape, tile, [row, one], keys.data, [d as isize, 1], 1.0, false);
                    let shape = [keys.rows, d, anchors.rows];
                    multiply(of_keys, shape, tile, [one, row], anchors.data, [d as isize, 1], 1.0, true);
                }
            },
        );
        // In the order of the keys, whichever thread had them.
        of_anchors.par_chunks_mut(ROWS * d).enumerate().for_each(|(chunk, out)| {
            for part in partial.chunks(PANEL * d) {
                for (out, part) in out.iter_mut().zip(&part[chunk * ROWS * d..]) {
                    *out += part;
                }
            }
        });
    }
    (of_anchors, of_keys)
}

simd! {
    fn adam_chunk(
        parameter: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        numbers: [f32; 8],
    ) {
        let [keep, coupled, complement_1, beta_2, complement_2, step_size, root_2, epsilon] = numbers;
        for (((theta, &gradient), first), second) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
            let gradient = gradient + coupled * *theta;
            *first += complement_1 * (gradient - *first);
            *second = beta_2 * *second + complement_2 * gradient * gradient;
            *theta = keep * *theta - step_size * (*first / (second.sqrt() / root_2 + epsilon));
        }
    }
}

simd! {
    fn lerp_chunk(from: &mut [f32], to: &[f32], weight: f32) {
        for (from, &to) in from.iter_mut().zip(to) {
            *from += weight * (to - *from);
        }
    }
}

/// Moves `from` towards `to` in place.
pub(super) fn lerp(from: &mut [f32], to: &[f32], weight: f32) {
    from.par_chunks_mut(CHUNK).zip(to.par_chunks(CHUNK)).for_each(|(from, to)| lerp_chunk(from, to, weight));
}

/// Elements that one thread takes at once where each is computed by itself.
const CHUNK: usize = 1 << 14;

/// One Adam step in place and in one pass.
pub(super) fn adam(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    step: AdamStep,
) {
    let numbers = step.numbers();
    parameter
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK)))
        .for_each(|((parameter, gradient), (first, second))| {
            adam_chunk(parameter, gradient, first, second, numbers)
        });
}
