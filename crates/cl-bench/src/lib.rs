//! Contrastive recommenders from one TOML file: train, rank, report.
//!
//! The binary is [`main`] with the components of this workspace. A crate with components of its own calls [`main`] with
//! its own [`Catalogue`]; everything else stays as it is.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod candidates;
mod cli;
mod commands;
mod components;
pub mod config;
mod device;
mod encoders;
mod error;
mod evaluate;
mod folder;
mod out;
mod ranker;
mod report;
mod result;
mod train;

pub use backend::{EvalBackend, OnBackend, TrainBackend, on_backend};
pub use candidates::Candidates;
pub use cli::{main, main_with};
pub use components::{Builtin, Catalogue, Components};
pub use config::Experiment;
pub use encoders::{EncoderSlot, Fit, Graph, Kind, Sequence, Trainable};
pub use error::Error;
pub use folder::{IfThere, RunFolder};
pub use ranker::{ByEmbeddings, ByScores, Embeddings, Ranker};
pub use train::{Clock, History, Progress, Selection, Session, Timing, Trained, train};
