//! The crate against the golden numbers of `tests/golden`, made by PyTorch in f64 from the papers' formulas.
//!
//! The inputs are exact in f32; unless a comment says why, f32 must come within 1e-5 of the largest reference number.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod contrasts;
mod info_nce;
mod objectives;
mod optimizers;
mod pairs;
mod read;
mod representation;

/// `max |error| / max |reference|` in f32.
const TOLERANCE: f64 = 1e-5;
