//! Interaction data for recommenders: readers, writers, filters, splits and synthetic data. No tensors here.
//!
//! The way of a data set through this crate: [`load`] reads a file or folder (or makes a synthetic set) and filters
//! it, giving a [`Source`]; a split ([`FilesSplit`], [`RatioSplit`], [`LeaveOneOut`], [`GlobalTime`]) turns the source
//! into a [`Split`], whose [`Train`], [`Validation`] and [`Test`] parts are different types, so that code that selects
//! a model cannot be handed the test part by mistake.
//!
//! Users and items are rows `0..n` inside a program and external ids in files; [`Ids`] is the dictionary. Every
//! random choice is a function of a seed and an external id, never of the order of lines in a file or of threads.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod config;
mod error;
pub mod filter;
mod ids;
mod interactions;
mod load;
mod random;
mod read;
mod sequences;
mod source;
mod split;
mod stats;
pub mod synthetic;
mod user_items;
mod write;

pub use config::{Columns, DataConfig, Duplicates, Format, KCore};
pub use error::{DataError, Invalid, Location, Overlap};
pub use filter::FilterReport;
pub use ids::{Ids, MAX_ROWS};
pub use interactions::Interactions;
pub use load::{Loaded, load};
pub use read::{Reader, read_candidates};
pub use sequences::Sequences;
pub use source::{Part, PartFiles, Source};
pub use split::{
    By, FilesSplit, GlobalTime, LeaveOneOut, Order, RatioSplit, Split, Test, Train, Unseen, Validation,
};
pub use stats::{Quantiles, Stats};
pub use synthetic::SyntheticConfig;
pub use user_items::UserItems;
pub use write::{
    Existing, write_atomic, write_csv, write_lightgcn, write_sequence, write_split, write_stream,
};
