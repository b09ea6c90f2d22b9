//! SGL-ED: two graphs, each without a share of the edges.

use cl_core::encoder::Perturbs;
use cl_core::registry::{Check, Component};
use cl_core::views::{At, Drawn, Views};
use serde::{Deserialize, Serialize};

use super::{Cached, Every, check_rate};
use crate::input::{GraphInput, Structure};
use crate::kept::{Keep, Kept, Share};

/// `type = "edge_dropout"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeDropoutConfig {
    /// ρ in [0, 1), the share of edges dropped; SGL uses 0.1 on yelp2018.
    pub rate: f64,
    /// Once an epoch (SGL's code) or anew for each step.
    pub every: Every,
    /// Exactly ⌊E(1 − ρ)⌋ edges stay (SGL's code), or each with probability 1 − ρ (the paper's text).
    pub exact: bool,
    /// Weights from the degrees that are left (SGL's code), or those of the whole graph.
    pub renormalize: bool,
}

impl Default for EdgeDropoutConfig {
    fn default() -> Self {
        Self { rate: 0.1, every: Every::Epoch, exact: true, renormalize: true }
    }
}

impl Component<dyn Views<GraphInput>> for EdgeDropoutConfig {
    const NAME: &'static str = "edge_dropout";
    const SUMMARY: &'static str = "two graphs without a share of the edges (SGL-ED, Wu et al. 2021)";

    fn validate(&self) -> Check {
        check_rate(self.rate)
    }

    fn build(self) -> Box<dyn Views<GraphInput>> {
        Box::new(EdgeDropout { drawn: Cached::new(self.every), config: self })
    }
}

struct EdgeDropout {
    config: EdgeDropoutConfig,
    drawn: Cached<[Structure; 2]>,
}

impl Views<GraphInput> for EdgeDropout {
    fn perturbs(&self) -> Perturbs {
        Perturbs { structure: true, ..Perturbs::default() }
    }

    fn draw(&mut self, clean: &GraphInput, at: At) -> Drawn<GraphInput> {
        let EdgeDropoutConfig { rate, exact, renormalize, .. } = self.config;
        let keep = if exact { Keep::Floor } else { Keep::Each };
        let [a, b] = self.drawn.get(&clean.structure, at, |key| {
            ["a", "b"].map(|view| {
                let share = Share { key: key.child(view), rate, keep };
                Structure::Same(clean.structure.layer(1).kept(Kept::Edges(share), renormalize))
            })
        });
        Drawn { objective: clean.clone(), a: clean.with_structure(a), b: clean.with_structure(b) }
    }
}
