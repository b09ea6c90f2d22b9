//! Propagation against the golden numbers of `tests/golden`, made by PyTorch in f64 from the papers' formulas.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;
mod graphs;

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::module::Param;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use cl_core::contrast::normalize_rows;
use cl_core::kernels::ContrastBackend;
use cl_core::{Encoder, Request, Rows, StreamKey};
use cl_graph::{
    Adjacency, BipartiteGraph, GraphBackend, GraphEncoder, GraphInput, LightGcnConfig, Normalization, Output,
    PerLayer, Structure, spmm,
};
use common::{Worst, on_each_backend, values};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Matrix {
    shape: [usize; 2],
    data: Vec<f64>,
}

impl Matrix {
    fn tensor<B: Backend>(&self) -> Tensor<B, 2> {
        common::tensor(&self.data, self.shape)
    }
}

#[derive(Deserialize)]
struct Graph {
    users: usize,
    items: usize,
    edges: Vec<(usize, u32)>,
    csr_offsets: Vec<u32>,
    csr_columns: Vec<u32>,
    csr_symmetric: Vec<f64>,
    csr_left: Vec<f64>,
}

#[derive(Deserialize)]
struct Inputs {
    table_4: Matrix,
    table_7: Matrix,
    weight_4: Matrix,
    weight_7: Matrix,
    second_weight_4: Matrix,
    noise_4: Vec<Matrix>,
}

/// One case of any kind; the fields that a kind has not are empty.
#[derive(Deserialize)]
struct Case {
    layers: usize,
    #[serde(default)]
    include_layer_zero: bool,
    dim: usize,
    #[serde(rename = "final")]
    expected: Matrix,
    grad_table: Matrix,
    #[serde(rename = "normalisation")]
    normalization: Option<Normalization>,
    #[serde(default)]
    renormalize: bool,
    #[serde(default)]
    kept: Vec<usize>,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    kept_of_layer: Vec<Vec<usize>>,
    #[serde(default)]
    epsilon: f64,
    #[serde(default)]
    layer: usize,
    cross_layer: Option<Matrix>,
    loss: Option<f64>,
}

#[derive(Deserialize)]
struct File {
    graph: Graph,
    inputs: Inputs,
    light_gcn: Vec<Case>,
    edge_dropout: Vec<Case>,
    layer_dropout: Vec<Case>,
    embedding_noise: Vec<Case>,
    cross_layer: Vec<Case>,
}

