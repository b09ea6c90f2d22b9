//! Noisy propagation as plain loops in f64, with a gradient derived by hand and held against finite differences; and the
//! noise itself, from its random words.
#![allow(clippy::unwrap_used)]
#![allow(clippy::needless_range_loop)] // plain loops are what a reference is

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;
mod graphs;

use std::sync::Arc;

use burn::backend::Autodiff;
use cl_core::rng::unit;
use cl_core::{Request, Rows, StreamKey};
use cl_graph::kernels::noise;
use cl_graph::{
    Adjacency, BipartiteGraph, GraphBackend, GraphInput, Noise, Normalization, Output, Plan, propagate,
};
use common::{Worst, error, on_each_backend, random, tensor, values};

const STEP: f64 = 1e-5;

/// A dense matrix by rows.
type Rows64 = Vec<Vec<f64>>;

/// What is computed: Σ final · w + Σ layer k · v of one pass.
struct Problem {
    weights: Rows64,
    layers: usize,
    include_layer_zero: bool,
    cross: usize,
    /// The noise of each layer from 1 on, before signs; empty without noise.
    noise: Vec<Rows64>,
    of_final: Rows64,
    of_cross: Rows64,
}

/// `D^-1/2 A D^-1/2` or `D^-1 A`, dense, from the edges.
fn adjacency(graph: &BipartiteGraph, normalization: Normalization) -> Rows64 {
    let (users, nodes) = (graph.users(), graph.nodes());
    let mut matrix = vec![vec![0.0; nodes]; nodes];
    for user in 0..users {
        for &item in graph.items_of(user) {
            let node = users + item as usize;
            let (of_user, of_item) =
                (graph.items_of(user).len() as f64, graph.users_of(item as usize).len() as f64);
            (matrix[user][node], matrix[node][user]) = match normalization {
                Normalization::Symmetric => {
                    (1.0 / (of_user * of_item).sqrt(), 1.0 / (of_user * of_item).sqrt())
                }
                Normalization::Left => (1.0 / of_user, 1.0 / of_item),
            };
        }
    }
    matrix
}

fn product(matrix: &Rows64, x: &Rows64, transposed: bool) -> Rows64 {
    let dim = x[0].len();
    let mut out = vec![vec![0.0; dim]; x.len()];
    for i in 0..x.len() {
        for j in 0..x.len() {
            let value = if transposed { matrix[j][i] } else { matrix[i][j] };
            for k in 0..dim {
                out[i][k] += value * x[j][k];
            }
        }
    }
    out
}

impl Problem {
    fn mean(&self) -> std::ops::RangeInclusive<usize> {
        usize::from(!self.include_layer_zero)..=self.layers
    }

    /// Layers 0 to L. No entry that gets noise is so near 0 that f32 or a step of `STEP` could turn its sign.
    fn layers(&self, table: &Rows64) -> Vec<Rows64> {
        let mut layers = vec![table.clone()];
        for layer in 1..=self.layers {
            let mut next = product(&self.weights, &layers[layer - 1], false);
            if let Some(noise) = self.noise.get(layer - 1) {
                for (x, noise) in next.iter_mut().flatten().zip(noise.iter().flatten()) {
                    assert!(*x == 0.0 || x.abs() > 3.0 * STEP, "choose another seed: {x}");
                    *x += if *x == 0.0 { 0.0 } else { x.signum() * noise };
                }
            }
            layers.push(next);
        }
        layers
    }

    fn outputs(&self, table: &Rows64) -> (Rows64, Rows64) {
        let layers = self.layers(table);
        let share = 1.0 / self.mean().count() as f64;
        let mut last = vec![vec![0.0; table[0].len()]; table.len()];
        for layer in self.mean() {
            for (sum, x) in last.iter_mut().flatten().zip(layers[layer].iter().flatten()) {
                *sum += share * x;
            }
        }
        (last, layers[self.cross].clone())
    }

    fn loss(&self, table: &Rows64) -> f64 {
        let (last, cross) = self.outputs(table);
        let dot = |a: &Rows64, b: &Rows64| -> f64 {
            a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| a * b).sum()
        };
        dot(&last, &self.of_final) + dot(&cross, &self.of_cross)
    }

    /// The gradient of the loss: from the last layer down, by transposed products; noise is a constant.
    fn gradient(&self, nodes: usize, dim: usize) -> Rows64 {
        let share = 1.0 / self.mean().count() as f64;
        let mut grad = vec![vec![0.0; dim]; nodes];
        for layer in (0..=self.layers).rev() {
            for row in 0..nodes {
                for k in 0..dim {
                    if self.mean().contains(&layer) {
                        grad[row][k] += share * self.of_final[row][k];
                    }
                    if layer == self.cross {
                        grad[row][k] += self.of_cross[row][k];
                    }
                }
            }
            if layer > 0 {
                grad = product(&self.weights, &grad, true);
            }
        }
        grad
    }
}

fn rows(values: &[f64], dim: usize) -> Rows64 {
    values.chunks(dim).map(<[f64]>::to_vec).collect()
}

