//! What kernels do with the numbers of a row: the noise of [`noise`](crate::kernels::noise), and rounding.

use cl_core::kernels::cube::random::{pcg4d, unit};
use cubecl::prelude::*;

/// Writes the uniform numbers of a row to its `4 * ⌈dim / 4⌉` places of `noise`, each block of four by one of the row's
/// `lanes` units, and to `squares` what each unit's numbers add to the squared length.
#[cube]
#[allow(clippy::too_many_arguments)]
pub(super) fn draw(
    row: u32,
    low: u32,
    high: u32,
    noise: &mut SharedMemory<f32>,
    squares: &mut SharedMemory<f32>,
    #[comptime] dim: usize,
    #[comptime] lanes: usize,
) {
    let blocks = comptime!(dim.div_ceil(4));
    let place = UNIT_POS_Y as usize * comptime!(4 * blocks);
    let mut sum = f32::new(0.0);
    let mut block = UNIT_POS_X as usize;
    while block < blocks {
        let (a, b, c, d) = pcg4d(row, u32::cast_from(block), low, high);
        let (a, b, c, d) = (unit(a), unit(b), unit(c), unit(d));
        noise[place + block] = a;
        noise[place + blocks + block] = b;
        noise[place + comptime!(2 * blocks) + block] = c;
        noise[place + comptime!(3 * blocks) + block] = d;
        // Of the places beyond `dim`, which only the last words reach, nothing counts.
        sum += a * a;
        if blocks + block < dim {
            sum += b * b;
        }
        if comptime!(2 * blocks) + block < dim {
            sum += c * c;
        }
        if comptime!(3 * blocks) + block < dim {
            sum += d * d;
        }
        block += lanes;
    }
    squares[UNIT_POS_Y as usize * lanes + UNIT_POS_X as usize] = sum;
}

/// What the row's uniform numbers are multiplied with to have length `magnitude`; after [`draw`] and a barrier.
#[cube]
pub(super) fn factor(squares: &SharedMemory<f32>, magnitude: f32, #[comptime] lanes: usize) -> f32 {
    let mut sum = f32::new(0.0);
    for lane in 0..lanes {
        sum += squares[UNIT_POS_Y as usize * lanes + lane];
    }
    let mut factor = f32::new(0.0);
    if sum > f32::new(0.0) {
        factor = magnitude / sum.sqrt();
    }
    factor
}

/// Adds `sign(x) ⊙ noise · factor` to the columns that vector `column` of the row is.
#[cube]
pub(super) fn add_noise<N: Size>(
    x: Vector<f32, N>,
    column: usize,
    noise: &SharedMemory<f32>,
    factor: f32,
    #[comptime] dim: usize,
) -> Vector<f32, N> {
    let place = UNIT_POS_Y as usize * comptime!(4 * dim.div_ceil(4)) + column * N::value();
    let mut sum = x;
    #[unroll]
    for k in 0..N::value() {
        let number = sum[k];
        let drawn = noise[place + k];
        let signed = select(number > f32::new(0.0), drawn, -drawn);
        let signed = select(number == f32::new(0.0), f32::new(0.0), signed);
        sum[k] = fma(signed, factor, number);
    }
    sum
}

/// A number rounded to 8 bits of significand, the nearest, ties to even: its bits, of which the lower half is 0.
#[cube]
pub(super) fn rounded_bits(x: f32) -> u32 {
    let bits = u32::reinterpret(x);
    let nearest = (bits + 0x7fffu32 + ((bits >> 16u32) & 1u32)) & 0xffff_0000u32;
    // Rounding could carry a NaN's bits over into another number.
    let nan = (bits & 0x7fff_ffffu32) > 0x7f80_0000u32;
    select(nan, 0x7fc0_0000u32, nearest)
}

/// Each number so rounded.
#[cube]
pub(super) fn rounded<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let mut out = x;
    #[unroll]
    for k in 0..N::value() {
        out[k] = f32::reinterpret(rounded_bits(out[k]));
    }
    out
}
