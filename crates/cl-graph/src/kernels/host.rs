//! Propagation on slices, once for all host backends; [`backward`] goes back.
//!
//! What is not needed is not computed: the first product is shared by passes over one graph, a layer is made at the rows
//! that are needed of it where these are few ([`needed`]), passes over one graph share one backward, and that reads and
//! writes the same rows.

mod backward;

use std::borrow::Cow;

use super::needed::{Neighbours, Rows, reads_layer};
use super::noise;
use super::product::{Operand, Plus, Write, product, product_of_rows, sum};
use super::stored::{Bf16, Stored, give, take};
pub(super) use backward::propagate_backward;

use crate::adjacency::Csr;
use crate::input::{Output, Structure};
use crate::plan::{Gather, Pass, Plan, Storage};

/// `A x`.
pub(super) fn spmm(csr: &Csr, x: &[f32], dim: usize) -> Vec<f32> {
    let mut out = vec![0.0; csr.rows() * dim];
    product(csr, Operand::Dense(x), dim, &mut out, Write::Set, Plus::Nothing);
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
fn gather<T: Stored>(
    part: &mut [f32],
    rows: &cl_core::Rows,
    source: &[T],
    dim: usize,
    weight: f32,
    place: impl Fn(u32) -> usize,
) {
    for (out, row) in part.chunks_exact_mut(dim).zip(rows.iter()) {
        let from = &source[place(row) * dim..][..dim];
        for (out, from) in out.iter_mut().zip(from) {
            *out += weight * from.load();
        }
    }
}

/// A layer, or its gradient: all rows, or those that are needed.
struct Layer<'a, T: Stored> {
    /// Where each node's row stands, if not all rows are there.
    place: Option<&'a [u32]>,
    rows: Cow<'a, [T]>,
}

impl<T: Stored> Layer<'_, T> {
    fn operand(&self) -> Operand<'_, T> {
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
    match plan.storage {
        Storage::F32 => propagate_stored::<f32>(plan, table, dim),
        Storage::Bf16 => propagate_stored::<Bf16>(plan, table, dim),
    }
}

fn propagate_stored<T: Stored>(plan: &Plan, table: &[f32], dim: usize) -> Vec<f32> {
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

    let first = Layer { place: None, rows: T::of(table) };
    let mut shared = None;
    for (index, pass) in plan.passes.iter().enumerate() {
        let needed = plan.needed(&pass.structure, |gather| gather.pass == index, Neighbours::Left);
        let again = plan.passes[index + 1..].iter().any(|other| other.structure.same(&pass.structure));
        if needed.len() > 1
            && matches!(needed[1], Rows::All)
            && (again || SharedFirst::is_of(&shared, &pass.structure))
        {
            SharedFirst::renew(&mut shared, &pass.structure, &first, dim);
        }
        let shared = shared.as_ref().filter(|shared| shared.of.same(&pass.structure));
        let mut below: Option<Layer<'_, T>> = None;
        for layer in 1..needed.len() {
            let made = Made { pass, layer, rows: &needed[layer], shared, dim };
            let reads = |gather: &Gather| gather.pass == index && reads_layer(gather, layer);
            let from = below.as_ref().unwrap_or(&first).operand();
            if layer == plan.layers {
                // No product reads the last layer.
                let last: Layer<'_, f32> = made.layer(from);
                add_layer(&mut parts, reads, &last, dim, share);
                last.done();
            } else {
                let current = made.layer(from);
                add_layer(&mut parts, reads, &current, dim, share);
                if let Some(old) = below.replace(current) {
                    old.done();
                }
            }
        }
        if let Some(below) = below {
            below.done();
        }
    }
    if let Some(SharedFirst { product, .. }) = shared {
        give(product);
    }
    first.done();
    out
}

/// What a layer of a pass is made of, but for the layer below.
struct Made<'a> {
    pass: &'a Pass,
    layer: usize,
    rows: &'a Rows,
    /// The first product, if other passes have it too.
    shared: Option<&'a SharedFirst>,
    dim: usize,
}

impl<'a> Made<'a> {
    fn layer<T: Stored, O: Stored>(&self, below: Operand<'_, T>) -> Layer<'a, O> {
        let &Self { pass, layer, rows, dim, .. } = self;
        let adjacency = pass.structure.layer(layer);
        let noise = pass.noise.map(|noise| Plus::Noise(noise.key.at(layer as u64), noise.magnitude));
        let plus = noise.unwrap_or(Plus::Nothing);
        match (rows, self.shared, noise) {
            (Rows::Some(wanted), ..) => {
                let mut rows = vec![O::default(); wanted.rows.len() * dim];
                product_of_rows(adjacency.csr(), below, dim, &wanted.rows, &mut rows, plus);
                Layer { place: Some(wanted.place()), rows: Cow::Owned(rows) }
            }
            (Rows::All, Some(shared), None) if layer == 1 => {
                Layer { place: None, rows: O::of(&shared.product) }
            }
            (Rows::All, Some(shared), Some(_)) if layer == 1 => {
                let mut rows = take(shared.product.len());
                sum(&shared.product, dim, &mut rows, plus);
                Layer { place: None, rows: Cow::Owned(rows) }
            }
            (Rows::All, ..) => {
                let csr = adjacency.csr();
                let mut rows = take(csr.rows() * dim);
                product(csr, below, dim, &mut rows, Write::Set, plus);
                Layer { place: None, rows: Cow::Owned(rows) }
            }
        }
    }
}

/// The first product of a graph, without noise, for all passes over it. In f32: noise comes before rounding.
struct SharedFirst {
    of: Structure,
    product: Vec<f32>,
}

impl SharedFirst {
    fn is_of(shared: &Option<Self>, structure: &Structure) -> bool {
        shared.as_ref().is_some_and(|shared| shared.of.same(structure))
    }

    /// Makes `shared` that of `structure`.
    fn renew<T: Stored>(shared: &mut Option<Self>, structure: &Structure, table: &Layer<'_, T>, dim: usize) {
        if Self::is_of(shared, structure) {
            return;
        }
        let mut out = take(table.rows.len());
        product(structure.layer(1).csr(), table.operand(), dim, &mut out, Write::Set, Plus::Nothing);
        if let Some(old) = shared.replace(Self { of: structure.clone(), product: out }) {
            give(old.product);
        }
    }
}

/// Adds a layer to the outputs that read it.
fn add_layer<T: Stored>(
    parts: &mut [(&Gather, &mut [f32])],
    reads: impl Fn(&Gather) -> bool,
    layer: &Layer<'_, T>,
    dim: usize,
    share: f32,
) {
    for (wanted, part) in parts.iter_mut().filter(|(wanted, _)| reads(wanted)) {
        let weight = if wanted.output == Output::Final { share } else { 1.0 };
        gather(part, &wanted.rows, &layer.rows, dim, weight, |row| layer.place(row));
    }
}