fn noisy_propagation<B: GraphBackend>(backend: &str) {
    let mut differences = Worst::new("derived gradient against finite differences", 1e-6);
    let mut forward = Worst::new(format!("noisy propagation on {backend} against loops"), 1e-5);
    let mut backward = Worst::new(format!("its gradient on {backend} against loops"), 1e-5);
    let graph = Arc::new(graphs::random(StreamKey::root(51), 9, 8, 4));
    let nodes = graph.nodes();
    for (dim, layers, include_layer_zero, cross) in
        [(5, 1, true, 0), (5, 2, false, 1), (8, 3, false, 1), (8, 3, true, 2), (3, 4, false, 4)]
    {
        for normalization in [Normalization::Symmetric, Normalization::Left] {
            for magnitude in [0.0_f32, 0.2] {
                let key = StreamKey::root(55).at(dim as u64).at(layers as u64);
                let drawn = Noise { key: key.child("noise"), magnitude };
                let of_layer = |layer: usize| -> Rows64 {
                    let table = noise::table(nodes, dim, drawn.key.at(layer as u64), magnitude);
                    rows(&table.into_iter().map(f64::from).collect::<Vec<_>>(), dim)
                };
                let make = |name| rows(&random(key.child(name), nodes * dim), dim);
                let problem = Problem {
                    weights: adjacency(&graph, normalization),
                    layers,
                    include_layer_zero,
                    cross,
                    noise: if magnitude > 0.0 { (1..=layers).map(of_layer).collect() } else { Vec::new() },
                    of_final: make("w"),
                    of_cross: make("v"),
                };
                let table = make("table");
                let name =
                    format!("dim {dim}, {layers} layers, layer {cross}, {normalization:?}, ε {magnitude}");

                let gradient = problem.gradient(nodes, dim).concat();
                let mut moved = table.clone();
                let mut numeric = Vec::new();
                for row in 0..nodes {
                    for k in 0..dim {
                        let mut at = |x| {
                            moved[row][k] = x;
                            problem.loss(&moved)
                        };
                        numeric.push((at(table[row][k] + STEP) - at(table[row][k] - STEP)) / (2.0 * STEP));
                        moved[row][k] = table[row][k];
                    }
                }
                differences.check(&gradient, &numeric, &name);

                let input = GraphInput::clean(Adjacency::new(graph.clone(), normalization));
                let input = if magnitude > 0.0 { input.with_noise(drawn) } else { input };
                let all = Rows::Range(0..nodes as u32);
                let requests = [
                    Request { input: input.clone(), rows: all.clone() },
                    Request { input: input.with_output(Output::Layer(cross)), rows: all },
                ];
                let plan = Arc::new(Plan::new(layers, include_layer_zero, nodes, &requests));
                assert_eq!(plan.passes.len(), 1);
                let leaf = tensor::<Autodiff<B>, 2>(&table.concat(), [nodes, dim]).require_grad();
                let out = propagate(&plan, leaf.clone());
                let (last, cross) = problem.outputs(&table);
                forward.check(&values(out.clone()), &[last.concat(), cross.concat()].concat(), &name);
                let upstream = [problem.of_final.concat(), problem.of_cross.concat()].concat();
                let grads = (out * tensor(&upstream, [2 * nodes, dim])).sum().backward();
                let found = values(leaf.grad(&grads).unwrap());
                backward.check(&found, &gradient, &name);
                assert!(error(&found, &numeric) <= 1e-4, "{name}: against finite differences");
            }
        }
    }
}

on_each_backend!(noisy_propagation);

/// U(0, 1) of a row before its length is taken away, by the formula in the documentation of [`Noise`].
fn uniform(key: StreamKey, row: u32, dim: usize) -> Vec<f64> {
    let blocks = dim.div_ceil(4);
    (0..dim).map(|k| f64::from(unit(key.words(row, (k % blocks) as u32)[k / blocks]))).collect()
}

#[test]
fn noise_is_uniform_before_it_gets_its_length() {
    let key = StreamKey::root(53).child("noise");
    for dim in [1, 7, 32, 50, 64, 200] {
        let table = noise::table(300, dim, key, 0.3);
        for (row, found) in table.chunks(dim).enumerate() {
            let drawn = uniform(key, row as u32, dim);
            let length = drawn.iter().map(|x| x * x).sum::<f64>().sqrt();
            let expected: Vec<f64> = drawn.iter().map(|x| 0.3 * x / length).collect();
            let found: Vec<f64> = found.iter().copied().map(f64::from).collect();
            assert!(error(&found, &expected) < 1e-6, "dim {dim}, row {row}");
        }
    }
    // 2000 rows of 64: mean 1/2 with deviation 0.2887 / √128 000 = 0.0008; variance 1/12 with deviation
    // √((1/80 − 1/144) / 128 000) = 0.0002.
    let drawn: Vec<f64> = (0..2000).flat_map(|row| uniform(key, row, 64)).collect();
    let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
    let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
    assert!((mean - 0.5).abs() < 5.0 * 0.0008, "{mean}");
    assert!((variance - 1.0 / 12.0).abs() < 5.0 * 0.0002, "{variance}");
    assert!(drawn.iter().all(|x| (0.0..1.0).contains(x)));
    // Neighbouring rows, columns and layers have nothing to do with one another: deviation 1 / √128 000 = 0.0028.
    let correlation = |other: &[f64]| {
        drawn.iter().zip(other).map(|(a, b)| (a - 0.5) * (b - 0.5)).sum::<f64>() * 12.0 / drawn.len() as f64
    };
    let other_layer: Vec<f64> = (0..2000).flat_map(|row| uniform(key.at(1), row, 64)).collect();
    for other in [&drawn[1..], &drawn[64..], &other_layer] {
        assert!(correlation(other).abs() < 5.0 * 0.0028, "{}", correlation(other));
    }
}
