//! Two graphs in which popular items lost more of their edges than others.

use cl_core::StreamKey;
use cl_core::encoder::Perturbs;
use cl_core::registry::{Check, Component, ensure};
use cl_core::rng::unit;
use cl_core::views::{At, Drawn, Views};
use cl_graph::{Adjacency, GraphInput, Structure};
use serde::{Deserialize, Serialize};

/// `type = "popularity_dropout"`.
///
/// An edge of item i is dropped with probability `rate · (d_i / d_max)^power`, d being the item's degree: the most popular
/// item loses the share `rate` of its edges, rare items almost none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PopularityDropoutConfig {
    /// ρ in [0, 1), the share of edges that the most popular item loses.
    pub(crate) rate: f64,
    /// How fast the share falls with the degree; 0 drops from all items alike.
    pub(crate) power: f64,
}

impl Default for PopularityDropoutConfig {
    fn default() -> Self {
        Self { rate: 0.5, power: 0.5 }
    }
}

impl Component<dyn Views<GraphInput>> for PopularityDropoutConfig {
    const NAME: &'static str = "popularity_dropout";
    const SUMMARY: &'static str = "two graphs in which popular items lost more edges";

    fn validate(&self) -> Check {
        ensure((0.0..1.0).contains(&self.rate), "rate", || format!("must be in [0, 1), got {}", self.rate))?;
        ensure(self.power >= 0.0 && self.power.is_finite(), "power", || {
            format!("must be 0 or more, got {}", self.power)
        })
    }

    fn build(self) -> Box<dyn Views<GraphInput>> {
        Box::new(self)
    }
}

impl PopularityDropoutConfig {
    fn graph(&self, whole: &Adjacency, key: StreamKey) -> Structure {
        let graph = whole.graph();
        let degrees: Vec<usize> = (0..graph.items()).map(|item| graph.users_of(item).len()).collect();
        let most = degrees.iter().max().map_or(1, |&most| most.max(1)) as f64;
        let keep: Vec<bool> = (0..graph.edges())
            .map(|edge| {
                let degree = degrees[graph.item_of_edge(edge) as usize] as f64;
                let dropped = self.rate * (degree / most).powf(self.power);
                f64::from(unit(key.words(edge as u32, 0)[0])) >= dropped
            })
            .collect();
        Structure::Same(whole.dropped(&keep, true))
    }
}

impl Views<GraphInput> for PopularityDropoutConfig {
    fn perturbs(&self) -> Perturbs {
        Perturbs { structure: true, ..Perturbs::default() }
    }

    fn draw(&mut self, clean: &GraphInput, at: At) -> Drawn<GraphInput> {
        let whole = clean.structure.layer(1);
        let [a, b] = ["a", "b"].map(|view| self.graph(&whole, at.step_key().child(view)));
        Drawn { objective: clean.clone(), a: clean.with_structure(a), b: clean.with_structure(b) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cl_graph::{BipartiteGraph, Normalization};

    use super::*;

    #[test]
    fn popular_items_lose_more() {
        // 1000 users have item 0; each of items 1 to 1000 has one user.
        let items: Vec<u32> = (0..1000).flat_map(|user| [0, user + 1]).collect();
        let offsets: Vec<usize> = (0..=1000).map(|user| 2 * user).collect();
        let graph = Arc::new(BipartiteGraph::new(&offsets, &items, 1001));
        let whole = Adjacency::new(graph, Normalization::Symmetric);
        let config = PopularityDropoutConfig { rate: 0.5, power: 1.0 };
        let Structure::Same(dropped) = config.graph(&whole, StreamKey::root(1)) else { unreachable!() };
        let left = |item: usize| dropped.csr().row(1000 + item).len();
        // Item 0: 500 of 1000 expected, deviation 16. The others: 1000 · (1 − 0.5 / 1000) = 999.5.
        assert!((420..580).contains(&left(0)), "{}", left(0));
        assert!((1..=1000).map(left).sum::<usize>() >= 995);
    }
}
