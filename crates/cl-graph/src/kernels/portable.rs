//! The same operations in plain Burn operations: the reference of every kernel, and the body of a backend without one.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData, TensorPrimitive};
use cl_core::Rows;

use super::noise;
use crate::adjacency::{Adjacency, Csr};
use crate::input::Output;
use crate::plan::{Gather, Pass, Plan, Storage};

fn float<B: Backend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Row, column and value of each stored number, on the device.
#[derive(Clone)]
struct Coordinates<B: Backend> {
    rows: Tensor<B, 1, Int>,
    columns: Tensor<B, 1, Int>,
    values: Tensor<B, 2>,
}

impl<B: Backend> Coordinates<B> {
    fn new(csr: &Csr, device: &B::Device) -> Self {
        let rows: Vec<i32> =
            (0..csr.rows()).flat_map(|row| std::iter::repeat_n(row as i32, csr.row(row).len())).collect();
        let columns: Vec<i32> = csr.columns.iter().map(|&column| column as i32).collect();
        let count = columns.len();
        Self {
            rows: Tensor::from_data(TensorData::new(rows, [count]), device),
            columns: Tensor::from_data(TensorData::new(columns, [count]), device),
            values: Tensor::from_data(TensorData::new(csr.values.clone(), [count, 1]), device),
        }
    }
}

/// See [`GraphBackend::spmm`](super::GraphBackend::spmm); holds one row a stored value.
pub fn spmm<B: Backend>(adjacency: &Adjacency, transposed: bool, x: FloatTensor<B>) -> FloatTensor<B> {
    let x = float::<B>(x);
    let device = x.device();
    // Both are made at once: a training step needs both.
    let here = |made: &[Coordinates<B>; 2]| made[0].values.device() == device;
    let matrices = [adjacency.csr(), adjacency.transposed()];
    let [forward, backward] =
        adjacency.on_device(here, |_| matrices.map(|csr| Coordinates::<B>::new(csr, &device)));
    let matrix = if transposed { backward } else { forward };
    let out = Tensor::<B, 2>::zeros(x.shape(), &device);
    if matrix.rows.dims()[0] == 0 {
        return out.into_primitive().tensor();
    }
    let messages = x.select(0, matrix.columns) * matrix.values; // [values, d]
    out.select_assign(0, matrix.rows, messages, IndexingUpdateOp::Add).into_primitive().tensor()
}

