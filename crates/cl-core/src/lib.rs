//! What every contrastive recommender shares: losses, representation diagnostics, projection heads, optimizers,
//! random streams, the traits of the slots, and the registry that reads components from TOML.
//!
//! Everything is generic over Burn's `Backend`. A loss is a function on tensors and can be used in any training loop:
//!
//! ```
//! use burn::{backend::Flex, tensor::{Distribution, Tensor}};
//! use cl_core::contrast::{Reduction, Similarity, info_nce};
//!
//! let device = Default::default();
//! let a = Tensor::<Flex, 2>::random([8, 16], Distribution::Default, &device); // [batch, dim]
//! let b = Tensor::<Flex, 2>::random([8, 16], Distribution::Default, &device);
//! let loss = info_nce(a, b, Similarity::Cosine, 0.2, Reduction::Mean);
//! assert!(loss.into_scalar() > 0.0);
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod contrast;
pub mod diagnostics;
pub mod encoder;
pub mod kernels;
pub mod negatives;
pub mod objective;
pub mod optimizer;
pub mod projection;
pub mod registry;
pub mod rng;
pub mod sampling;
pub mod schedule;
pub mod simd;
pub mod source;
pub mod views;

pub use encoder::{Encoder, Request, Rows};
pub use rng::StreamKey;
pub use schedule::Schedule;
