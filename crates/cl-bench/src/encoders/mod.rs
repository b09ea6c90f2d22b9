//! The encoder slot: what is trained, and the opponents that need no training.

mod baseline;
mod graph;
mod sequence;

use cl_core::encoder::Senses;
use cl_core::registry::Registry;
use cl_data::Split;
use cl_eval::Scorer;

pub use graph::Graph;
pub use sequence::Sequence;

use crate::backend::TrainBackend;
use crate::config::Sampler;
use crate::error::Error;
use crate::train::{Session, Trained};

/// An encoder as a component.
pub trait EncoderSlot<B: TrainBackend> {
    /// What kind it is, and how a model comes about.
    fn kind(&self) -> Kind<'_, B>;
}

/// The kinds of encoders.
pub enum Kind<'a, B: TrainBackend> {
    /// Reads a user-item graph and is trained.
    Graph(&'a dyn Trainable<B>),
    /// Reads sequences of items and is trained.
    Sequence(&'a dyn Trainable<B>),
    /// Is computed from the training part at once.
    Untrained(&'a dyn Fit),
}

impl<'a, B: TrainBackend> Kind<'a, B> {
    /// The encoder, if it is trained, whatever it reads.
    #[must_use]
    pub fn trained(self) -> Option<&'a dyn Trainable<B>> {
        match self {
            Self::Graph(encoder) | Self::Sequence(encoder) => Some(encoder),
            Self::Untrained(_) => None,
        }
    }
}

/// An encoder that is trained.
pub trait Trainable<B: TrainBackend> {
    /// What it reads of its input.
    fn senses(&self) -> Senses;

    /// What an epoch can be; the default first.
    fn samplers(&self) -> &'static [Sampler];

    /// Trains it.
    ///
    /// # Errors
    ///
    /// Data that cannot be sampled, numbers that are not finite, files that cannot be written.
    fn train(&self, session: Session<'_, B>) -> Result<Trained, Error>;
}

/// A model that is computed at once.
pub trait Fit {
    /// Computes it from the training part of a split.
    ///
    /// # Errors
    ///
    /// A computation that would not fit into memory.
    fn fit(&self, split: &Split) -> Result<Box<dyn Scorer>, Error>;
}

/// The encoders of this workspace.
#[must_use]
pub(crate) fn encoders<B: TrainBackend>() -> Registry<dyn EncoderSlot<B>> {
    Registry::new("encoder")
        .with::<Graph<cl_graph::LightGcnConfig>>()
        .with::<Graph<cl_graph::MatrixFactorizationConfig>>()
        .with::<Sequence<cl_seq::SasRecConfig>>()
        .with::<Sequence<cl_seq::Gru4RecConfig>>()
        .with::<Sequence<cl_seq::Bert4RecConfig>>()
        .with::<cl_eval::baseline::PopularityConfig>()
        .with::<cl_eval::baseline::ItemKnnConfig>()
        .with::<cl_eval::baseline::EaseConfig>()
}