fn indices<B: Backend>(rows: &Rows, device: &B::Device) -> Tensor<B, 1, Int> {
    let rows: Vec<i32> = rows.iter().map(|row| row as i32).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

/// As the plan stores a layer. Veltkamp's splitting: the upper 8 of 24 bits, rounded to the nearest.
fn stored<B: Backend>(plan: &Plan, x: Tensor<B, 2>) -> Tensor<B, 2> {
    match plan.storage {
        Storage::F32 => x,
        Storage::Bf16 => {
            let scaled = x.clone().mul_scalar(65_537.0);
            scaled.clone() - (scaled - x)
        }
    }
}

/// e⁽⁰⁾ … e⁽ᴸ⁾ of a pass, each `[nodes, d]`, and what stands for e⁽⁰⁾ in the mean.
fn layers<B: Backend>(plan: &Plan, pass: &Pass, table: Tensor<B, 2>) -> (Vec<Tensor<B, 2>>, Tensor<B, 2>) {
    let device = table.device();
    let noisy = |x: Tensor<B, 2>, layer: usize| match pass.noise {
        None => x,
        Some(drawn) => {
            let [nodes, dim] = x.dims();
            let values = noise::table(nodes, dim, drawn.key.at(layer as u64), drawn.magnitude);
            x.clone() + x.sign() * Tensor::from_data(TensorData::new(values, [nodes, dim]), &device)
        }
    };
    let zero = if plan.layers == 0 { noisy(table.clone(), 0) } else { table.clone() };
    let mut layers = vec![table];
    for layer in 1..=plan.layers {
        // Of layers already so stored, nothing changes.
        let below = stored(plan, layers[layer - 1].clone()).into_primitive().tensor();
        let product = noisy(float(spmm::<B>(&pass.structure.layer(layer), false, below)), layer);
        layers.push(if layer < plan.layers { stored(plan, product) } else { product });
    }
    (layers, zero)
}

/// See [`GraphBackend::propagate`](super::GraphBackend::propagate); every layer is computed at every node.
pub fn propagate<B: Backend>(plan: &Arc<Plan>, table: FloatTensor<B>) -> FloatTensor<B> {
    let table = float::<B>(table);
    let device = table.device();
    let passes: Vec<_> = plan
        .passes
        .iter()
        .map(|pass| {
            let (layers, zero) = layers(plan, pass, table.clone());
            let in_mean = (0..=plan.layers).filter(|&layer| plan.in_mean(layer));
            let mean = in_mean
                .map(|layer| if layer == 0 { zero.clone() } else { layers[layer].clone() })
                .reduce(|sum, layer| sum + layer)
                .map(|sum| sum.mul_scalar(plan.share()));
            (layers, mean)
        })
        .collect();
    let parts = plan
        .wanted
        .iter()
        .filter(|gather| !gather.rows.is_empty())
        .map(|gather| {
            let (layers, mean) = &passes[gather.pass];
            let source = match gather.output {
                Output::Layer(layer) => layers[layer].clone(),
                Output::Final => {
                    mean.clone().unwrap_or_else(|| unreachable!("a plan has a layer in its mean"))
                }
            };
            source.select(0, indices(&gather.rows, &device))
        })
        .collect::<Vec<_>>();
    let [_, dim] = table.dims();
    let out = if parts.is_empty() { Tensor::zeros([0, dim], &device) } else { Tensor::cat(parts, 0) };
    out.into_primitive().tensor()
}

/// Each gather's rows of what [`propagate`] returned.
pub fn parts<B: Backend>(plan: &Plan, all: FloatTensor<B>) -> Vec<FloatTensor<B>> {
    let all = float::<B>(all);
    let [_, dim] = all.dims();
    let mut start = 0;
    let part = |gather: &Gather| {
        let range = start..start + gather.rows.len();
        start = range.end;
        all.clone().slice([range, 0..dim]).into_primitive().tensor()
    };
    plan.wanted.iter().map(part).collect()
}

/// See [`GraphBackend::propagate_backward`](super::GraphBackend::propagate_backward).
pub fn propagate_backward<B: Backend>(plan: &Arc<Plan>, grad: FloatTensor<B>) -> FloatTensor<B> {
    let grad = float::<B>(grad);
    let device = grad.device();
    let [_, dim] = grad.dims();
    let zeros = || Tensor::<B, 2>::zeros([plan.nodes, dim], &device);
    let mut total = zeros();
    for (index, pass) in plan.passes.iter().enumerate() {
        // The gradient that reaches each layer of this pass directly.
        let mut direct = vec![zeros(); plan.layers + 1];
        let mut start = 0;
        for gather in &plan.wanted {
            let rows = gather.rows.len();
            let range = start..start + rows;
            start += rows;
            if gather.pass != index || rows == 0 {
                continue;
            }
            let part = grad.clone().slice([range, 0..dim]);
            let (layers, part) = match gather.output {
                Output::Layer(layer) => (layer..=layer, part),
                Output::Final => (0..=plan.layers, part.mul_scalar(plan.share())),
            };
            for layer in layers {
                if matches!(gather.output, Output::Layer(_)) || plan.in_mean(layer) {
                    let at = indices(&gather.rows, &device);
                    direct[layer] =
                        direct[layer].clone().select_assign(0, at, part.clone(), IndexingUpdateOp::Add);
                }
            }
        }
        let mut below = zeros();
        for layer in (1..=plan.layers).rev() {
            let above = stored(plan, below + direct[layer].clone()).into_primitive().tensor();
            below = float(spmm::<B>(&pass.structure.layer(layer), true, above));
        }
        total = total + below + direct[0].clone();
    }
    total.into_primitive().tensor()
}
