//! Ranges of keys that several encoders have.

use cl_core::registry::{Check, ensure};

/// A number of something is in a range.
pub(crate) fn check_range(name: &'static str, value: usize, from: usize, to: usize) -> Check {
    ensure((from..=to).contains(&value), name, || format!("must be from {from} to {to}, got {value}"))
}

/// A share of dropout is in [0, 1).
pub(crate) fn check_dropout(name: &'static str, rate: f64) -> Check {
    ensure((0.0..1.0).contains(&rate), name, || format!("must be in [0, 1), got {rate}"))
}

/// The width of initial parameters is a number above 0.
pub(crate) fn check_init_scale(scale: f64) -> Check {
    ensure(scale > 0.0 && scale.is_finite(), "init_scale", || {
        format!("must be above 0 and finite, got {scale}")
    })
}

/// Each head reads as many columns.
pub(crate) fn check_heads(heads: usize, dim: usize) -> Check {
    ensure(heads > 0 && dim.is_multiple_of(heads), "heads", || {
        format!("must divide dim = {dim}, got {heads}")
    })
}