impl File {
    fn read() -> Self {
        let path = format!("{}/../../tests/golden/propagation.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn graph(&self) -> Arc<BipartiteGraph> {
        let mut rows = vec![Vec::new(); self.graph.users];
        for &(user, item) in &self.graph.edges {
            rows[user].push(item);
        }
        Arc::new(graphs::from_rows(&rows, self.graph.items))
    }

    fn adjacency(&self, normalization: Normalization) -> Adjacency {
        Adjacency::new(self.graph(), normalization)
    }

    fn table(&self, dim: usize) -> &Matrix {
        if dim == 4 { &self.inputs.table_4 } else { &self.inputs.table_7 }
    }

    fn weight(&self, dim: usize) -> &Matrix {
        if dim == 4 { &self.inputs.weight_4 } else { &self.inputs.weight_7 }
    }
}

fn marks(kept: &[usize], edges: usize) -> Vec<bool> {
    (0..edges).map(|edge| kept.contains(&edge)).collect()
}

/// The case through the encoder: final embeddings, and the gradient of Σ final · weight for the table.
fn through_the_encoder<B: GraphBackend + ContrastBackend>(
    worst: &mut Worst,
    file: &File,
    case: &Case,
    structure: Structure,
) {
    let config = LightGcnConfig {
        dim: case.dim,
        layers: case.layers,
        include_layer_zero: case.include_layer_zero,
        ..LightGcnConfig::default()
    };
    let graph = file.graph();
    let mut encoder = config.init::<Autodiff<B>>(&graph, StreamKey::root(1), &Default::default());
    encoder.table = Param::from_tensor(file.table(case.dim).tensor());
    let input = GraphInput { structure, noise: None, output: Output::Final };
    let rows = Rows::Range(0..graph.nodes() as u32);
    let found = encoder.encode(&[Request { input, rows }]).remove(0);
    let name = format!(
        "{} layers, zero {}, dim {}, {:?}, renormalised {}",
        case.layers, case.include_layer_zero, case.dim, case.normalization, case.renormalize
    );
    worst.check(&values(found.clone()), &case.expected.data, &name);
    let grads = (found * file.weight(case.dim).tensor()).sum().backward();
    let grad = encoder.table.val().grad(&grads).unwrap();
    worst.check(&values(grad), &case.grad_table.data, &format!("{name}, gradient"));
}

/// e⁽⁰⁾ … e⁽ᴸ⁾ in plain Burn operations around [`spmm`], with the given noise before it is made unit length.
fn layers<B: GraphBackend + ContrastBackend>(
    table: Tensor<B, 2>,
    graphs: &[Adjacency],
    noise: &[Matrix],
    epsilon: f64,
) -> Vec<Tensor<B, 2>> {
    let mut layers = vec![table];
    for (layer, graph) in graphs.iter().enumerate() {
        let mut next = spmm(graph, layers[layer].clone());
        if let Some(noise) = noise.get(layer) {
            let sign = next.clone().detach().sign();
            next = next + sign * normalize_rows(noise.tensor()).mul_scalar(epsilon);
        }
        layers.push(next);
    }
    layers
}

fn mean<B: Backend>(layers: &[Tensor<B, 2>], include_layer_zero: bool) -> Tensor<B, 2> {
    let chosen = &layers[usize::from(!include_layer_zero)..];
    let sum = chosen.iter().cloned().reduce(|sum, layer| sum + layer).unwrap();
    sum.div_scalar(chosen.len() as f64)
}

/// The case through [`layers`].
fn through_products<B: GraphBackend + ContrastBackend>(
    worst: &mut Worst,
    file: &File,
    case: &Case,
    graphs: &[Adjacency],
) {
    let table = file.table(case.dim).tensor::<Autodiff<B>>().require_grad();
    let noise = if case.epsilon > 0.0 { &file.inputs.noise_4[..] } else { &[] };
    let found = mean(&layers(table.clone(), graphs, noise, case.epsilon), case.include_layer_zero);
    let name = format!("{} layers, ε {}, by products", case.layers, case.epsilon);
    worst.check(&values(found.clone()), &case.expected.data, &name);
    let grads = (found * file.weight(case.dim).tensor()).sum().backward();
    let grad = table.grad(&grads).unwrap();
    worst.check(&values(grad), &case.grad_table.data, &format!("{name}, gradient"));
}

#[test]
fn weights_of_edges() {
    let file = File::read();
    let mut worst = Worst::new("weights of edges", 1e-7);
    for (normalization, expected) in
        [(Normalization::Symmetric, &file.graph.csr_symmetric), (Normalization::Left, &file.graph.csr_left)]
    {
        let adjacency = file.adjacency(normalization);
        let csr = adjacency.csr();
        assert_eq!(csr.offsets, file.graph.csr_offsets);
        assert_eq!(csr.columns, file.graph.csr_columns);
        let found: Vec<f64> = csr.values.iter().copied().map(f64::from).collect();
        worst.check(&found, expected, "whole graph");
    }
    let whole = file.adjacency(Normalization::Symmetric);
    for case in &file.edge_dropout {
        let dropped = whole.dropped(&marks(&case.kept, file.graph.edges.len()), case.renormalize);
        // The users' rows hold the kept edges in their order.
        let found: Vec<f64> =
            dropped.csr().values[..case.kept.len()].iter().copied().map(f64::from).collect();
        worst.check(&found, &case.values, "dropped graph");
    }
}

fn light_gcn<B: GraphBackend + ContrastBackend>(backend: &str) {
    let file = File::read();
    assert_eq!(file.light_gcn.len(), 9);
    let mut worst = Worst::new(format!("LightGCN on {backend}, values and gradients"), TOLERANCE);
    for case in &file.light_gcn {
        let adjacency = file.adjacency(case.normalization.unwrap());
        through_the_encoder::<B>(&mut worst, &file, case, Structure::Same(adjacency.clone()));
        through_products::<B>(&mut worst, &file, case, &vec![adjacency; case.layers]);
    }
}

fn dropped_graphs<B: GraphBackend + ContrastBackend>(backend: &str) {
    let file = File::read();
    let whole = file.adjacency(Normalization::Symmetric);
    let dropped =
        |kept: &[usize], renormalize| whole.dropped(&marks(kept, file.graph.edges.len()), renormalize);
    let mut worst = Worst::new(format!("dropped graphs on {backend}, values and gradients"), TOLERANCE);
    assert_eq!((file.edge_dropout.len(), file.layer_dropout.len()), (2, 1));
    for case in &file.edge_dropout {
        let adjacency = dropped(&case.kept, case.renormalize);
        through_the_encoder::<B>(&mut worst, &file, case, Structure::Same(adjacency.clone()));
        through_products::<B>(&mut worst, &file, case, &vec![adjacency; case.layers]);
    }
    for case in &file.layer_dropout {
        let graphs: Vec<Adjacency> =
            case.kept_of_layer.iter().map(|kept| dropped(kept, case.renormalize)).collect();
        through_products::<B>(&mut worst, &file, case, &graphs);
        let structure =
            Structure::PerLayer(PerLayer::new(whole.nodes(), move |layer| graphs[layer - 1].clone()));
        through_the_encoder::<B>(&mut worst, &file, case, structure);
    }
}

fn noise<B: GraphBackend + ContrastBackend>(backend: &str) {
    let file = File::read();
    let adjacency = file.adjacency(Normalization::Symmetric);
    let mut worst = Worst::new(format!("noise of the file on {backend}, values and gradients"), TOLERANCE);
    assert_eq!((file.embedding_noise.len(), file.cross_layer.len()), (2, 3));
    for case in &file.embedding_noise {
        through_products::<B>(&mut worst, &file, case, &vec![adjacency.clone(); case.layers]);
    }
    for case in &file.cross_layer {
        let table = file.table(case.dim).tensor::<Autodiff<B>>().require_grad();
        let graphs = vec![adjacency.clone(); case.layers];
        let layers = layers(table.clone(), &graphs, &file.inputs.noise_4, case.epsilon);
        let (last, cross) = (mean(&layers, false), layers[case.layer].clone());
        let name = format!("layer {} against the mean", case.layer);
        worst.check(&values(last.clone()), &case.expected.data, &name);
        worst.check(&values(cross.clone()), &case.cross_layer.as_ref().unwrap().data, &name);
        let loss = (last * file.inputs.weight_4.tensor()).sum()
            + (cross * file.inputs.second_weight_4.tensor()).sum();
        let grads = loss.backward();
        worst.check(&values(loss), &[case.loss.unwrap()], &name);
        worst.check(&values(table.grad(&grads).unwrap()), &case.grad_table.data, &name);
    }
}

on_each_backend!(light_gcn, dropped_graphs, noise);
