//! Two views of one graph.

mod cross_layer;
mod edge_dropout;
mod embedding_noise;
mod node_dropout;
mod random_walk;

use cl_core::StreamKey;
use cl_core::registry::{Check, Registry, ensure};
use cl_core::views::{At, Views};
use serde::{Deserialize, Serialize};

pub use cross_layer::CrossLayerConfig;
pub use edge_dropout::EdgeDropoutConfig;
pub use embedding_noise::EmbeddingNoiseConfig;
pub use node_dropout::NodeDropoutConfig;
pub use random_walk::{RandomWalkConfig, WalkMode};

use crate::input::{GraphInput, Structure};

/// The graph views of this crate.
#[must_use]
pub fn views() -> Registry<dyn Views<GraphInput>> {
    Registry::new("views")
        .with::<EdgeDropoutConfig>()
        .with::<NodeDropoutConfig>()
        .with::<RandomWalkConfig>()
        .with::<EmbeddingNoiseConfig>()
        .with::<CrossLayerConfig>()
}

/// How often views are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Once an epoch, as the official codes do.
    #[default]
    Epoch,
    /// Anew for each step.
    Step,
}

impl Every {
    /// The stream of the draw that a position belongs to.
    fn key(self, at: At) -> StreamKey {
        match self {
            Self::Epoch => at.epoch_key(),
            Self::Step => at.step_key(),
        }
    }
}

/// What was drawn last, for draws that serve a whole epoch.
struct Cached<T> {
    every: Every,
    last: Option<(StreamKey, Structure, T)>,
}

impl<T: Clone> Cached<T> {
    fn new(every: Every) -> Self {
        Self { every, last: None }
    }

    /// The draw that belongs to this clean structure and this position.
    fn get(&mut self, clean: &Structure, at: At, draw: impl FnOnce(StreamKey) -> T) -> T {
        let key = self.every.key(at);
        match &self.last {
            Some((of, from, drawn)) if *of == key && from.same(clean) => drawn.clone(),
            _ => {
                let drawn = draw(key);
                self.last = Some((key, clean.clone(), drawn.clone()));
                drawn
            }
        }
    }
}

/// The length of noise is a finite number from 0 on.
fn check_noise(noise: f64) -> Check {
    ensure(noise >= 0.0 && noise.is_finite(), "noise", || format!("must be 0 or more, got {noise}"))
}

/// A rate of dropping is in [0, 1).
fn check_rate(rate: f64) -> Check {
    ensure((0.0..1.0).contains(&rate), "rate", || format!("must be in [0, 1), got {rate}"))
}
