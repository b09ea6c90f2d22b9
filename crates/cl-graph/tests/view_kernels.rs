//! Views that a device draws against those of the host: the same edges to the bit, weights up to rounding.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;
mod graphs;

use std::sync::Arc;

use burn::tensor::TensorPrimitive;
use burn::tensor::{Tensor, backend::Backend};
use cl_core::StreamKey;
use cl_graph::{Adjacency, BipartiteGraph, GraphBackend, Keep, Kept, Normalization, Share, Weighting};
use common::{Worst, compiles_kernels, on_each_backend, random, tensor, values};

/// One weight; sums of hundreds of them, to which an edge more or less would add a thousandth.
const TOLERANCE: f64 = 1e-6;
const OF_SUMS: f64 = 1e-5;

/// `A x` in f64 from the host's matrix.
fn product(adjacency: &Adjacency, transposed: bool, x: &[f64], dim: usize) -> Vec<f64> {
    let csr = if transposed { adjacency.transposed() } else { adjacency.csr() };
    let mut out = vec![0.0; csr.rows() * dim];
    for row in 0..csr.rows() {
        for p in csr.row(row) {
            for k in 0..dim {
                out[row * dim + k] +=
                    f64::from(csr.values[p]) * f64::from(x[csr.columns[p] as usize * dim + k] as f32);
            }
        }
    }
    out
}

fn on_backend<B: GraphBackend>(adjacency: &Adjacency, transposed: bool, x: &[f64], dim: usize) -> Vec<f64> {
    let x = tensor::<B, 2>(x, [adjacency.nodes(), dim]).into_primitive().tensor();
    wrapped::<B>(B::spmm(adjacency, transposed, x))
}

fn wrapped<B: Backend>(primitive: burn::tensor::ops::FloatTensor<B>) -> Vec<f64> {
    values(Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(primitive)))
}

fn rules(key: StreamKey, edges: usize) -> Vec<Kept> {
    let share = |name: &str, rate, keep| Share { key: key.child(name), rate, keep };
    let mut rules = vec![
        Kept::Walks { key: key.child("walks"), length: 5 },
        Kept::Marked((0..edges).map(|edge| edge % 3 > 0).collect()),
        Kept::Walks { key: key.child("walks"), length: 1 },
    ];
    for rate in [0.0, 0.1, 0.5, 0.999] {
        for keep in [Keep::Floor, Keep::AllButFloor, Keep::Each] {
            rules.push(Kept::Edges(share("edges", rate, keep)));
            rules.push(Kept::Nodes { users: share("users", rate, keep), items: share("items", rate, keep) });
        }
    }
    rules
}

const WEIGHTINGS: [(Normalization, bool); 4] = [
    (Normalization::Symmetric, false),
    (Normalization::Left, false),
    (Normalization::Symmetric, true),
    (Normalization::Left, true),
];

/// All rules, weights, and graphs so small that whole matrices can be held against one another.
fn views_are_those_of_the_host<B: GraphBackend>(backend: &str) {
    let mut worst = Worst::new(format!("views on {backend}"), TOLERANCE);
    for (users, items, degree) in [(1, 1, 1), (37, 53, 6), (60, 9, 9)] {
        let key = StreamKey::root(71).at(users as u64);
        let graph = Arc::new(graphs::random(key, users, items, degree));
        let nodes = graph.nodes();
        let identity: Vec<f64> = (0..nodes * nodes).map(|at| f64::from(at % (nodes + 1) == 0)).collect();
        for (at, (normalization, self_loops)) in WEIGHTINGS.into_iter().enumerate() {
            let whole = Adjacency::new(graph.clone(), Weighting { normalization, self_loops });
            // Where each kernel is compiled and slow, a weighting has a third of the rules.
            let step = if compiles_kernels(backend) { 3 } else { 1 };
            for kept in rules(key, graph.edges()).into_iter().skip(at % step).step_by(step) {
                for renormalize in [true, false] {
                    let view = whole.kept(kept.clone(), renormalize);
                    let name =
                        format!("{kept:?}, {normalization:?}, {self_loops}, {renormalize}, {nodes} nodes");
                    for transposed in [false, true] {
                        let found = on_backend::<B>(&view, transposed, &identity, nodes);
                        // Another handle of the same view, so that nothing is shared.
                        let host = whole.kept(kept.clone(), renormalize);
                        let expected = product(&host, transposed, &identity, nodes);
                        let where_not_zero = |numbers: &[f64]| -> Vec<usize> {
                            (0..numbers.len()).filter(|&at| numbers[at] != 0.0).collect()
                        };
                        assert_eq!(where_not_zero(&found), where_not_zero(&expected), "{name}");
                        worst.check(&found, &expected, &name);
                    }
                }
            }
        }
    }
}

/// Each user took each item.
fn complete(users: usize, items: usize) -> Arc<BipartiteGraph> {
    Arc::new(graphs::from_rows(&vec![0..items as u32; users], items))
}

/// The view and its host against one another, where whole matrices are too large.
fn check<B: GraphBackend>(graph: &Arc<BipartiteGraph>, share: Share, worst: &mut Worst) {
    let whole = Adjacency::new(graph.clone(), Normalization::Symmetric);
    let x = random(StreamKey::root(72), graph.nodes() * 4);
    let view = || whole.kept(Kept::Edges(share), true);
    let found = on_backend::<B>(&view(), false, &x, 4);
    worst.check(&found, &product(&view(), false, &x, 4), &format!("{share:?}"));
}

/// More things than units count at once.
fn many_edges_are_counted_once<B: GraphBackend>(backend: &str) {
    let mut worst = Worst::new(format!("a view of many edges on {backend}"), OF_SUMS);
    let graph = complete(1_100, 509);
    assert!(graph.edges() > 512 * 256 * 4, "{} edges", graph.edges());
    for keep in [Keep::Floor, Keep::Each] {
        check::<B>(&graph, Share { key: StreamKey::root(73), rate: 0.3, keep }, &mut worst);
    }
}

/// Of edges with the largest word that is kept, the first are kept: seeds where one more edge has that word.
fn of_equal_words_the_first_are_kept<B: GraphBackend>(backend: &str) {
    let mut worst = Worst::new(format!("equal words on {backend}"), OF_SUMS);
    let graph = complete(250, 400);
    let edges = graph.edges();
    for seed in SEEDS_WITH_EQUAL_WORDS {
        let share = Share { key: StreamKey::root(seed), rate: 0.3, keep: Keep::Floor };
        let mut words: Vec<u32> =
            (0..edges as u32).map(|edge| share.key.words(edge / 4, 0)[edge as usize % 4]).collect();
        words.sort_unstable();
        let kept = (edges as f64 * 0.7).floor() as usize;
        assert_eq!(words[kept - 1], words[kept], "seed {seed} has no equal words at the threshold");
        check::<B>(&graph, share, &mut worst);
    }
}

/// Of 100,000 edges with 70,000 kept; one seed in 200,000 is such.
const SEEDS_WITH_EQUAL_WORDS: [u64; 2] = [375_455, 450_330];

on_each_backend!(views_are_those_of_the_host, many_edges_are_counted_once, of_equal_words_the_first_are_kept,);
