//! Training data of the graph family: batches of interactions with sampled negatives.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use cl_core::rng::permutation;
use cl_core::sampling::{BatchNegatives, NegativeSampler, Sampling};
use cl_core::source::{Batch, Group, Pairing, Past, Sides, Source, Tables};
use cl_core::views::At;
use cl_core::{Request, Rows, StreamKey};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::adjacency::{Adjacency, Weighting};
use crate::bipartite::BipartiteGraph;
use crate::input::{GraphInput, Output};

/// What an epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Every interaction once, shuffled; the last batch may be smaller (SELFRec, SGL, RecBole).
    #[default]
    Edges,
    /// As many draws as there are interactions: a user uniformly with replacement, one of its items uniformly
    /// (LightGCN-PyTorch).
    Users,
}

/// Training data that cannot be sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no interaction.
    Empty,
    /// This user took every item that could be drawn, so that there is no negative to sample.
    NoNegative {
        /// The user's row.
        user: usize,
        /// Number of items.
        items: usize,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the training part holds no interaction"),
            Self::NoNegative { user, items } => write!(
                f,
                "the user of row {user} took all of the {items} items that could be drawn, so that no negative can be \
                 sampled; remove the user or use an objective without negatives"
            ),
        }
    }
}

impl std::error::Error for SourceError {}

/// Batches over a user-item graph; a clone shares the graph. Negatives are items that the user did not take.
#[derive(Clone)]
pub struct GraphSource {
    graph: Arc<BipartiteGraph>,
    clean: GraphInput,
    sampler: Sampler,
    batch_size: usize,
    /// Users who can be drawn, for `users`.
    active: Arc<[u32]>,
    negatives: Option<NegativeSampler>,
    /// The epoch's order of edges, for `edges`.
    order: Option<(StreamKey, Vec<u32>)>,
    /// The user of each edge.
    edge_users: Arc<[u32]>,
}

impl GraphSource {
    /// Batches of `batch_size` interactions of a graph.
    ///
    /// # Errors
    ///
    /// An empty graph; with `negatives`, the law they are drawn from, a user who took every item that could be drawn.
    pub fn new(
        graph: Arc<BipartiteGraph>,
        weighting: impl Into<Weighting>,
        sampler: Sampler,
        batch_size: usize,
        negatives: Option<Sampling>,
    ) -> Result<Self, SourceError> {
        if graph.edges() == 0 {
            return Err(SourceError::Empty);
        }
        let counts: Vec<u32> = (0..graph.items()).map(|item| graph.users_of(item).len() as u32).collect();
        let negatives = negatives
            .map(|sampling| NegativeSampler::new(sampling, &counts, graph.clone()))
            .transpose()
            .map_err(|user| SourceError::NoNegative { user, items: graph.items() })?;
        let active =
            (0..graph.users() as u32).filter(|&user| !graph.items_of(user as usize).is_empty()).collect();
        let edge_users = (0..graph.users())
            .flat_map(|user| std::iter::repeat_n(user as u32, graph.items_of(user).len()))
            .collect();
        let clean = GraphInput::clean(Adjacency::new(graph.clone(), weighting));
        Ok(Self { graph, clean, sampler, batch_size, active, negatives, order: None, edge_users })
    }

    /// The numbers of the batch's interactions within the epoch.
    fn range(&self, step: u64) -> Range<usize> {
        let start = step as usize * self.batch_size;
        start..(start + self.batch_size).min(self.graph.edges())
    }

    /// User and item of each interaction of the batch.
    fn pairs(&mut self, at: At) -> Vec<(u32, u32)> {
        let range = self.range(at.step);
        let key = at.epoch_key().child("positives");
        match self.sampler {
            Sampler::Edges => {
                if self.order.as_ref().is_none_or(|(of, _)| *of != key) {
                    self.order = Some((key, permutation(key, self.graph.edges())));
                }
                let order = self.order.as_ref().map_or(&[][..], |(_, order)| order);
                let pair =
                    |&edge: &u32| (self.edge_users[edge as usize], self.graph.item_of_edge(edge as usize));
                order[range].iter().map(pair).collect()
            }
            Sampler::Users => range
                .map(|draw| {
                    let mut rng = key.rng(draw as u32);
                    let user = self.active[rng.random_range(0..self.active.len())];
                    let items = self.graph.items_of(user as usize);
                    (user, items[rng.random_range(0..items.len())])
                })
                .collect(),
        }
    }
}

impl Source for GraphSource {
    type Input = GraphInput;

    fn everything(&self) -> GraphInput {
        self.clean.clone()
    }

    fn steps(&self) -> usize {
        self.graph.edges().div_ceil(self.batch_size)
    }

    fn batch(&mut self, at: At, negatives: usize) -> Batch {
        let pairs = self.pairs(at);
        let users = self.graph.users() as u32;
        let anchors: Arc<[u32]> = pairs.iter().map(|&(user, _)| user).collect();
        let key = at.step_key().child("negatives");
        Batch {
            positives: Rows::List(pairs.iter().map(|&(_, item)| users + item).collect()),
            negatives: BatchNegatives::new(self.negatives.as_ref(), key, anchors.clone(), negatives, users),
            anchors: Rows::List(anchors),
            instances: [].into(),
            key: at.step_key(),
        }
    }

    fn clean(&self, _batch: &Batch) -> GraphInput {
        self.clean.clone()
    }

    fn layer_zero(&self, clean: &GraphInput) -> GraphInput {
        clean.with_output(Output::Layer(0))
    }

    fn catalogue(&self) -> Range<u32> {
        self.graph.users() as u32..self.graph.nodes() as u32
    }

