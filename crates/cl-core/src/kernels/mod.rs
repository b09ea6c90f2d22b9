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
mod host_sampled;
mod list;
#[cfg(feature = "ndarray")]
mod ndarray;
mod on_device;
pub mod portable;
mod sampled;

pub use backend::{AdamStep, ContrastBackend, Copier, KeyMask, OptimizerBackend, Places};
pub use list::List;
pub use on_device::OnDevice;
pub use sampled::{draw, sampled_scores};
