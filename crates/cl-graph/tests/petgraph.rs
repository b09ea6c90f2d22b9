//! petgraph's algorithms on the bipartite graph itself and on its copy as a petgraph graph.
#![allow(clippy::unwrap_used)]

mod graphs;

use std::collections::BTreeMap;

use cl_core::StreamKey;
use cl_graph::BipartiteGraph;
use petgraph::algo::{
    connected_components, dijkstra, has_path_connecting, is_bipartite_undirected, page_rank,
};
use petgraph::graph::{NodeIndex, UnGraph};
use petgraph::visit::{Bfs, Dfs, EdgeRef, IntoEdgeReferences, IntoEdges, IntoNeighbors, NodeIndexable};

/// Two users and two items in a path u0 - i0 - u1 - i1, a pair u2 - i2, and u3 and i3 alone. Items are nodes 4 to 7.
fn small() -> BipartiteGraph {
    graphs::from_rows(&[vec![0], vec![0, 1], vec![2], vec![]], 4)
}

#[test]
fn components_by_hand() {
    // {u0, i0, u1, i1}, {u2, i2}, {u3}, {i3}.
    assert_eq!(connected_components(&small()), 4);
    assert_eq!(connected_components(&small().to_petgraph()), 4);
}

#[test]
fn distances_by_hand() {
    let graph = small();
    let found: BTreeMap<u32, i32> = dijkstra(&graph, 0, None, |_| 1).into_iter().collect();
    // u0 - i0 (node 4) - u1 - i1 (node 5).
    assert_eq!(found, BTreeMap::from([(0, 0), (4, 1), (1, 2), (5, 3)]));
    assert!(has_path_connecting(&graph, 0, 5, None) && !has_path_connecting(&graph, 0, 2, None));
    let mut bfs = Bfs::new(&graph, 5);
    let mut order = Vec::new();
    while let Some(node) = bfs.next(&graph) {
        order.push(node);
    }
    assert_eq!(order, [5, 1, 4, 0]);
}

#[test]
fn ranks_by_hand() {
    // An item i and two users u. petgraph lets a node jump only where it has no edge: r_i ∝ 0.05 r_i + 2 · 0.85 r_u and
    // r_u ∝ 2 · 0.05 r_u + 0.85 r_i / 2. With x = r_i / r_u: 0.425 x² + 0.05 x = 1.7, x = 1.942041, r_u = 1 / (2 + x).
    let star = graphs::from_rows(&[vec![0], vec![0]], 1);
    let ranks = page_rank(&star, 0.85_f64, 100);
    for (found, expected) in ranks.iter().zip([0.253_676, 0.253_676, 0.492_649]) {
        assert!((found - expected).abs() < 1e-6, "{ranks:?}");
    }
}

#[test]
fn algorithms_agree_with_the_copy() {
    for seed in 0..20 {
        let graph = graphs::random(StreamKey::root(71).at(seed), 17, 13, 1 + seed as usize % 4);
        let copy = graph.to_petgraph();
        assert_eq!((copy.node_count(), copy.edge_count()), (graph.nodes(), graph.edges()));
        assert_eq!(connected_components(&graph), connected_components(&copy));
        for start in 0..graph.nodes() as u32 {
            let ours: BTreeMap<u32, u32> = dijkstra(&graph, start, None, |_| 1).into_iter().collect();
            let theirs: BTreeMap<u32, u32> = dijkstra(&copy, NodeIndex::from(start), None, |_| 1)
                .into_iter()
                .map(|(node, distance)| (node.index() as u32, distance))
                .collect();
            assert_eq!(ours, theirs);
            assert!(is_bipartite_undirected(&graph, start));
            let (mut dfs, mut reached) = (Dfs::new(&graph, start), 0);
            while dfs.next(&graph).is_some() {
                reached += 1;
            }
            assert_eq!(reached, ours.len());
            // Seen from a node, its edges start there; each edge is seen from both ends and listed once.
            assert!(IntoEdges::edges(&graph, start).all(|edge| edge.source() == start));
            let mut neighbours: Vec<usize> =
                copy.neighbors(NodeIndex::from(start)).map(NodeIndex::index).collect();
            neighbours.sort_unstable();
            assert_eq!((&graph).neighbors(start).map(|node| node as usize).collect::<Vec<_>>(), neighbours);
        }
        let listed: Vec<_> =
            (&graph).edge_references().map(|edge| (edge.source(), edge.target(), edge.id())).collect();
        assert_eq!(
            listed.iter().map(|edge| edge.2 as usize).collect::<Vec<_>>(),
            (0..graph.edges()).collect::<Vec<_>>()
        );
        for (edge, &(source, target, _)) in copy.edge_references().zip(&listed) {
            assert_eq!((edge.source().index() as u32, edge.target().index() as u32), (source, target));
        }
        assert_eq!(graph.node_bound(), graph.nodes());
        let (ours, theirs) = (page_rank(&graph, 0.85_f64, 20), page_rank(&copy, 0.85_f64, 20));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
        }
    }
}

#[test]
fn there_and_back() {
    for seed in 0..20 {
        let graph = graphs::random(StreamKey::root(72).at(seed), 11, 19, 5);
        assert_eq!(BipartiteGraph::from_petgraph(&graph.to_petgraph(), 11), Ok(graph));
    }
    // Edges in any order and direction, twice over, with any weights.
    let mut graph = UnGraph::<&str, f32>::default();
    let nodes = ["u0", "u1", "i0", "i1"].map(|name| graph.add_node(name));
    for (a, b) in [(3, 0), (0, 2), (2, 0), (1, 3)] {
        graph.add_edge(nodes[a], nodes[b], 0.5);
    }
    let found = BipartiteGraph::from_petgraph(&graph, 2).unwrap();
    assert_eq!((found.items_of(0), found.items_of(1), found.items()), (&[0, 1][..], &[1][..], 2));
    graph.add_edge(nodes[0], nodes[1], 1.0);
    assert_eq!(BipartiteGraph::from_petgraph(&graph, 2), Err((0, 1)));
}

#[test]
#[should_panic(expected = "5 users in a graph of 3 nodes")]
fn more_users_than_nodes_are_refused() {
    let mut graph = UnGraph::<(), ()>::default();
    for _ in 0..3 {
        graph.add_node(());
    }
    let _ = BipartiteGraph::from_petgraph(&graph, 5);
}
