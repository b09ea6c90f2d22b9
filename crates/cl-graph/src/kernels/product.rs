//! Sparse row products on slices. A row is computed by one thread in the order of its values, so that the bits depend
//! neither on the number of threads nor on which rows are asked for.

use cl_core::{StreamKey, simd};
use rayon::prelude::*;

use super::noise;
use super::stored::Stored;
use crate::adjacency::Csr;

/// What is added to a row of the product before it is stored.
#[derive(Clone, Copy)]
pub(super) enum Plus<'a> {
    Nothing,
    /// Noise: its stream and its length.
    Noise(StreamKey, f32),
    /// Row `place[r]` of these, if it is not `u32::MAX`.
    Rows {
        place: &'a [u32],
        rows: &'a [f32],
    },
}

impl Plus<'_> {
    #[inline(always)]
    fn add(self, sum: &mut [f32], row: usize, scratch: &mut [f32]) {
        match self {
            Plus::Nothing => {}
            Plus::Noise(key, magnitude) => {
                noise::draw(scratch, sum.len(), key, row as u32, magnitude);
                noise::add(sum, scratch);
            }
            Plus::Rows { place, rows } => {
                if place[row] != u32::MAX {
                    let dim = sum.len();
                    let rows = &rows[place[row] as usize * dim..][..dim];
                    for (sum, x) in sum.iter_mut().zip(rows) {
                        *sum += x;
                    }
                }
            }
        }
    }
}

/// What is done to the rows of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Set,
    Add,
}

/// The dense operand: all rows, or those that are not zero.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a, T> {
    Dense(&'a [T]),
    /// Row r stands at `place[r]`; `u32::MAX` is a row of zeros.
    Sparse {
        place: &'a [u32],
        rows: &'a [T],
    },
}

/// Rows in a task over a list of rows.
const LISTED: usize = 32;

/// `out = A x` (or `out += A x`) over all rows, and what is added to them.
pub(super) fn product<T: Stored, O: Stored>(
    csr: &Csr,
    x: Operand<'_, T>,
    dim: usize,
    out: &mut [O],
    write: Write,
    plus: Plus<'_>,
) {
    let mut tasks = Vec::with_capacity(csr.pieces.len());
    let mut rest = out;
    for piece in csr.pieces.windows(2) {
        let (task, after) = rest.split_at_mut((piece[1] - piece[0]) as usize * dim);
        tasks.push((piece[0], task));
        rest = after;
    }
    tasks.into_par_iter().for_each(|(first, out)| run(csr, x, dim, first, None, out, write, plus));
}

/// Rows `rows` of `A x`, one after another, and what is added to them.
pub(super) fn product_of_rows<T: Stored, O: Stored>(
    csr: &Csr,
    x: Operand<'_, T>,
    dim: usize,
    rows: &[u32],
    out: &mut [O],
    plus: Plus<'_>,
) {
    out.par_chunks_mut(LISTED * dim)
        .zip(rows.par_chunks(LISTED))
        .for_each(|(out, rows)| run(csr, x, dim, 0, Some(rows), out, Write::Set, plus));
}

#[allow(clippy::too_many_arguments)]
fn run<T: Stored, O: Stored>(
    csr: &Csr,
    x: Operand<'_, T>,
    dim: usize,
    first: u32,
    list: Option<&[u32]>,
    out: &mut [O],
    write: Write,
    plus: Plus<'_>,
) {
    match dim {
        32 => rows_of_32(csr, x, first, list, out, write, plus),
        64 => rows_of_64(csr, x, first, list, out, write, plus),
        128 => rows_of_128(csr, x, first, list, out, write, plus),
        _ => rows_of_any(csr, x, dim, first, list, out, write, plus),
    }
}

simd! {
    fn rows_of_32<T: Stored, O: Stored>(csr: &Csr, x: Operand<'_, T>, first: u32, list: Option<&[u32]>, out: &mut [O], write: Write, plus: Plus<'_>) {
        rows::<32, T, O>(csr, x, first, list, out, write, plus);
    }
}
simd! {
    fn rows_of_64<T: Stored, O: Stored>(csr: &Csr, x: Operand<'_, T>, first: u32, list: Option<&[u32]>, out: &mut [O], write: Write, plus: Plus<'_>) {
        rows::<64, T, O>(csr, x, first, list, out, write, plus);
    }
}
simd! {
    fn rows_of_128<T: Stored, O: Stored>(csr: &Csr, x: Operand<'_, T>, first: u32, list: Option<&[u32]>, out: &mut [O], write: Write, plus: Plus<'_>) {
        rows::<128, T, O>(csr, x, first, list, out, write, plus);
    }
}

