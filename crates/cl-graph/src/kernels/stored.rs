//! How the numbers of a propagated layer are stored; all sums are in f32.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use cl_core::simd;
use rayon::prelude::*;

/// Buffers of `[nodes, d]` that steps hand on to one another: a fresh one costs as much in page faults as a product.
type Buffers<T> = Mutex<Vec<Vec<T>>>;

/// A number as it is stored.
pub(super) trait Stored: Copy + Default + Send + Sync + 'static {
    fn store(x: f32) -> Self;
    fn load(self) -> f32;
    /// The same numbers so stored.
    fn of(rows: &[f32]) -> Cow<'_, [Self]>;
    /// The same, of rows that nobody else needs.
    fn of_own(rows: Vec<f32>) -> Vec<Self> {
        Self::of(&rows).into_owned()
    }
    fn buffers() -> &'static Buffers<Self>;
}

impl Stored for f32 {
    #[inline(always)]
    fn store(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn load(self) -> f32 {
        self
    }

    fn of(rows: &[f32]) -> Cow<'_, [f32]> {
        Cow::Borrowed(rows)
    }

    fn of_own(rows: Vec<f32>) -> Vec<f32> {
        rows
    }

    fn buffers() -> &'static Buffers<f32> {
        static BUFFERS: Buffers<f32> = Mutex::new(Vec::new());
        &BUFFERS
    }
}

/// The upper half of an f32: 8 bits of significand, rounded to the nearest, ties to even.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bf16(u16);

impl Stored for Bf16 {
    #[inline(always)]
    fn store(x: f32) -> Self {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        // Rounding could carry a NaN's bits over into another number.
        Self(if x.is_nan() { 0x7fc0 } else { rounded as u16 })
    }

    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    fn of(rows: &[f32]) -> Cow<'_, [Self]> {
        let mut out = take(rows.len());
        out.par_chunks_mut(1 << 14).zip(rows.par_chunks(1 << 14)).for_each(|(out, rows)| round(rows, out));
        Cow::Owned(out)
    }

    fn buffers() -> &'static Buffers<Self> {
        static BUFFERS: Buffers<Bf16> = Mutex::new(Vec::new());
        &BUFFERS
    }
}

simd! {
    fn round(rows: &[f32], out: &mut [Bf16]) {
        for (out, x) in out.iter_mut().zip(rows) {
            *out = Bf16::store(*x);
        }
    }
}

/// A buffer of `length` numbers with anything in it.
pub(super) fn take<T: Stored>(length: usize) -> Vec<T> {
    let mut buffers = T::buffers().lock().unwrap_or_else(PoisonError::into_inner);
    match buffers.iter().position(|buffer| buffer.len() == length) {
        Some(at) => buffers.swap_remove(at),
        None => vec![T::default(); length],
    }
}

/// Hands a buffer on.
pub(super) fn give<T: Stored>(buffer: Vec<T>) {
    let mut buffers = T::buffers().lock().unwrap_or_else(PoisonError::into_inner);
    // Enough for the passes of one step. So many stay until the process ends or other graphs' take their place.
    if buffers.len() == 8 {
        buffers.remove(0);
    }
    buffers.push(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_the_nearest_and_ties_go_to_even() {
        let rounded = |x: f32| Bf16::store(x).load();
        // One unit in the last of 8 bits is 2^-7 at 1.
        let unit = 2.0_f32.powi(-7);
        for exact in [0.0, -0.0, 1.0, -1.5, 1.0 + unit, f32::INFINITY, f32::NEG_INFINITY, 2.0_f32.powi(-126)]
        {
            assert_eq!(rounded(exact).to_bits(), exact.to_bits());
        }
        assert_eq!(rounded(1.0 + 0.49 * unit), 1.0);
        assert_eq!(rounded(1.0 + 0.51 * unit), 1.0 + unit);
        assert_eq!(rounded(1.0 + 0.5 * unit), 1.0, "to the even one");
        assert_eq!(rounded(1.0 + 1.5 * unit), 1.0 + 2.0 * unit, "to the even one");
        assert_eq!(rounded(-1.0 - 0.51 * unit), -1.0 - unit);
        assert!(rounded(f32::NAN).is_nan() && rounded(f32::from_bits(0x7fff_ffff)).is_nan());
        let mut rows = vec![Bf16::default(); 3];
        round(&[1.0, 0.1, -3.0], &mut rows);
        assert_eq!(rows.iter().map(|x| x.load()).collect::<Vec<_>>(), [1.0, rounded(0.1), -3.0]);
    }
}
