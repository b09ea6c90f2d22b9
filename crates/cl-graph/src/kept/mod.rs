//! Which edges of a graph a view keeps, as a rule: each backend carries it out where it computes.

mod share;
mod walk;

use std::borrow::Cow;
use std::sync::Arc;

use cl_core::StreamKey;

pub use share::{Keep, Share};

use crate::bipartite::BipartiteGraph;

/// The edges that a view keeps.
#[derive(Debug, Clone)]
pub enum Kept {
    /// Those that are marked, with a mark for each edge in the graph's order.
    Marked(Arc<[bool]>),
    /// A random share of them.
    Edges(Share),
    /// Those between a random share of the users and one of the items.
    Nodes {
        /// The users that are kept.
        users: Share,
        /// The items that are kept.
        items: Share,
    },
    /// Those that a walk of `length` steps from each node passes. Step s of the walk from node n takes word `s mod 4` of
    /// block `s / 4` of row n of the stream.
    Walks {
        /// The stream of words.
        key: StreamKey,
        /// Steps of each walk.
        length: usize,
    },
}

impl Kept {
    /// A mark for each edge. O(edges), and O(nodes · length) for walks.
    #[must_use]
    pub fn marks(&self, graph: &BipartiteGraph) -> Cow<'_, [bool]> {
        match self {
            Self::Marked(marks) => Cow::Borrowed(&**marks),
            Self::Edges(share) => Cow::Owned(share.marks(graph.edges())),
            Self::Nodes { users, items } => {
                let (users, items) = (users.marks(graph.users()), items.marks(graph.items()));
                let edges_of = |user: usize| graph.items_of(user).iter().map(move |&item| (user, item));
                let edges = (0..graph.users()).flat_map(edges_of);
                edges.map(|(user, item)| users[user] && items[item as usize]).collect()
            }
            Self::Walks { key, length } => Cow::Owned(walk::walked(graph, *key, *length)),
        }
    }
}
