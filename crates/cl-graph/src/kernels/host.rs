//! Propagation on slices, once for all host backends.
//!
//! What is not needed is not computed: the first product is shared by passes over one graph, the last is made at the
//! wanted rows alone, passes over one graph share one backward, and its first product reads the wanted rows alone.

use std::sync::{Mutex, PoisonError};

use cl_core::Rows;

use super::noise;
use super::product::{LayerNoise, Operand, Write, add_noise, product, product_of_rows};
use crate::adjacency::Csr;
use crate::input::{Output, Structure};
use crate::plan::{Gather, Plan};

/// Buffers of `[nodes, d]` that steps hand on to one another: a fresh one costs as much in page faults as a product.
static BUFFERS: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// A buffer of `length` numbers with anything in it.
fn take(length: usize) -> Vec<f32> {
    let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
    match buffers.iter().position(|buffer| buffer.len() == length) {
        Some(at) => buffers.swap_remove(at),
        None => vec![0.0; length],
    }
}

fn give(buffer: Vec<f32>) {
    let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
    // Enough for the passes of one step; of another graph's buffers none is kept for ever.
    if buffers.len() == 8 {
        buffers.remove(0);
    }
    buffers.push(buffer);
}

/// `A x`.
pub(super) fn spmm(csr: &Csr, x: &[f32], dim: usize) -> Vec<f32> {
    let mut out = vec![0.0; csr.rows() * dim];
    product(csr, Operand::Dense(x), dim, &mut out, Write::Set, None);
    out
}

/// The rows that some gathers want, each once, and where each of them stands in the list.
struct Wanted {
    rows: Vec<u32>,
    place: Vec<u32>,
}

impl Wanted {
    fn new<'a>(nodes: usize, gathers: impl Iterator<Item = &'a Gather>) -> Self {
        let mut place = vec![u32::MAX; nodes];
        for gather in gathers {
            for row in gather.rows.iter() {
                place[row as usize] = 0;
            }
        }
        let mut rows = Vec::new();
        for (row, place) in place.iter_mut().enumerate() {
            if *place == 0 {
                *place = rows.len() as u32;
                rows.push(row as u32);
            }
        }
        Self { rows, place }
    }
}

/// Each gather with its part of the output.
fn parts<'a>(plan: &'a Plan, dim: usize, mut out: &'a mut [f32]) -> Vec<(&'a Gather, &'a mut [f32])> {
    plan.wanted
        .iter()
        .map(|gather| {
            let (part, rest) = std::mem::take(&mut out).split_at_mut(gather.rows.len() * dim);
            out = rest;
            (gather, part)
        })
        .collect()
}

/// Adds `weight · source[place(row)]` to the part's rows.
fn gather(
    part: &mut [f32],
    rows: &Rows,
    source: &[f32],
    dim: usize,
    weight: f32,
    place: impl Fn(u32) -> usize,
) {
    for (out, row) in part.chunks_exact_mut(dim).zip(rows.iter()) {
        let from = &source[place(row) * dim..][..dim];
        for (out, from) in out.iter_mut().zip(from) {
            *out += weight * from;
        }
    }
}

/// See [`GraphBackend::propagate`](super::GraphBackend::propagate).
pub(super) fn propagate(plan: &Plan, table: &[f32], dim: usize) -> Vec<f32> {
    let mut out = vec![0.0; plan.rows() * dim];
    let mut parts = parts(plan, dim, &mut out);
    let share = plan.share();

    // Layer zero.
    let mut scratch = vec![0.0; noise::scratch(dim)];
    for (wanted, part) in &mut parts {
        match wanted.output {
            Output::Layer(0) => gather(part, &wanted.rows, table, dim, 1.0, |row| row as usize),
            Output::Final if plan.in_mean(0) => {
                gather(part, &wanted.rows, table, dim, share, |row| row as usize);
                if let (0, Some(drawn)) = (plan.layers, plan.passes[wanted.pass].noise) {
                    for (row, out) in wanted.rows.iter().zip(part.chunks_exact_mut(dim)) {
                        noise::draw(&mut scratch, dim, drawn.key.at(0), row, drawn.magnitude);
                        noise::add(out, &scratch);
                    }
                }
            }
            _ => {}
        }
    }

    let mut shared = SharedFirst(None);
    for (index, pass) in plan.passes.iter().enumerate() {
        let top = top_layer(plan, |gather| gather.pass == index);
        let mut below: Option<Vec<f32>> = None;
        for layer in 1..=top {
            let adjacency = pass.structure.layer(layer);
            let layer_noise: LayerNoise =
                pass.noise.map(|noise| (noise.key.at(layer as u64), noise.magnitude));
            let reads = |gather: &Gather| gather.pass == index && reads_layer(gather, layer);
            let source = below.as_deref().unwrap_or(table);
            if layer == top {
                let wanted = Wanted::new(plan.nodes, plan.wanted.iter().filter(|gather| reads(gather)));
                let mut rows = vec![0.0; wanted.rows.len() * dim];
                product_of_rows(adjacency.csr(), source, dim, &wanted.rows, &mut rows, layer_noise);
                add_layer(&mut parts, reads, &rows, dim, share, |row| wanted.place[row as usize] as usize);
            } else {
                let mut current = take(plan.nodes * dim);
                let again =
                    plan.passes[index + 1..].iter().any(|other| other.structure.same(&pass.structure));
                if layer == 1 && (again || shared.is_of(&pass.structure)) {
                    current.copy_from_slice(shared.product(&pass.structure, adjacency.csr(), table, dim));
                    add_noise(&mut current, dim, layer_noise);
                } else {
                    product(
                        adjacency.csr(),
                        Operand::Dense(source),
                        dim,
                        &mut current,
                        Write::Set,
                        layer_noise,
                    );
                }
                add_layer(&mut parts, reads, &current, dim, share, |row| row as usize);
                if let Some(old) = below.replace(current) {
                    give(old);
                }
            }
        }
        if let Some(old) = below {
            give(old);
        }
    }
    out
}

