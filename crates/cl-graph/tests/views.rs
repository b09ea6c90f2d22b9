//! What holds of the graph views for any graph.
#![allow(clippy::unwrap_used)]

mod graphs;

use std::collections::BTreeSet;
use std::sync::Arc;

use cl_core::StreamKey;
use cl_core::registry::Component;
use cl_core::rng::below;
use cl_core::views::{At, Views};
use cl_graph::views::{
    CrossLayerConfig, EdgeDropoutConfig, EmbeddingNoiseConfig, Every, NodeDropoutConfig, RandomWalkConfig,
    WalkMode,
};
use cl_graph::{Adjacency, BipartiteGraph, GraphInput, Normalization, Output, Structure};
use graphs::edges;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

type Boxed = Box<dyn Views<GraphInput>>;

fn at(seed: u64, epoch: u64, step: u64) -> At {
    At { key: StreamKey::root(seed), epoch, step }
}

fn whole(graph: BipartiteGraph) -> (Adjacency, GraphInput) {
    let adjacency = Adjacency::new(Arc::new(graph), Normalization::Symmetric);
    (adjacency.clone(), GraphInput::clean(adjacency))
}

/// Any bipartite graph of up to 12 × 12, users and items without edges included.
fn any_graph() -> impl Strategy<Value = BipartiteGraph> {
    (1..12_usize, 1..12_usize).prop_flat_map(|(users, items)| {
        let row = proptest::collection::btree_set(0..items as u32, 0..=items);
        proptest::collection::vec(row, users).prop_map(move |rows| graphs::from_rows(&rows, items))
    })
}

fn degrees(edges: &BTreeSet<(usize, usize)>, graph: &BipartiteGraph) -> (Vec<usize>, Vec<usize>) {
    let (mut users, mut items) = (vec![0; graph.users()], vec![0; graph.items()]);
    for &(user, item) in edges {
        users[user] += 1;
        items[item] += 1;
    }
    (users, items)
}

/// Weights are 1 / √(d_u d_i), degrees counted over what is left, or over the whole graph.
fn check_weights(view: &Adjacency, whole: &Adjacency, renormalized: bool) -> Result<(), TestCaseError> {
    let (graph, csr) = (view.graph(), view.csr());
    let (of_users, of_items) = degrees(&edges(if renormalized { view } else { whole }), graph);
    let degree = |node: usize| {
        if node < graph.users() { of_users[node] } else { of_items[node - graph.users()] }
    };
    prop_assert_eq!(csr.rows(), graph.nodes());
    for row in 0..csr.rows() {
        for at in csr.row(row) {
            let expected = 1.0 / ((degree(row) * degree(csr.columns[at] as usize)) as f64).sqrt();
            prop_assert!((f64::from(csr.values[at]) - expected).abs() < 1e-7);
        }
    }
    Ok(())
}

fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("regressions");
    ProptestConfig {
        cases: 128,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn edge_dropout_keeps_a_subset_of_the_exact_size(
        graph in any_graph(), rate in 0.0..0.999_f64, seed: u64, renormalize: bool, exact: bool,
    ) {
        let (whole, clean) = whole(graph);
        let mut views: Boxed =
            EdgeDropoutConfig { rate, renormalize, exact, ..EdgeDropoutConfig::default() }.build();
        let drawn = views.draw(&clean, at(seed, 0, 0));
        prop_assert!(drawn.objective.structure.same(&clean.structure), "the objective sees the clean graph");
        let all = edges(&whole);
        for view in [&drawn.a, &drawn.b] {
            let view = view.structure.layer(1);
            let kept = edges(&view);
            prop_assert!(kept.is_subset(&all));
            if exact {
                prop_assert_eq!(kept.len(), (all.len() as f64 * (1.0 - rate)).floor() as usize);
            }
            if rate == 0.0 {
                prop_assert_eq!(&kept, &all);
            }
            check_weights(&view, &whole, renormalize)?;
        }
    }

    #[test]
    fn node_dropout_removes_nodes_with_all_their_edges(
        graph in any_graph(), rate in 0.0..0.999_f64, seed: u64, renormalize: bool,
    ) {
        let (whole, clean) = whole(graph);
        let config = NodeDropoutConfig { rate, renormalize, ..NodeDropoutConfig::default() };
        let drawn = config.build().draw(&clean, at(seed, 0, 0));
        for view in [&drawn.a, &drawn.b] {
            let view = view.structure.layer(1);
            let kept = edges(&view);
            // Who kept an edge was kept; between two who were kept no edge is lost.
            let (users, items) = degrees(&kept, whole.graph());
            let expected: BTreeSet<_> =
                edges(&whole).into_iter().filter(|&(user, item)| users[user] > 0 && items[item] > 0).collect();
            prop_assert_eq!(&kept, &expected);
            check_weights(&view, &whole, renormalize)?;
        }
    }

    /// Where everybody took everything, who was dropped is seen from the edges.
    #[test]
    fn node_dropout_keeps_exact_numbers(users in 1..20_usize, items in 1..20_usize, rate in 0.0..0.999_f64, seed: u64) {
        let (whole, clean) = whole(graphs::from_rows(&vec![0..items as u32; users], items));
        let config = NodeDropoutConfig { rate, ..NodeDropoutConfig::default() };
        let drawn = config.build().draw(&clean, at(seed, 3, 0));
        for view in [&drawn.a, &drawn.b] {
            let kept = edges(&view.structure.layer(1));
            // The dropped are counted and rounded down, as in SGL's code.
            let left = |count: usize| count - (count as f64 * rate).floor() as usize;
            prop_assert_eq!(kept.len(), left(users) * left(items));
            if !kept.is_empty() {
                let (of_users, of_items) = degrees(&kept, whole.graph());
                let count = |degrees: Vec<usize>| degrees.into_iter().filter(|&degree| degree > 0).count();
                prop_assert_eq!((count(of_users), count(of_items)), (left(users), left(items)));
            }
        }
    }

    /// The view is the union of the walks, here walked once more over neighbours.
    #[test]
    fn walks_leave_the_edges_they_traverse(graph in any_graph(), length in 1..7_usize, seed: u64) {
        let (whole, clean) = whole(graph);
        let graph = whole.graph();
        let config =
            RandomWalkConfig { mode: WalkMode::Walk, length: Some(length), ..RandomWalkConfig::default() };
        let drawn = config.build().draw(&clean, at(seed, 2, 0));
        for (name, view) in [("a", &drawn.a), ("b", &drawn.b)] {
            let kept = edges(&view.structure.layer(1));
            let key = at(seed, 2, 0).epoch_key().child(name);
            let (mut expected, mut starts) = (BTreeSet::new(), 0);
            for start in 0..graph.nodes() as u32 {
                let mut node = start;
                starts += usize::from(graph.neighbours(start).count() > 0);
                for step in 0..length {
                    let neighbours: Vec<u32> = graph.neighbours(node).collect();
                    if neighbours.is_empty() {
                        break;
                    }
                    let word = key.words(start, step as u32 / 4)[step % 4];
                    let next = neighbours[below(word, neighbours.len() as u32) as usize];
                    let (user, item) = (node.min(next) as usize, node.max(next) as usize - graph.users());
                    expected.insert((user, item));
                    node = next;
                }
            }
            prop_assert_eq!(&kept, &expected);
            // Whoever had an edge started a walk over one of them; a walk adds at most an edge a step.
            let had = degrees(&edges(&whole), graph);
            let has = degrees(&kept, graph);
            for (had, has) in had.0.iter().chain(&had.1).zip(has.0.iter().chain(&has.1)) {
                prop_assert_eq!(*had > 0, *has > 0);
            }
            prop_assert!(kept.len() <= starts * length);
            check_weights(&view.structure.layer(1), &whole, true)?;
        }
    }

    #[test]
    fn layer_dropout_keeps_the_exact_size_in_each_layer(graph in any_graph(), rate in 0.0..0.999_f64, seed: u64) {
        let (whole, clean) = whole(graph);
        let config = RandomWalkConfig { rate: Some(rate), ..RandomWalkConfig::default() };
        let drawn = config.build().draw(&clean, at(seed, 0, 0));
        let left = (whole.graph().edges() as f64 * (1.0 - rate)).floor() as usize;
        // Also when a later layer is asked for first.
        for layer in [3, 1, 2] {
            for view in [&drawn.a, &drawn.b] {
                let layer = view.structure.layer(layer);
                prop_assert_eq!(edges(&layer).len(), left);
                check_weights(&layer, &whole, true)?;
            }
        }
    }
}

/// A graph of which two draws are not the same by chance.
fn large() -> BipartiteGraph {
    graphs::random(StreamKey::root(61), 60, 50, 12)
}

#[test]
fn layers_of_layer_dropout_differ_and_stay() {
    let (_, clean) = whole(large());
    let mut views = RandomWalkConfig::default().build();
    let drawn = views.draw(&clean, at(1, 0, 0));
    let layers: Vec<Adjacency> = (1..=4).map(|layer| drawn.a.structure.layer(layer)).collect();
    for (i, one) in layers.iter().enumerate() {
        assert!(one.same(&drawn.a.structure.layer(i + 1)), "asked twice, the graph is the same");
        for other in &layers[i + 1..] {
            assert_ne!(edges(one), edges(other));
        }
        assert_ne!(edges(one), edges(&drawn.b.structure.layer(i + 1)), "the two views differ");
    }
    // Which layer is asked for first does not matter.
    let again = RandomWalkConfig::default().build().draw(&clean, at(1, 0, 0));
    assert_eq!(edges(&again.a.structure.layer(3)), edges(&layers[2]));
}

