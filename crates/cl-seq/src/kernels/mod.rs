//! Rows of tables, attention and gated recurrence inside sequences, and what a transformer does with each row, as a backend
//! extension: a portable body in plain Burn operations, host kernels on slices for burn-flex and burn-ndarray, kernels for
//! GPUs, a hand-written backward for `Autodiff`.

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
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod host_rows;
#[cfg(feature = "ndarray")]
mod ndarray;
pub mod portable;
mod recurrence;
mod rowwise;

pub use backend::{
    Attention, Dropout, Operand, Preparer, SequenceBackend, attention, gated_recurrence, gather,
};
pub(crate) use rowwise::{drop_out, linear};
