//! Behaviour sequences for recommenders: SASRec, GRU4Rec and BERT4Rec over sequences that lie end to end, and the views that contrastive
//! learning takes of them.
//!
//! There is no padding in this crate's interface: a batch is a list of sequences of any length, and a state is a function
//! of its own sequence alone. Usable alone in a foreign training loop: `examples/foreign_loop.rs`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bert4rec;
mod check;
mod dropout;
mod encode;
mod encoder;
mod gru4rec;
mod init;
mod input;
pub mod kernels;
mod masking;
mod norm;
mod order;
mod pass;
mod pooling;
mod sas_rec;
mod source;
mod transformer;
pub mod views;

pub use bert4rec::{Bert4Rec, Bert4RecConfig};
pub use encoder::SequenceEncoder;
pub use gru4rec::{Gru4Rec, Gru4RecConfig};
pub use init::Init;
pub use input::{Numbering, SequenceInput};
pub use kernels::{
    Attention, Dropout, Operand, Preparer, SequenceBackend, attention, gated_recurrence, gather,
};
pub use masking::Masking;
pub use pass::Positions;
pub use pooling::Pooling;
pub use sas_rec::{SasRec, SasRecConfig};
pub use source::{Batching, Instances, SequenceSource, SourceError};
pub use transformer::{Activation, Norm, Transformer};
