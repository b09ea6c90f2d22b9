//! Negatives that outlive a step.
//!
//! - [`MomentumEncoder`]: a copy of any Burn module that follows it slowly and encodes the keys (MoCo).
//! - [`Fifo`]: the last K keys, of any size, pushed in pieces of any size.
//! - The sources of negatives [`QueueConfig`] (MoCo) and [`CrossBatchMemoryConfig`] (XBM), for the slot `negatives` of an
//!   experiment, or by hand in a loop of one's own.
//! - [`Staleness`]: how far remembered keys are from what would be encoded now.
//!
//! ```
//! use burn::backend::Flex;
//! use burn::tensor::Tensor;
//! use cl_queue::Fifo;
//!
//! let device = Default::default();
//! let mut queue = Fifo::<Flex>::new(3);
//! queue.push(Tensor::from_data([[1.0], [2.0]], &device), &[10, 20], &[10, 20], 0);
//! queue.push(Tensor::from_data([[3.0], [4.0]], &device), &[30, 40], &[30, 40], 1);
//! assert_eq!(queue.in_order().ids, [20, 30, 40]);   // the oldest made room
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cross_batch_memory;
mod fifo;
mod momentum;
mod queue;
mod remembering;
mod saved;
mod staleness;

pub use cross_batch_memory::CrossBatchMemoryConfig;
pub use fifo::{Entries, Fifo};
pub use momentum::MomentumEncoder;
pub use queue::QueueConfig;
pub use remembering::{Enqueue, Remembering, Settings};
pub use staleness::{Shares, Staleness, thin};

use burn::tensor::backend::AutodiffBackend;
use cl_core::negatives::Negatives;
use cl_core::registry::Registry;

/// A registry of negatives with those of this crate behind its own.
#[must_use]
pub fn with_queues<B: AutodiffBackend>(negatives: Registry<dyn Negatives<B>>) -> Registry<dyn Negatives<B>> {
    negatives.with::<QueueConfig>().with::<CrossBatchMemoryConfig>()
}
