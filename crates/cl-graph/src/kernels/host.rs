//! Propagation on slices, once for all host backends.
//!
//! What is not needed is not computed: the first product is shared by passes over one graph, a layer is made at the rows
//! that are needed of it where these are few ([`needed`]), passes over one graph share one backward, and that reads and
//! writes the same rows.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use super::needed::{Rows, needed, reads_layer};
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
    // Enough for the passes of one step. So many stay until the process ends or other graphs' take their place.
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
    rows: &cl_core::Rows,
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

/// A layer, or its gradient: all rows, or those that are needed.
struct Layer<'a> {
    /// Where each node's row stands, if not all rows are there.
    place: Option<&'a [u32]>,
    rows: Cow<'a, [f32]>,
}

impl<'a> Layer<'a> {
    fn borrowed(rows: &'a [f32]) -> Self {
        Self { place: None, rows: Cow::Borrowed(rows) }
    }

    fn operand(&self) -> Operand<'_> {
        match self.place {
            None => Operand::Dense(&self.rows),
            Some(place) => Operand::Sparse { place, rows: &self.rows },
        }
    }

    /// Where the row of a node stands that is there.
    fn place(&self, row: u32) -> usize {
        self.place.map_or(row, |place| place[row as usize]) as usize
    }

    /// Hands the buffer on if it is a whole table's.
    fn done(self) {
        if let (None, Cow::Owned(rows)) = (self.place, self.rows) {
            give(rows);
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
        let of_pass = |gather: &Gather| gather.pass == index;
        let needed = needed(plan, &pass.structure, of_pass);
        let again = plan.passes[index + 1..].iter().any(|other| other.structure.same(&pass.structure));
        let mut below = Layer::borrowed(table);
        for (layer, rows) in needed.iter().enumerate().skip(1) {
            let adjacency = pass.structure.layer(layer);
            let layer_noise: LayerNoise =
                pass.noise.map(|noise| (noise.key.at(layer as u64), noise.magnitude));
            let reads = |gather: &Gather| of_pass(gather) && reads_layer(gather, layer);
            let current = match rows {
                Rows::Some(wanted) => {
                    let mut rows = vec![0.0; wanted.rows.len() * dim];
                    product_of_rows(
                        adjacency.csr(),
                        below.operand(),
                        dim,
                        &wanted.rows,
                        &mut rows,
                        layer_noise,
                    );
                    Layer { place: Some(&wanted.place), rows: Cow::Owned(rows) }
                }
                Rows::All => {
                    let mut rows = take(plan.nodes * dim);
                    if layer == 1 && (again || shared.is_of(&pass.structure)) {
                        rows.copy_from_slice(shared.product(&pass.structure, adjacency.csr(), table, dim));
                        add_noise(&mut rows, dim, layer_noise);
                    } else {
                        product(adjacency.csr(), below.operand(), dim, &mut rows, Write::Set, layer_noise);
                    }
                    Layer { place: None, rows: Cow::Owned(rows) }
                }
            };
            add_layer(&mut parts, reads, &current, dim, share);
            std::mem::replace(&mut below, current).done();
        }
        below.done();
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

/// Adds a layer to the outputs that read it.
fn add_layer(
    parts: &mut [(&Gather, &mut [f32])],
    reads: impl Fn(&Gather) -> bool,
    layer: &Layer<'_>,
    dim: usize,
    share: f32,
) {
    for (wanted, part) in parts.iter_mut().filter(|(wanted, _)| reads(wanted)) {
        let weight = if wanted.output == Output::Final { share } else { 1.0 };
        gather(part, &wanted.rows, &layer.rows, dim, weight, |row| layer.place(row));
    }
}

/// Adds the gradient that reaches a layer directly from the chosen outputs.
fn add_direct(
    plan: &Plan,
    grad: &[f32],
    dim: usize,
    chosen: impl Fn(&Gather) -> bool,
    out: &mut [f32],
    place: impl Fn(u32) -> usize,
) {
    let mut rest = grad;
    for gather in &plan.wanted {
        let (part, after) = rest.split_at(gather.rows.len() * dim);
        rest = after;
        if !chosen(gather) {
            continue;
        }
        let weight = if gather.output == Output::Final { plan.share() } else { 1.0 };
        for (row, from) in gather.rows.iter().zip(part.chunks_exact(dim)) {
            for (to, from) in out[place(row) * dim..][..dim].iter_mut().zip(from) {
                *to += weight * from;
            }
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
        // The gradient of a layer is zero but at the rows that the forward pass needs of it.
        let needed = needed(plan, &pass.structure, of_graph);
        let mut above: Option<Layer<'_>> = None;
        for layer in (1..needed.len()).rev() {
            let mut current = match &needed[layer] {
                Rows::All => Layer { place: None, rows: Cow::Owned(take(plan.nodes * dim)) },
                Rows::Some(wanted) => {
                    let rows = vec![0.0; wanted.rows.len() * dim];
                    Layer { place: Some(&wanted.place), rows: Cow::Owned(rows) }
                }
            };
            match &above {
                // The highest layer is always listed, and begins with zeros.
                None => {}
                Some(above) => {
                    let matrix = pass.structure.layer(layer + 1);
                    let (matrix, out) = (matrix.transposed(), current.rows.to_mut());
                    match &needed[layer] {
                        Rows::All => product(matrix, above.operand(), dim, out, Write::Set, None),
                        Rows::Some(wanted) => {
                            product_of_rows(matrix, above.operand(), dim, &wanted.rows, out, None);
                        }
                    }
                }
            }
            let reads = |gather: &Gather| of_graph(gather) && reads_layer(gather, layer);
            let place = current.place;
            let at = |row: u32| place.map_or(row, |place| place[row as usize]) as usize;
            add_direct(plan, grad, dim, reads, current.rows.to_mut(), at);
            if let Some(old) = above.replace(current) {
                old.done();
            }
        }
        if let Some(above) = above {
            let matrix = pass.structure.layer(1);
            match &needed[0] {
                Rows::All => {
                    product(matrix.transposed(), above.operand(), dim, &mut total, write, None);
                }
                Rows::Some(wanted) => {
                    let mut rows = vec![0.0; wanted.rows.len() * dim];
                    product_of_rows(matrix.transposed(), above.operand(), dim, &wanted.rows, &mut rows, None);
                    for (&row, from) in wanted.rows.iter().zip(rows.chunks_exact(dim)) {
                        for (out, from) in total[row as usize * dim..][..dim].iter_mut().zip(from) {
                            *out += from;
                        }
                    }
                }
            }
            above.done();
            write = Write::Add;
        }
    }
    let of_layer_zero = |gather: &Gather| match gather.output {
        Output::Final => plan.in_mean(0),
        Output::Layer(layer) => layer == 0,
    };
    add_direct(plan, grad, dim, of_layer_zero, &mut total, |row| row as usize);
    total
}
