//! SGL-ND: two graphs, each without a share of the nodes and all their edges.

use cl_core::StreamKey;
use cl_core::encoder::Perturbs;
use cl_core::registry::{Check, Component};
use cl_core::views::{At, Drawn, Views};
use serde::{Deserialize, Serialize};

use super::{Cached, Every, check_rate};
use crate::adjacency::Adjacency;
use crate::input::{GraphInput, Structure};
use crate::kept::{Keep, Kept, Share};

/// `type = "node_dropout"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeDropoutConfig {
    /// ρ in [0, 1), the share of users and of items dropped.
    pub rate: f64,
    /// Once an epoch (SGL's code) or anew for each step.
    pub every: Every,
    /// Exactly ⌊ρU⌋ users and ⌊ρI⌋ items go, or each with probability ρ.
    pub exact: bool,
    /// Weights from the degrees that are left (SGL's code), or those of the whole graph.
    pub renormalize: bool,
}

impl Default for NodeDropoutConfig {
    fn default() -> Self {
        Self { rate: 0.1, every: Every::Epoch, exact: true, renormalize: true }
    }
}

impl Component<dyn Views<GraphInput>> for NodeDropoutConfig {
    const NAME: &'static str = "node_dropout";
    const SUMMARY: &'static str = "two graphs without a share of users and items and their edges (SGL-ND)";

    fn validate(&self) -> Check {
        check_rate(self.rate)
    }

    fn build(self) -> Box<dyn Views<GraphInput>> {
        Box::new(NodeDropout { drawn: Cached::new(self.every), config: self })
    }
}

struct NodeDropout {
    config: NodeDropoutConfig,
    drawn: Cached<[Structure; 2]>,
}

impl NodeDropout {
    fn graph(config: &NodeDropoutConfig, whole: &Adjacency, key: StreamKey) -> Structure {
        let keep = if config.exact { Keep::AllButFloor } else { Keep::Each };
        let share = |of| Share { key: key.child(of), rate: config.rate, keep };
        let nodes = Kept::Nodes { users: share("users"), items: share("items") };
        Structure::Same(whole.kept(nodes, config.renormalize))
    }
}

impl Views<GraphInput> for NodeDropout {
    fn perturbs(&self) -> Perturbs {
        Perturbs { structure: true, ..Perturbs::default() }
    }

    fn draw(&mut self, clean: &GraphInput, at: At) -> Drawn<GraphInput> {
        let config = &self.config;
        let [a, b] = self.drawn.get(&clean.structure, at, |key| {
            ["a", "b"].map(|view| Self::graph(config, &clean.structure.layer(1), key.child(view)))
        });
        Drawn { objective: clean.clone(), a: clean.with_structure(a), b: clean.with_structure(b) }
    }
}
