//! Behaviour sequences for recommenders: SASRec over sequences that lie end to end, and the views that contrastive
//! learning takes of them.
//!
//! There is no padding in this crate's interface: a batch is a list of sequences of any length, and a state is a function
//! of its own sequence alone. Usable alone in a foreign training loop: `examples/foreign_loop.rs`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod block;
mod dropout;
mod init;
mod input;
pub mod kernels;
mod sas_rec;
mod source;
pub mod views;

pub use init::Init;
pub use input::{Numbering, SequenceInput};
pub use kernels::{Attention, SequenceBackend, attention};
pub use sas_rec::{Activation, Norm, Pooling, Positions, SasRec, SasRecConfig};
pub use source::{Batching, Instances, SequenceSource, SourceError};
