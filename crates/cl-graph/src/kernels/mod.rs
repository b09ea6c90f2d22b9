//! Propagation as a backend extension: a portable body in plain Burn operations, host kernels on slices for burn-flex
//! and burn-ndarray, CubeCL kernels for GPUs, a hand-written backward for `Autodiff`.

mod autodiff;
mod backend;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "fusion")]
mod fusion;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod host;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg_attr(not(any(feature = "flex", feature = "ndarray", feature = "cube")), allow(dead_code))]
pub(crate) mod needed;
pub mod noise;
pub mod portable;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod product;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod stored;

pub use backend::{GraphBackend, Preparer, spmm};
