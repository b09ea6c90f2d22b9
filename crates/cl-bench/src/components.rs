//! The components that a file can choose among, slot by slot.

use cl_core::contrast::{Contrast, contrasts};
use cl_core::negatives::{Negatives, negatives};
use cl_core::objective::{Objective, objectives};
use cl_core::optimizer::{UpdateRule, optimizers};
use cl_core::projection::{Projection, projections};
use cl_core::registry::Registry;
use cl_core::views::Views;
use cl_graph::GraphInput;
use cl_seq::SequenceInput;

use crate::backend::TrainBackend;
use crate::config::split::{Splitter, splits};
use crate::encoders::{EncoderSlot, encoders};

/// A registry for each slot.
pub struct Components<B: TrainBackend> {
    /// `[split]`
    pub split: Registry<dyn Splitter>,
    /// `[encoder]`
    pub encoder: Registry<dyn EncoderSlot<B>>,
    /// `[objective]`
    pub objective: Registry<dyn Objective<B>>,
    /// `[views]` of graph encoders
    pub views: Registry<dyn Views<GraphInput>>,
    /// `[views]` of sequence encoders
    pub sequence_views: Registry<dyn Views<SequenceInput>>,
    /// `[contrast]`
    pub contrast: Registry<dyn Contrast<B>>,
    /// `[negatives]`
    pub negatives: Registry<dyn Negatives<B>>,
    /// `[projection]`
    pub projection: Registry<dyn Projection>,
    /// `[optimizer]`
    pub optimizer: Registry<dyn UpdateRule<B::InnerBackend>>,
}

impl<B: TrainBackend> Components<B> {
    /// The components of this workspace.
    #[must_use]
    pub fn builtin() -> Self {
        Self {
            split: splits(),
            encoder: encoders(),
            objective: objectives(),
            views: cl_graph::views::views(),
            sequence_views: cl_seq::views::views(),
            contrast: contrasts(),
            negatives: cl_queue::with_queues(negatives()),
            projection: projections(),
            optimizer: optimizers(),
        }
    }

    /// Slot, name and summary of every component, in the order of the slots.
    #[must_use]
    pub fn list(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        fn rows<T: ?Sized>(registry: &Registry<T>) -> Vec<(&'static str, &'static str, &'static str)> {
            registry.list().map(|(name, summary)| (registry.slot(), name, summary)).collect()
        }
        [
            rows(&self.split),
            rows(&self.encoder),
            rows(&self.objective),
            rows(&self.views),
            rows(&self.sequence_views),
            rows(&self.contrast),
            rows(&self.negatives),
            rows(&self.projection),
            rows(&self.optimizer),
        ]
        .concat()
    }
}

/// Where a program takes its components from. A crate that adds some implements this in its `main.rs`:
///
/// ```
/// use cl_bench::{Catalogue, Components, TrainBackend};
///
/// struct Mine;
/// impl Catalogue for Mine {
///     fn components<B: TrainBackend>(&self) -> Components<B> {
///         let mut components = Components::builtin();
///         // components.views = components.views.with::<MyViewConfig>();
///         components
///     }
/// }
/// // fn main() -> std::process::ExitCode { cl_bench::main(&Mine) }
/// ```
pub trait Catalogue {
    /// The components on a backend.
    fn components<B: TrainBackend>(&self) -> Components<B>;
}

/// The components of this workspace and no others.
#[derive(Debug, Clone, Copy)]
pub struct Builtin;

impl Catalogue for Builtin {
    fn components<B: TrainBackend>(&self) -> Components<B> {
        Components::builtin()
    }
}
