//! "Random walk" views, in the two senses that go by that name.

use cl_core::StreamKey;
use cl_core::encoder::Perturbs;
use cl_core::registry::{Check, Component, ensure};
use cl_core::views::{At, Drawn, Views};
use serde::{Deserialize, Serialize};

use super::{Cached, Every, check_rate};
use crate::adjacency::Adjacency;
use crate::input::{GraphInput, PerLayer, Structure};
use crate::kept::{Keep, Kept, Share};

/// What is meant by a random walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalkMode {
    /// A dropped graph of its own for each layer: what SGL's code computes as SGL-RW.
    #[default]
    LayerDropout,
    /// One seeded walk of `length` steps from each node; the view is the union of the traversed edges.
    Walk,
}

/// `type = "random_walk"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomWalkConfig {
    /// What is meant.
    pub mode: WalkMode,
    /// ρ in [0, 1), the share of edges dropped in each layer (`layer_dropout`; default 0.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Steps of each walk, 1 to 1000 (`walk`; default 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Once an epoch (SGL's code) or anew for each step.
    pub every: Every,
    /// Exactly ⌊E(1 − ρ)⌋ edges stay in each layer, or each with probability 1 − ρ (`layer_dropout`; default true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<bool>,
    /// Weights from the degrees that are left, or those of the whole graph.
    pub renormalize: bool,
}

impl Default for RandomWalkConfig {
    fn default() -> Self {
        Self {
            mode: WalkMode::LayerDropout,
            rate: None,
            length: None,
            every: Every::Epoch,
            exact: None,
            renormalize: true,
        }
    }
}

impl Component<dyn Views<GraphInput>> for RandomWalkConfig {
    const NAME: &'static str = "random_walk";
    const SUMMARY: &'static str =
        "a dropped graph for each layer (SGL-RW's code), or the edges of seeded walks";

    fn complete(&mut self) {
        match self.mode {
            WalkMode::LayerDropout => {
                self.rate.get_or_insert(0.1);
                self.exact.get_or_insert(true);
            }
            WalkMode::Walk => {
                self.length.get_or_insert(4);
            }
        }
    }

    fn validate(&self) -> Check {
        let foreign = |key: &str, mode: &str| {
            format!("belongs to mode = \"{mode}\", and without it {key} would be ignored")
        };
        match self.mode {
            WalkMode::LayerDropout => {
                check_rate(self.rate.unwrap_or_default())?;
                ensure(self.length.is_none(), "length", || foreign("length", "walk"))
            }
            WalkMode::Walk => {
                ensure(self.length.is_none_or(|length| (1..=1000).contains(&length)), "length", || {
                    format!("must be from 1 to 1000, got {}", self.length.unwrap_or_default())
                })?;
                ensure(self.rate.is_none(), "rate", || foreign("rate", "layer_dropout"))?;
                ensure(self.exact.is_none(), "exact", || foreign("exact", "layer_dropout"))
            }
        }
    }

    fn build(mut self) -> Box<dyn Views<GraphInput>> {
        Component::complete(&mut self);
        Box::new(RandomWalk { drawn: Cached::new(self.every), config: self })
    }
}

struct RandomWalk {
    config: RandomWalkConfig,
    drawn: Cached<[Structure; 2]>,
}

impl RandomWalk {
    fn view(config: &RandomWalkConfig, whole: Adjacency, key: StreamKey) -> Structure {
        let renormalize = config.renormalize;
        match (config.mode, config.rate, config.exact, config.length) {
            (WalkMode::LayerDropout, Some(rate), Some(exact), _) => {
                let keep = if exact { Keep::Floor } else { Keep::Each };
                Structure::PerLayer(PerLayer::new(whole.nodes(), move |layer| {
                    let share = Share { key: key.at(layer as u64), rate, keep };
                    whole.kept(Kept::Edges(share), renormalize)
                }))
            }
            (_, _, _, length) => {
                let walks = Kept::Walks { key, length: length.unwrap_or_default() };
                Structure::Same(whole.kept(walks, renormalize))
            }
        }
    }
}

impl Views<GraphInput> for RandomWalk {
    fn perturbs(&self) -> Perturbs {
        Perturbs { structure: true, ..Perturbs::default() }
    }

    fn draw(&mut self, clean: &GraphInput, at: At) -> Drawn<GraphInput> {
        let config = &self.config;
        let [a, b] = self.drawn.get(&clean.structure, at, |key| {
            ["a", "b"].map(|view| Self::view(config, clean.structure.layer(1), key.child(view)))
        });
        Drawn { objective: clean.clone(), a: clean.with_structure(a), b: clean.with_structure(b) }
    }
}