/// Each structural view, drawn as often as given.
fn structural(every: Every) -> Vec<(&'static str, Boxed)> {
    let walk = RandomWalkConfig { mode: WalkMode::Walk, every, ..RandomWalkConfig::default() };
    vec![
        ("edge_dropout", EdgeDropoutConfig { every, ..EdgeDropoutConfig::default() }.build()),
        ("node_dropout", NodeDropoutConfig { every, ..NodeDropoutConfig::default() }.build()),
        ("layer_dropout", RandomWalkConfig { every, ..RandomWalkConfig::default() }.build()),
        ("walk", walk.build()),
    ]
}

#[test]
fn structural_views_are_functions_of_their_position() {
    let (_, clean) = whole(large());
    let kept = |structure: &Structure| edges(&structure.layer(1));
    for (name, mut views) in structural(Every::Epoch) {
        let first = views.draw(&clean, at(1, 0, 0));
        let later = views.draw(&clean, at(1, 0, 7));
        assert!(first.a.structure.same(&later.a.structure), "{name}: one epoch, one graph");
        assert!(first.b.structure.same(&later.b.structure), "{name}: one epoch, one graph");
        assert!(!first.a.structure.same(&first.b.structure), "{name}: two views");
        assert_ne!(kept(&first.a.structure), kept(&first.b.structure), "{name}: two views");
        let next = views.draw(&clean, at(1, 1, 0));
        assert!(!next.a.structure.same(&first.a.structure), "{name}: another epoch");
        assert_ne!(kept(&next.a.structure), kept(&first.a.structure), "{name}: another epoch");
        let other = views.draw(&clean, at(2, 0, 0));
        assert_ne!(kept(&other.a.structure), kept(&first.a.structure), "{name}: another key");
        // Back at the first position, and as drawn by one who never was elsewhere.
        let back = views.draw(&clean, at(1, 0, 3));
        assert_eq!(kept(&back.b.structure), kept(&first.b.structure), "{name}: back again");
    }
    for ((name, mut views), (_, mut fresh)) in
        structural(Every::Step).into_iter().zip(structural(Every::Step))
    {
        let [first, second] = [0, 1].map(|step| views.draw(&clean, at(1, 4, step)));
        assert_ne!(kept(&first.a.structure), kept(&second.a.structure), "{name}: another step");
        let again = fresh.draw(&clean, at(1, 4, 1));
        assert_eq!(kept(&again.a.structure), kept(&second.a.structure), "{name}: a function of the position");
    }
}

#[test]
fn a_view_belongs_to_the_graph_it_was_drawn_from() {
    let (_, one) = whole(large());
    let (_, two) = whole(graphs::random(StreamKey::root(62), 30, 20, 5));
    for (name, mut views) in structural(Every::Epoch) {
        let _ = views.draw(&one, at(1, 0, 0));
        let drawn = views.draw(&two, at(1, 0, 0));
        assert_eq!(drawn.a.structure.nodes(), 50, "{name}");
    }
}

#[test]
fn noise_views_hand_out_the_passes_of_their_papers() {
    let (_, clean) = whole(large());
    // SimGCL: a clean objective and two noises; another step, other noises.
    let mut views = EmbeddingNoiseConfig { noise: 0.1 }.build();
    let drawn = views.draw(&clean, at(1, 0, 0));
    assert!(drawn.objective.noise.is_none() && drawn.objective.output == Output::Final);
    let (a, b) = (drawn.a.noise.unwrap(), drawn.b.noise.unwrap());
    assert!(a.key != b.key && a.magnitude == 0.1 && b.magnitude == 0.1);
    assert!(drawn.a.structure.same(&clean.structure) && drawn.b.structure.same(&clean.structure));
    assert_ne!(views.draw(&clean, at(1, 0, 1)).a.noise, Some(a));
    assert_eq!(views.draw(&clean, at(1, 0, 0)).a.noise, Some(a));

    // XSimGCL: one noisy pass for all three; the second view is its layer l*.
    let mut views = CrossLayerConfig { layer: 1, noise: 0.2 }.build();
    let drawn = views.draw(&clean, at(1, 0, 0));
    assert!(drawn.objective.noise.is_some(), "the objective sees the noisy pass");
    assert!(drawn.objective.noise == drawn.a.noise && drawn.a.noise == drawn.b.noise, "one pass");
    assert_eq!(
        [drawn.objective.output, drawn.a.output, drawn.b.output],
        [Output::Final, Output::Final, Output::Layer(1)]
    );
    assert_ne!(views.draw(&clean, at(1, 1, 0)).a.noise, drawn.a.noise);
}
