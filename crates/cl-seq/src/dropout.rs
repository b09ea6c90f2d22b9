//! Dropout as a function of its key.

use cl_core::StreamKey;
use cl_core::rng::unit;

/// What a row is multiplied with: 0 at the share `rate`, and 1 / (1 − rate).
#[inline]
pub(crate) fn keep(key: StreamKey, row: u32, rate: f32, out: &mut [f32]) {
    each(key, row, rate, out, |out, factor| *out = factor);
}

/// Multiplies a row with what [`keep`] tells.
#[inline]
pub(crate) fn multiply(key: StreamKey, row: u32, rate: f32, x: &mut [f32]) {
    each(key, row, rate, x, |x, factor| *x *= factor);
}

/// Does something with each number of a row and its factor.
#[inline(always)]
fn each(key: StreamKey, row: u32, rate: f32, numbers: &mut [f32], apply: impl Fn(&mut f32, f32)) {
    let kept = 1.0 / (1.0 - rate);
    for (block, numbers) in numbers.chunks_mut(4).enumerate() {
        for (number, word) in numbers.iter_mut().zip(key.words(row, block as u32)) {
            apply(number, if unit(word) < rate { 0.0 } else { kept });
        }
    }
}
