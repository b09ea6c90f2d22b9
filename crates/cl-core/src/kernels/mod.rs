//! Hot operations of this crate as backend extensions: a portable body in plain Burn operations, host kernels on
//! slices for burn-flex and burn-ndarray, a hand-written backward for `Autodiff`.

mod autodiff;
mod backend;
#[cfg(feature = "cube")]
pub mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "fusion")]
pub mod fusion;
mod host;
#[cfg(feature = "ndarray")]
mod ndarray;
pub mod portable;

pub use backend::{AdamStep, ContrastBackend, IdMask, OptimizerBackend};
