//! Rows of tables, attention and gated recurrence inside sequences as a backend extension: a portable body in plain Burn operations, for attention a host
//! kernel on slices for burn-flex and burn-ndarray, a hand-written backward for `Autodiff`.

mod autodiff;
mod backend;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "fusion")]
mod fusion;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod head;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod host;
#[cfg(feature = "ndarray")]
mod ndarray;
pub mod portable;
mod recurrence;

pub use backend::{Attention, SequenceBackend, attention, gated_recurrence, gather};