    fn groups(&self, batch: &Batch, pairing: Pairing) -> Vec<Group> {
        let (users, nodes) = (self.graph.users() as u32, self.graph.nodes() as u32);
        let group = |name, rows: Vec<u32>, everyone| {
            let mut rows = rows;
            if pairing.unique {
                rows.sort_unstable();
                rows.dedup();
            }
            let rows: Arc<[u32]> = rows.into();
            Group { name, ids: rows.clone().into(), origins: rows.clone(), rows, everyone }
        };
        let of_users = || batch.anchors.iter().collect::<Vec<_>>();
        let of_items = || batch.positives.iter().collect::<Vec<_>>();
        match (pairing.sides, pairing.merge) {
            (Sides::User, _) => vec![group("user", of_users(), 0..users)],
            (Sides::Item, _) => vec![group("item", of_items(), users..nodes)],
            (Sides::Both, false) => {
                vec![group("user", of_users(), 0..users), group("item", of_items(), users..nodes)]
            }
            (Sides::Both, true) => vec![group("merged", [of_users(), of_items()].concat(), 0..nodes)],
        }
    }

    fn again(&self, origins: &[u32]) -> Request<GraphInput> {
        Request { input: self.clean.clone(), rows: Rows::List(origins.into()) }
    }

    /// A user and an item; not two users, nor two items.
    fn related(&self, anchor: u32, key: u32) -> Option<bool> {
        let users = self.graph.users() as u32;
        let (user, other) = (anchor.min(key), anchor.max(key));
        (user < users && other >= users).then(|| self.graph.contains(user as usize, other - users))
    }

    fn tables(&self, _past: Past) -> Tables<GraphInput> {
        let (users, nodes) = (self.graph.users() as u32, self.graph.nodes() as u32);
        let all = |range| vec![Request { input: self.clean.clone(), rows: Rows::Range(range) }];
        Tables { users: all(0..users), items: all(users..nodes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adjacency::Normalization;
    use crate::bipartite::tests::small;

    fn source(sampler: Sampler, batch: usize) -> GraphSource {
        GraphSource::new(Arc::new(small()), Normalization::Symmetric, sampler, batch, Some(Sampling::Uniform))
            .unwrap()
    }

    fn at(epoch: u64, step: u64) -> At {
        At { key: StreamKey::root(1), epoch, step }
    }

    #[test]
    fn an_epoch_of_edges_holds_every_interaction_once() {
        let mut source = source(Sampler::Edges, 3);
        assert_eq!(source.steps(), 2);
        let mut pairs: Vec<(u32, u32)> = (0..2)
            .flat_map(|step| {
                let batch = source.batch(at(5, step), 0);
                batch.anchors.iter().zip(batch.positives.iter()).collect::<Vec<_>>()
            })
            .collect();
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 4), (0, 6), (2, 3), (2, 4)]);
    }

    #[test]
    fn negatives_are_items_that_the_user_did_not_take() {
        for sampler in [Sampler::Edges, Sampler::Users] {
            let mut source = source(sampler, 4);
            for epoch in 0..50 {
                let batch = source.batch(at(epoch, 0), 3);
                assert_eq!(batch.negatives.len(), 12);
                for (at, negative) in batch.negatives.rows().iter().enumerate() {
                    let user = batch.anchors.iter().nth(at / 3).unwrap();
                    assert!((3..7).contains(&negative));
                    assert!(!small().contains(user as usize, negative - 3), "user {user} took {negative}");
                }
                for (user, item) in batch.anchors.iter().zip(batch.positives.iter()) {
                    assert!(small().contains(user as usize, item - 3));
                }
            }
        }
    }

    #[test]
    fn a_batch_is_a_function_of_its_position() {
        let (mut a, mut b) = (source(Sampler::Edges, 2), source(Sampler::Edges, 2));
        let first = a.batch(at(3, 1), 1);
        let _ = b.batch(at(0, 0), 1);
        let again = b.batch(at(3, 1), 1);
        assert_eq!((first.anchors, first.negatives.items()), (again.anchors, again.negatives.items()));
    }

    #[test]
    fn groups_follow_the_pairing() {
        let source = source(Sampler::Edges, 4);
        let list = |rows: &[u32]| Rows::List(rows.into());
        let batch = Batch {
            anchors: list(&[2, 0, 2]),
            positives: list(&[4, 6, 4]),
            negatives: BatchNegatives::default(),
            instances: [].into(),
            key: StreamKey::root(1),
        };
        let groups = |sides, merge, unique| -> Vec<(Vec<u32>, Range<u32>)> {
            let pairing = Pairing { sides, merge, unique, symmetric: false };
            source
                .groups(&batch, pairing)
                .into_iter()
                .map(|group| (group.rows.to_vec(), group.everyone))
                .collect()
        };
        assert_eq!(groups(Sides::User, false, false), [(vec![2, 0, 2], 0..3)]);
        assert_eq!(groups(Sides::Both, false, true), [(vec![0, 2], 0..3), (vec![4, 6], 3..7)]);
        assert_eq!(groups(Sides::Both, true, true), [(vec![0, 2, 4, 6], 0..7)]);
    }

    #[test]
    fn data_that_cannot_be_sampled_is_refused() {
        let make = |graph: BipartiteGraph, negatives| {
            GraphSource::new(Arc::new(graph), Normalization::Symmetric, Sampler::Edges, 4, negatives).err()
        };
        assert_eq!(
            make(BipartiteGraph::new(&[0, 0], &[], 2), Some(Sampling::Uniform)),
            Some(SourceError::Empty)
        );
        let greedy = || BipartiteGraph::new(&[0, 2], &[0, 1], 2);
        assert_eq!(
            make(greedy(), Some(Sampling::Uniform)),
            Some(SourceError::NoNegative { user: 0, items: 2 })
        );
        assert_eq!(make(greedy(), None), None);
    }
}
