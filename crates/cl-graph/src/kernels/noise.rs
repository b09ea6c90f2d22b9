//! The noise of SimGCL and XSimGCL, generated from its key where it is needed and never stored.

use cl_core::StreamKey;
use cl_core::rng::{pcg4d, unit};

/// Numbers of scratch that [`draw`] needs for rows of width `dim`.
#[must_use]
pub fn scratch(dim: usize) -> usize {
    dim.next_multiple_of(4)
}

/// Fills the first `dim` numbers of `scratch` with non-negative noise of length `magnitude` for row `index`; see
/// [`Noise`](crate::Noise) for the formula.
#[inline(always)]
pub fn draw(scratch: &mut [f32], dim: usize, key: StreamKey, index: u32, magnitude: f32) {
    let blocks = dim.div_ceil(4);
    let [low, high] = key.halves();
    {
        let (a, rest) = scratch[..4 * blocks].split_at_mut(blocks);
        let (b, rest) = rest.split_at_mut(blocks);
        let (c, d) = rest.split_at_mut(blocks);
        for block in 0..blocks {
            let words = pcg4d([index, block as u32, low, high]);
            a[block] = unit(words[0]);
            b[block] = unit(words[1]);
            c[block] = unit(words[2]);
            d[block] = unit(words[3]);
        }
    }
    let values = &mut scratch[..dim];
    // Sixteen sums side by side, so that the order of additions is the same for every vector width.
    let mut lanes = [0.0_f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
    for chunk in chunks {
        for lane in 0..16 {
            lanes[lane] += chunk[lane] * chunk[lane];
        }
    }
    let mut squares = rest;
    for lane in lanes {
        squares += lane;
    }
    let factor = if squares > 0.0 { magnitude / squares.sqrt() } else { 0.0 };
    for value in values {
        *value *= factor;
    }
}

/// Adds `sign(row) ⊙ noise`; a coordinate that is exactly 0 gets none.
#[inline(always)]
pub fn add(row: &mut [f32], noise: &[f32]) {
    for (x, noise) in row.iter_mut().zip(noise) {
        let signed = if *x > 0.0 { *noise } else { -*noise };
        *x += if *x == 0.0 { 0.0 } else { signed };
    }
}

/// The noise of rows `0..rows`, row-major, before signs.
#[must_use]
pub fn table(rows: usize, dim: usize, key: StreamKey, magnitude: f32) -> Vec<f32> {
    let mut scratch = vec![0.0; scratch(dim)];
    let mut out = Vec::with_capacity(rows * dim);
    for row in 0..rows {
        draw(&mut scratch, dim, key, row as u32, magnitude);
        out.extend_from_slice(&scratch[..dim]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_its_length_stays_in_the_orthant_and_differs_by_row() {
        for dim in [1, 7, 16, 64] {
            let noise = table(50, dim, StreamKey::root(5), 0.2);
            for row in noise.chunks(dim) {
                let length: f32 = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                assert!((length - 0.2).abs() < 1e-6, "length {length}");
                assert!(row.iter().all(|&x| x >= 0.0));
            }
            assert!(dim == 1 || noise[..dim] != noise[dim..2 * dim]);
        }
        let mut row = [1.0, -1.0, 0.0];
        add(&mut row, &[0.5, 0.25, 0.125]);
        assert_eq!(row, [1.5, -1.25, 0.0]);
    }
}