/// Stored values between the one that is computed and the one whose row is fetched.
const AHEAD: usize = 12;

/// Fetches a row into the caches.
#[inline(always)]
fn prefetch<const D: usize, T>(x: &[T], row: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..D).step_by(64 / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see, and faults nowhere; the row is one of `x`.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(x.as_ptr().wrapping_add(row * D + line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (x, row);
}

/// Widths that fit the registers: the row is summed there and written once.
#[inline(always)]
fn rows<const D: usize, T: Stored, O: Stored>(
    csr: &Csr,
    x: Operand<'_, T>,
    first: u32,
    list: Option<&[u32]>,
    out: &mut [O],
    write: Write,
    plus: Plus<'_>,
) {
    let mut scratch = [0.0_f32; D];
    for (at, out) in out.chunks_exact_mut(D).enumerate() {
        let row = list.map_or(first as usize + at, |list| list[at] as usize);
        let mut sum = [0.0_f32; D];
        match x {
            Operand::Dense(x) => {
                for p in csr.row(row) {
                    if let Some(&ahead) = csr.columns.get(p + AHEAD) {
                        prefetch::<D, T>(x, ahead as usize);
                    }
                    let from = &x[csr.columns[p] as usize * D..][..D];
                    let value = csr.values[p];
                    for k in 0..D {
                        sum[k] += value * from[k].load();
                    }
                }
            }
            Operand::Sparse { place, rows } => {
                for p in csr.row(row) {
                    let at = place[csr.columns[p] as usize];
                    if at != u32::MAX {
                        let from = &rows[at as usize * D..][..D];
                        let value = csr.values[p];
                        for k in 0..D {
                            sum[k] += value * from[k].load();
                        }
                    }
                }
            }
        }
        plus.add(&mut sum, row, &mut scratch);
        match write {
            Write::Set => {
                for k in 0..D {
                    out[k] = O::store(sum[k]);
                }
            }
            Write::Add => {
                for k in 0..D {
                    out[k] = O::store(out[k].load() + sum[k]);
                }
            }
        }
    }
}

simd! {
    /// Any other width: the row is summed in memory.
    fn rows_of_any<T: Stored, O: Stored>(csr: &Csr, x: Operand<'_, T>, dim: usize, first: u32, list: Option<&[u32]>, out: &mut [O], write: Write, plus: Plus<'_>) {
        let mut scratch = vec![0.0_f32; noise::scratch(dim)];
        let mut sum = vec![0.0_f32; dim];
        for (at, out) in out.chunks_exact_mut(dim).enumerate() {
            let row = list.map_or(first as usize + at, |list| list[at] as usize);
            sum.fill(0.0);
            for p in csr.row(row) {
                let column = csr.columns[p] as usize;
                let from = match x {
                    Operand::Dense(x) => &x[column * dim..][..dim],
                    Operand::Sparse { place, .. } if place[column] == u32::MAX => continue,
                    Operand::Sparse { place, rows } => &rows[place[column] as usize * dim..][..dim],
                };
                let value = csr.values[p];
                for (sum, from) in sum.iter_mut().zip(from) {
                    *sum += value * from.load();
                }
            }
            plus.add(&mut sum, row, &mut scratch);
            for (out, sum) in out.iter_mut().zip(&sum) {
                *out = O::store(if write == Write::Add { out.load() + sum } else { *sum });
            }
        }
    }
}

/// `out = x` over all rows, and what is added to them.
pub(super) fn sum<O: Stored>(x: &[f32], dim: usize, out: &mut [O], plus: Plus<'_>) {
    const ROWS: usize = 256;
    out.par_chunks_mut(ROWS * dim)
        .zip(x.par_chunks(ROWS * dim))
        .enumerate()
        .for_each(|(chunk, (out, x))| sum_of_rows(x, dim, out, ROWS * chunk, plus));
}

simd! {
    fn sum_of_rows<O: Stored>(x: &[f32], dim: usize, out: &mut [O], first: usize, plus: Plus<'_>) {
        let mut scratch = vec![0.0_f32; noise::scratch(dim)];
        let mut sum = vec![0.0_f32; dim];
        for (at, (x, out)) in x.chunks_exact(dim).zip(out.chunks_exact_mut(dim)).enumerate() {
            sum.copy_from_slice(x);
            plus.add(&mut sum, first + at, &mut scratch);
            for (out, sum) in out.iter_mut().zip(&sum) {
                *out = O::store(*sum);
            }
        }
    }
}
