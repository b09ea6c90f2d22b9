//! Honest evaluation of recommenders: every item ranked, metrics with their denominators written down, slices
//! by popularity and activity, catalogue measures, and opponents that need no training loop.
//!
//! The path of an evaluation, in the order of the modules:
//!
//! 1. [`rank_embeddings`] (embedding tables on any Burn backend) or [`rank()`](rank()) (anything that is a
//!    [`Scorer`]) gives [`Rankings`]: the best items of every user, items of the masks left out, ties by
//!    smaller item id.
//!    [`rank_among`] and [`rank_embeddings_among`] rank a few items of each user instead, as old papers do.
//! 2. [`evaluate`] compares them with the held-out items: [`PerUser`] values of every [`Metric`] at every
//!    cut-off.
//! 3. [`by_item_group`] and [`by_user_group`] do the same for parts of the items and of the users.
//! 4. [`catalogue()`](catalogue()) measures what the recommendations do to the catalogue as a whole.
//!
//! [`baseline`] holds popularity, ItemKNN and EASE. Nothing here reads a file, a clock or a device.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod among;
pub mod baseline;
mod catalogue;
pub mod kernels;
pub mod metric;
mod per_user;
mod rank;
mod rank_backend;
mod score;
mod select;
mod slice;

pub use among::{rank_among, rank_embeddings_among};
pub use catalogue::{catalogue, gini};
pub use metric::{Metric, UnknownMetric};
pub use per_user::{PerUser, evaluate};
pub use rank::{NO_ITEM, Rankings, Scorer, rank};
pub use rank_backend::{RankBackend, portable_top_k, rank_embeddings};
pub use score::Score;
pub use slice::{GroupMetrics, ItemGroups, UserGroups, by_item_group, by_user_group};
