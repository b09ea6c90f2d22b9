//! The ranking kernel: once on slices ([`host`]), and thin adapters for the backends whose memory is the
//! host's.

#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "fusion")]
mod fusion;
pub mod host;
#[cfg(feature = "ndarray")]
mod ndarray;
