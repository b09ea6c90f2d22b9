//! petgraph's visit traits on the bipartite graph, so that its algorithms run on it without a copy; and conversions.

use std::ops::Range;

use fixedbitset::FixedBitSet;
use petgraph::Undirected;
use petgraph::graph::UnGraph;
use petgraph::visit::{
    Data, EdgeCount, EdgeRef, GraphBase, GraphProp, IntoEdgeReferences, IntoEdges, IntoNeighbors,
    IntoNodeIdentifiers, IntoNodeReferences, NodeCompactIndexable, NodeCount, NodeIndexable, Visitable,
};

use crate::bipartite::BipartiteGraph;

/// A node: users first, then items.
pub type Node = u32;

/// An edge between a user and an item, seen from `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    source: Node,
    target: Node,
    number: u32,
}

impl EdgeRef for Edge {
    type NodeId = Node;
    type EdgeId = u32;
    type Weight = ();

    fn source(&self) -> Node {
        self.source
    }

    fn target(&self) -> Node {
        self.target
    }

    fn weight(&self) -> &() {
        &()
    }

    fn id(&self) -> u32 {
        self.number
    }
}

impl BipartiteGraph {
    /// The neighbours of a node, ascending: items' node numbers for a user, users for an item.
    pub fn neighbours(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        self.edges_at(node).map(|edge| edge.target)
    }

    /// The edges at a node, seen from it.
    pub fn edges_at(&self, source: Node) -> impl Iterator<Item = Edge> + '_ {
        let users = self.users();
        let node = source as usize;
        // Of these two one is empty: a node is a user or an item.
        let user = (node < users).then_some(node);
        let item = (node >= users).then(|| node - users);
        let to_items = user.into_iter().flat_map(move |user| {
            self.edges_of(user).zip(self.items_of(user)).map(move |(edge, &item)| Edge {
                source,
                target: users as u32 + item,
                number: edge as u32,
            })
        });
        let to_users = item.into_iter().flat_map(move |item| {
            self.item_edges_of(item).iter().zip(self.users_of(item)).map(move |(&number, &user)| Edge {
                source,
                target: user,
                number,
            })
        });
        to_items.chain(to_users)
    }

    /// A petgraph graph with the same nodes and edges in the same order.
    #[must_use]
    pub fn to_petgraph(&self) -> UnGraph<(), ()> {
        let mut graph = UnGraph::with_capacity(self.nodes(), self.edges());
        for _ in 0..self.nodes() {
            graph.add_node(());
        }
        for edge in self.edge_references() {
            graph.add_edge(edge.source.into(), edge.target.into(), ());
        }
        graph
    }

    /// The bipartite graph of a petgraph graph whose first `users` nodes are the users. Parallel edges become one.
    ///
    /// # Errors
    ///
    /// The first edge that joins two users or two items.
    ///
    /// # Panics
    ///
    /// If there are fewer nodes than users.
    pub fn from_petgraph<N, E>(graph: &UnGraph<N, E>, users: usize) -> Result<Self, (usize, usize)> {
        let nodes = graph.node_count();
        assert!(users <= nodes, "{users} users in a graph of {nodes} nodes");
        let mut rows = vec![Vec::new(); users];
        for edge in graph.edge_references() {
            let (a, b) = (edge.source().index(), edge.target().index());
            match (a < users, b < users) {
                (true, false) => rows[a].push((b - users) as u32),
                (false, true) => rows[b].push((a - users) as u32),
                _ => return Err((a, b)),
            }
        }
        let mut offsets = vec![0];
        let mut items = Vec::with_capacity(graph.edge_count());
        for mut row in rows {
            row.sort_unstable();
            row.dedup();
            items.extend(row);
            offsets.push(items.len());
        }
        Ok(Self::new(&offsets, &items, nodes - users))
    }
}

impl GraphBase for BipartiteGraph {
    type NodeId = Node;
    type EdgeId = u32;
}

impl Data for BipartiteGraph {
    type NodeWeight = ();
    type EdgeWeight = ();
}

impl GraphProp for BipartiteGraph {
    type EdgeType = Undirected;
}

impl NodeCount for BipartiteGraph {
    fn node_count(&self) -> usize {
        self.nodes()
    }
}

impl EdgeCount for BipartiteGraph {
    fn edge_count(&self) -> usize {
        self.edges()
    }
}

impl NodeIndexable for BipartiteGraph {
    fn node_bound(&self) -> usize {
        self.nodes()
    }

    fn to_index(&self, node: Node) -> usize {
        node as usize
    }

    fn from_index(&self, index: usize) -> Node {
        index as u32
    }
}

impl NodeCompactIndexable for BipartiteGraph {}

impl Visitable for BipartiteGraph {
    type Map = FixedBitSet;

    fn visit_map(&self) -> FixedBitSet {
        FixedBitSet::with_capacity(self.nodes())
    }

    fn reset_map(&self, map: &mut FixedBitSet) {
        map.clear();
        map.grow(self.nodes());
    }
}

type Boxed<'a, T> = Box<dyn Iterator<Item = T> + 'a>;

impl<'a> IntoNeighbors for &'a BipartiteGraph {
    type Neighbors = Boxed<'a, Node>;

    fn neighbors(self, node: Node) -> Self::Neighbors {
        Box::new(self.neighbours(node))
    }
}

impl<'a> IntoEdgeReferences for &'a BipartiteGraph {
    type EdgeRef = Edge;
    type EdgeReferences = Boxed<'a, Edge>;

    fn edge_references(self) -> Self::EdgeReferences {
        Box::new((0..self.users() as u32).flat_map(move |user| self.edges_at(user)))
    }
}

impl<'a> IntoEdges for &'a BipartiteGraph {
    type Edges = Boxed<'a, Edge>;

    fn edges(self, node: Node) -> Self::Edges {
        Box::new(self.edges_at(node))
    }
}

impl IntoNodeIdentifiers for &BipartiteGraph {
    type NodeIdentifiers = Range<u32>;

    fn node_identifiers(self) -> Range<u32> {
        0..self.nodes() as u32
    }
}

impl<'a> IntoNodeReferences for &'a BipartiteGraph {
    type NodeRef = (Node, &'a ());
    type NodeReferences = std::iter::Map<Range<u32>, fn(u32) -> (Node, &'a ())>;

    fn node_references(self) -> Self::NodeReferences {
        self.node_identifiers().map(|node| (node, &()))
    }
}
