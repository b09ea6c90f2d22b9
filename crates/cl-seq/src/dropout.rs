//! Dropout as a function of its key.

use cl_core::StreamKey;
use cl_core::rng::unit;

/// What a row is multiplied with: 0 at the share `rate`, and 1 / (1 − rate).
#[inline]
pub(crate) fn keep(key: StreamKey, row: u32, rate: f32, out: &mut [f32]) {
    let kept = 1.0 / (1.0 - rate);
    for (block, out) in out.chunks_mut(4).enumerate() {
        for (out, word) in out.iter_mut().zip(key.words(row, block as u32)) {
            *out = if unit(word) < rate { 0.0 } else { kept };
        }
    }
}

/// Multiplies a row with what [`keep`] tells.
#[inline]
pub(crate) fn multiply(key: StreamKey, row: u32, rate: f32, x: &mut [f32]) {
    let kept = 1.0 / (1.0 - rate);
    for (block, x) in x.chunks_mut(4).enumerate() {
        for (x, word) in x.iter_mut().zip(key.words(row, block as u32)) {
            *x *= if unit(word) < rate { 0.0 } else { kept };
        }
    }
}