/// The first product of a graph, without noise, for all passes over it.
struct SharedFirst(Option<(Structure, Vec<f32>)>);

impl SharedFirst {
    fn is_of(&self, structure: &Structure) -> bool {
        self.0.as_ref().is_some_and(|(of, _)| of.same(structure))
    }

    fn product(&mut self, structure: &Structure, csr: &Csr, table: &[f32], dim: usize) -> &[f32] {
        if !self.is_of(structure) {
            let mut out = take(table.len());
            product(csr, Operand::Dense(table), dim, &mut out, Write::Set, None);
            if let Some((_, old)) = self.0.replace((structure.clone(), out)) {
                give(old);
            }
        }
        self.0.as_ref().map_or(&[], |(_, product)| product)
    }
}

impl Drop for SharedFirst {
    fn drop(&mut self) {
        if let Some((_, buffer)) = self.0.take() {
            give(buffer);
        }
    }
}

/// Whether the gather reads this layer (from 1 on): its own, or any for the mean.
fn reads_layer(gather: &Gather, layer: usize) -> bool {
    match gather.output {
        Output::Final => true,
        Output::Layer(own) => own == layer,
    }
}

/// The highest layer that the chosen gathers read.
fn top_layer(plan: &Plan, chosen: impl Fn(&Gather) -> bool) -> usize {
    let layers = plan.wanted.iter().filter(|gather| chosen(gather)).map(|gather| match gather.output {
        Output::Final => plan.layers,
        Output::Layer(layer) => layer,
    });
    layers.max().unwrap_or(0)
}

/// Adds a layer to the outputs that read it; `place` tells where a node's row stands in `layer`.
fn add_layer(
    parts: &mut [(&Gather, &mut [f32])],
    reads: impl Fn(&Gather) -> bool,
    layer: &[f32],
    dim: usize,
    share: f32,
    place: impl Fn(u32) -> usize + Copy,
) {
    for (wanted, part) in parts.iter_mut().filter(|(wanted, _)| reads(wanted)) {
        let weight = if wanted.output == Output::Final { share } else { 1.0 };
        gather(part, &wanted.rows, layer, dim, weight, place);
    }
}

/// The gradient that reaches a layer directly from the outputs: its rows that are not zero.
fn direct(plan: &Plan, grad: &[f32], dim: usize, chosen: impl Fn(&Gather) -> bool) -> (Wanted, Vec<f32>) {
    let wanted = Wanted::new(plan.nodes, plan.wanted.iter().filter(|gather| chosen(gather)));
    let mut rows = vec![0.0; wanted.rows.len() * dim];
    let mut rest = grad;
    for gather in &plan.wanted {
        let (part, after) = rest.split_at(gather.rows.len() * dim);
        rest = after;
        if !chosen(gather) {
            continue;
        }
        let weight = if gather.output == Output::Final { plan.share() } else { 1.0 };
        for (row, from) in gather.rows.iter().zip(part.chunks_exact(dim)) {
            let to = &mut rows[wanted.place[row as usize] as usize * dim..][..dim];
            for (to, from) in to.iter_mut().zip(from) {
                *to += weight * from;
            }
        }
    }
    (wanted, rows)
}

/// Adds listed rows to a dense matrix.
fn scatter(wanted: &Wanted, rows: &[f32], dim: usize, out: &mut [f32]) {
    for (&row, from) in wanted.rows.iter().zip(rows.chunks_exact(dim)) {
        for (out, from) in out[row as usize * dim..][..dim].iter_mut().zip(from) {
            *out += from;
        }
    }
}

/// See [`GraphBackend::propagate_backward`](super::GraphBackend::propagate_backward).
pub(super) fn propagate_backward(plan: &Plan, grad: &[f32], dim: usize) -> Vec<f32> {
    let mut total = vec![0.0; plan.nodes * dim];
    let mut write = Write::Set;
    // Noise does not depend on the table, so passes over one graph differ in nothing here.
    for (index, pass) in plan.passes.iter().enumerate() {
        if plan.passes[..index].iter().any(|other| other.structure.same(&pass.structure)) {
            continue;
        }
        let of_graph = |gather: &Gather| plan.passes[gather.pass].structure.same(&pass.structure);
        let top = top_layer(plan, of_graph);
        let mut above: Option<Vec<f32>> = None;
        for layer in (1..=top).rev() {
            let (wanted, rows) =
                direct(plan, grad, dim, |gather| of_graph(gather) && reads_layer(gather, layer));
            let operand = match &mut above {
                None => Operand::Sparse { place: &wanted.place, rows: &rows },
                Some(above) => {
                    scatter(&wanted, &rows, dim, above);
                    Operand::Dense(above)
                }
            };
            let adjacency = pass.structure.layer(layer);
            if layer == 1 {
                product(adjacency.transposed(), operand, dim, &mut total, write, None);
                write = Write::Add;
            } else {
                let mut below = take(plan.nodes * dim);
                product(adjacency.transposed(), operand, dim, &mut below, Write::Set, None);
                if let Some(old) = above.replace(below) {
                    give(old);
                }
            }
        }
        if let Some(old) = above {
            give(old);
        }
    }
    let of_layer_zero = |gather: &Gather| match gather.output {
        Output::Final => plan.in_mean(0),
        Output::Layer(layer) => layer == 0,
    };
    let (wanted, rows) = direct(plan, grad, dim, of_layer_zero);
    scatter(&wanted, &rows, dim, &mut total);
    total
}
