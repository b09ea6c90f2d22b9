//! Times of the kernels at the shapes of a step on made-up data: `cargo bench`, or `just bench`.
#![allow(clippy::unwrap_used)]

#[path = "../src/allocator.rs"]
mod allocator;

use std::path::Path;
use std::sync::Arc;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use cl_core::contrast::{Reduction, Similarity, info_nce};
use cl_core::rng::unit;
use cl_core::{Request, Rows, StreamKey};
use cl_data::{DataConfig, SyntheticConfig};
use cl_eval::{Score, rank_embeddings};
use cl_graph::{Adjacency, BipartiteGraph, GraphInput, Noise, Normalization, Plan, propagate, spmm};
use divan::{Bencher, black_box};

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() {
    divan::main();
}

fn table(rows: usize, dim: usize) -> TensorData {
    let key = StreamKey::root(1);
    let number = |at: usize| unit(key.words((at / dim) as u32, (at % dim) as u32)[0]) - 0.5;
    TensorData::new((0..rows * dim).map(number).collect::<Vec<f32>>(), [rows, dim])
}

/// 15,000 users, 20,000 items, 600,000 interactions.
fn adjacency() -> Adjacency {
    let synthetic =
        SyntheticConfig { users: 15_000, items: 20_000, interactions: 600_000, ..SyntheticConfig::default() };
    let config = DataConfig { synthetic: Some(synthetic), ..DataConfig::default() };
    let loaded = cl_data::load(&config, Path::new(""), 1).unwrap();
    let train = loaded.source.parts().next().unwrap();
    let pairs = train.user_items();
    let graph = BipartiteGraph::new(pairs.offsets(), pairs.items(), train.items.len());
    Adjacency::new(Arc::new(graph), Normalization::Symmetric)
}

/// One sparse product over the whole graph.
#[divan::bench(args = [32, 48, 64, 128])]
fn sparse_product(bencher: Bencher, dim: usize) {
    let adjacency = adjacency();
    let x = Tensor::<Flex, 2>::from_data(table(adjacency.nodes(), dim), &Default::default());
    bencher.bench_local(|| black_box(spmm(&adjacency, x.clone())));
}

/// Three layers with noise at 6,000 rows and back, as in a step of XSimGCL.
#[divan::bench]
fn propagation_and_back(bencher: Bencher) {
    let adjacency = adjacency();
    let nodes = adjacency.nodes();
    let rows: Vec<u32> = (0..6000).map(|at| (at * 5) % nodes as u32).collect();
    let input = GraphInput::clean(adjacency).with_noise(Noise { key: StreamKey::root(2), magnitude: 0.2 });
    let plan = Arc::new(Plan::new(3, false, nodes, &[Request { input, rows: Rows::List(rows.into()) }]));
    let x = Tensor::<Autodiff<Flex>, 2>::from_data(table(nodes, 64), &Default::default()).require_grad();
    bencher.bench_local(|| black_box(propagate(&plan, x.clone()).sum().backward()));
}

/// The adjacency of nine tenths of the edges, renormalised.
#[divan::bench]
fn dropped_graph(bencher: Bencher) {
    let adjacency = adjacency();
    let keep: Vec<bool> = (0..adjacency.graph().edges()).map(|edge| edge % 10 != 3).collect();
    bencher.bench_local(|| black_box(adjacency.dropped(&keep, true)));
}

/// InfoNCE of two views, forward and backward.
#[divan::bench(args = [2048, 8192])]
fn contrast_and_back(bencher: Bencher, rows: usize) {
    type B = Autodiff<Flex>;
    let view = || Tensor::<B, 2>::from_data(table(rows, 64), &Default::default()).require_grad();
    let (a, b) = (view(), view());
    bencher.bench_local(|| {
        let loss = info_nce(a.clone(), b.clone(), Similarity::Cosine, 0.2, Reduction::Mean);
        black_box(loss.backward())
    });
}

/// The best 20 of 20,000 items for 2,048 users.
#[divan::bench]
fn ranking(bencher: Bencher) {
    let device = Default::default();
    let (users, items) = (
        Tensor::<Flex, 2>::from_data(table(2048, 64), &device),
        Tensor::<Flex, 2>::from_data(table(20_000, 64), &device),
    );
    let rows: Vec<u32> = (0..2048).collect();
    bencher
        .bench_local(|| black_box(rank_embeddings(users.clone(), items.clone(), &rows, &[], 20, Score::Raw)));
}
