//! Sparse row products on slices. A row is computed by one thread in the order of its values, so that the bits depend
//! neither on the number of threads nor on which rows are asked for.

use cl_core::{StreamKey, simd};
use rayon::prelude::*;

use super::noise;
use crate::adjacency::Csr;

/// Noise of one layer: its stream and its length.
pub(super) type LayerNoise = Option<(StreamKey, f32)>;

/// What is done to the rows of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Set,
    Add,
}

/// The dense operand: all rows, or those that are not zero.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a> {
    Dense(&'a [f32]),
    /// Row r stands at `place[r]`; `u32::MAX` is a row of zeros.
    Sparse {
        place: &'a [u32],
        rows: &'a [f32],
    },
}

/// Rows in a task over a list of rows.
const LISTED: usize = 32;

/// `out = A x` (or `out += A x`) over all rows, plus noise.
pub(super) fn product(
    csr: &Csr,
    x: Operand<'_>,
    dim: usize,
    out: &mut [f32],
    write: Write,
    noise: LayerNoise,
) {
    let mut tasks = Vec::with_capacity(csr.pieces.len());
    let mut rest = out;
    for piece in csr.pieces.windows(2) {
        let (task, after) = rest.split_at_mut((piece[1] - piece[0]) as usize * dim);
        tasks.push((piece[0], task));
        rest = after;
    }
    tasks.into_par_iter().for_each(|(first, out)| run(csr, x, dim, first, None, out, write, noise));
}

/// Rows `rows` of `A x`, one after another, plus noise.
pub(super) fn product_of_rows(
    csr: &Csr,
    x: Operand<'_>,
    dim: usize,
    rows: &[u32],
    out: &mut [f32],
    noise: LayerNoise,
) {
    out.par_chunks_mut(LISTED * dim)
        .zip(rows.par_chunks(LISTED))
        .for_each(|(out, rows)| run(csr, x, dim, 0, Some(rows), out, Write::Set, noise));
}

#[allow(clippy::too_many_arguments)]
fn run(
    csr: &Csr,
    x: Operand<'_>,
    dim: usize,
    first: u32,
    list: Option<&[u32]>,
    out: &mut [f32],
    write: Write,
    noise: LayerNoise,
) {
    match dim {
        32 => rows_of_32(csr, x, first, list, out, write, noise),
        64 => rows_of_64(csr, x, first, list, out, write, noise),
        128 => rows_of_128(csr, x, first, list, out, write, noise),
        _ => rows_of_any(csr, x, dim, first, list, out, write, noise),
    }
}

simd! {
    fn rows_of_32(csr: &Csr, x: Operand<'_>, first: u32, list: Option<&[u32]>, out: &mut [f32], write: Write, noise: LayerNoise) {
        rows::<32>(csr, x, first, list, out, write, noise);
    }
}
simd! {
    fn rows_of_64(csr: &Csr, x: Operand<'_>, first: u32, list: Option<&[u32]>, out: &mut [f32], write: Write, noise: LayerNoise) {
        rows::<64>(csr, x, first, list, out, write, noise);
    }
}
simd! {
    fn rows_of_128(csr: &Csr, x: Operand<'_>, first: u32, list: Option<&[u32]>, out: &mut [f32], write: Write, noise: LayerNoise) {
        rows::<128>(csr, x, first, list, out, write, noise);
    }
}

/// Stored values between the one that is computed and the one whose row is fetched.
const AHEAD: usize = 12;

/// Fetches a row into the caches.
#[inline(always)]
fn prefetch<const D: usize>(x: &[f32], row: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..D).step_by(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see, and faults nowhere; the row is one of `x`.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(x.as_ptr().wrapping_add(row * D + line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (x, row);
}

/// Widths that fit the registers: the row is summed there and written once.
#[inline(always)]
fn rows<const D: usize>(
    csr: &Csr,
    x: Operand<'_>,
    first: u32,
    list: Option<&[u32]>,
    out: &mut [f32],
    write: Write,
    layer_noise: LayerNoise,
) {
    let mut scratch = [0.0_f32; D];
    for (at, out) in out.chunks_exact_mut(D).enumerate() {
        let row = list.map_or(first as usize + at, |list| list[at] as usize);
        let mut sum = [0.0_f32; D];
        match x {
            Operand::Dense(x) => {
                for p in csr.row(row) {
                    if let Some(&ahead) = csr.columns.get(p + AHEAD) {
                        prefetch::<D>(x, ahead as usize);
                    }
                    let from = &x[csr.columns[p] as usize * D..][..D];
                    let value = csr.values[p];
                    for k in 0..D {
                        sum[k] += value * from[k];
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
                            sum[k] += value * from[k];
                        }
                    }
                }
            }
        }
        if let Some((key, magnitude)) = layer_noise {
            noise::draw(&mut scratch, D, key, row as u32, magnitude);
            noise::add(&mut sum, &scratch);
        }
        match write {
            Write::Set => out.copy_from_slice(&sum),
            Write::Add => {
                for k in 0..D {
                    out[k] += sum[k];
                }
            }
        }
    }
}

simd! {
    /// Any other width: the row is summed in memory.
    fn rows_of_any(csr: &Csr, x: Operand<'_>, dim: usize, first: u32, list: Option<&[u32]>, out: &mut [f32], write: Write, layer_noise: LayerNoise) {
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
                    *sum += value * from;
                }
            }
            if let Some((key, magnitude)) = layer_noise {
                noise::draw(&mut scratch, dim, key, row as u32, magnitude);
                noise::add(&mut sum, &scratch);
            }
            match write {
                Write::Set => out.copy_from_slice(&sum),
                Write::Add => {
                    for (out, sum) in out.iter_mut().zip(&sum) {
                        *out += sum;
                    }
                }
            }
        }
    }
}

/// Adds a layer's noise to all rows.
pub(super) fn add_noise(rows: &mut [f32], dim: usize, layer_noise: LayerNoise) {
    let Some((key, magnitude)) = layer_noise else { return };
    rows.par_chunks_mut(256 * dim).enumerate().for_each(|(chunk, rows)| {
        add_noise_to_rows(rows, dim, 256 * chunk, key, magnitude);
    });
}

simd! {
    fn add_noise_to_rows(rows: &mut [f32], dim: usize, first: usize, key: StreamKey, magnitude: f32) {
        let mut scratch = vec![0.0_f32; noise::scratch(dim)];
        for (at, row) in rows.chunks_exact_mut(dim).enumerate() {
            noise::draw(&mut scratch, dim, key, (first + at) as u32, magnitude);
            noise::add(row, &scratch);
        }
    }
}
