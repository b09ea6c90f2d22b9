//! Scores of sampled items on slices, once for all host backends.

use rayon::prelude::*;

use super::host::{Matrix, dot};
use crate::simd;

/// Anchors that one thread takes at once, if each has one id.
const AT_ONCE: usize = 1024;
/// Columns of the table's gradient that one thread adds up, a cache line.
const STRIPE: usize = 16;

/// Anchors that one thread takes at once.
fn share(k: usize) -> usize {
    (AT_ONCE / k.max(1)).max(1)
}

simd! {
    fn scores_of(anchors: &[f32], table: &[f32], ids: &[i32], out: &mut [f32], d: usize, k: usize) {
        let rows = ids.chunks_exact(k).zip(out.chunks_exact_mut(k));
        for (anchor, (ids, out)) in anchors.chunks_exact(d).zip(rows) {
            for (id, out) in ids.iter().zip(out) {
                *out = dot(anchor, &table[*id as usize * d..][..d]);
            }
        }
    }
}

simd! {
    fn sums_of(table: &[f32], ids: &[i32], grads: &[f32], out: &mut [f32], d: usize, k: usize) {
        let rows = ids.chunks_exact(k).zip(grads.chunks_exact(k));
        for (out, (ids, grads)) in out.chunks_exact_mut(d).zip(rows) {
            for (id, grad) in ids.iter().zip(grads) {
                for (out, value) in out.iter_mut().zip(&table[*id as usize * d..][..d]) {
                    *out += *grad * *value;
                }
            }
        }
    }
}

/// Some columns of some rows of the table.
#[derive(Clone, Copy)]
struct Block {
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
}

simd! {
    /// Adds the block's columns of each anchor to the rows of its ids, `out` being the block, row after row.
    fn add_block(anchors: &[f32], ids: &[i32], grads: &[f32], out: &mut [f32], d: usize, k: usize, block: Block) {
        let Block { row, rows, column, columns } = block;
        let own = ids.chunks_exact(k).zip(grads.chunks_exact(k));
        for (anchor, (ids, grads)) in anchors.chunks_exact(d).zip(own) {
            let anchor = &anchor[column..column + columns];
            for (id, grad) in ids.iter().zip(grads) {
                let at = (*id as usize).wrapping_sub(row);
                if at >= rows {
                    continue;
                }
                let out = &mut out[at * columns..][..columns];
                if columns == STRIPE {
                    for lane in 0..STRIPE {
                        out[lane] += *grad * anchor[lane];
                    }
                } else {
                    for (out, value) in out.iter_mut().zip(anchor) {
                        *out += *grad * *value;
                    }
                }
            }
        }
    }
}

/// See [`ContrastBackend::sampled_scores`](super::ContrastBackend::sampled_scores).
pub(super) fn scores(anchors: Matrix<'_>, table: Matrix<'_>, ids: &[i32]) -> Vec<f32> {
    let (d, k) = (anchors.columns, ids.len() / anchors.rows.max(1));
    let mut out = vec![0.0; ids.len()];
    if d == 0 || k == 0 {
        return out;
    }
    let own = anchors.data.par_chunks(share(k) * d).zip(ids.par_chunks(share(k) * k));
    let each = |(out, (anchors, ids)): (&mut [f32], _)| scores_of(anchors, table.data, ids, out, d, k);
    out.par_chunks_mut(share(k) * k).zip(own).for_each(each);
    out
}

/// See [`ContrastBackend::sampled_scores_backward`](super::ContrastBackend::sampled_scores_backward).
pub(super) fn scores_backward(
    anchors: Matrix<'_>,
    table: Matrix<'_>,
    ids: &[i32],
    grads: &[f32],
) -> [Vec<f32>; 2] {
    let (d, k) = (anchors.columns, ids.len() / anchors.rows.max(1));
    let [mut of_anchors, mut of_table] = [anchors, table].map(|of| vec![0.0; of.rows * of.columns]);
    if d == 0 || k == 0 {
        return [of_anchors, of_table];
    }
    let given = ids.par_chunks(share(k) * k).zip(grads.par_chunks(share(k) * k));
    let each = |(out, (ids, grads)): (&mut [f32], _)| sums_of(table.data, ids, grads, out, d, k);
    of_anchors.par_chunks_mut(share(k) * d).zip(given).for_each(each);

    // Each number is added in the order of the ids, so that it does not matter how many blocks there are.
    let stripes = d.div_ceil(STRIPE);
    let rows = table.rows.div_ceil(rayon::current_num_threads().div_ceil(stripes)).max(1);
    let block = |row: usize, stripe: usize| {
        let column = stripe * STRIPE;
        Block { row, rows: rows.min(table.rows - row), column, columns: STRIPE.min(d - column) }
    };
    let blocks = of_table.par_chunks_mut(rows * d).enumerate();
    blocks.for_each(|(at, of_table)| {
        let made: Vec<Vec<f32>> = (0..stripes)
            .into_par_iter()
            .map(|stripe| {
                let block = block(at * rows, stripe);
                let mut out = vec![0.0; block.rows * block.columns];
                add_block(anchors.data, ids, grads, &mut out, d, k, block);
                out
            })
            .collect();
        of_table.par_chunks_mut(d).enumerate().with_min_len(AT_ONCE).for_each(|(row, out)| {
            for (stripe, out) in made.iter().zip(out.chunks_mut(STRIPE)) {
                out.copy_from_slice(&stripe[row * out.len()..][..out.len()]);
            }
        });
    });
    [of_anchors, of_table]
}
