//! Propagation on the device. What is not needed is not computed, as in the host kernels: the first product is shared by
//! passes over one graph, a layer is made at the rows that are needed of it where these are few.
//!
//! A layer is always a table of all nodes; rows that are not needed hold anything and are not read.

use std::sync::Arc;

use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous_aligned;
use burn_cubecl::tensor::CubeTensor;
use cl_core::Rows::{List, Range};
use cl_core::StreamKey;
use cl_core::kernels::cube::launch::upload_u32;

use super::device::{empty, matrix, matrix_at, tasks_at};
use super::gather::{self, MEAN, Wanted, gather};
use super::operand::Operand;
use super::product::Options;
use crate::adjacency::Adjacency;
use crate::input::{Output, Structure};
use crate::kernels::needed::{Neighbours, Rows};
use crate::plan::{Gather, Pass, Plan, Storage};

/// `A x`, or `Aᵀ x`.
pub(super) fn spmm<R: CubeRuntime>(
    adjacency: &Adjacency,
    transposed: bool,
    x: CubeTensor<R>,
) -> CubeTensor<R> {
    let x = into_contiguous_aligned(x);
    let out = empty(&x, [x.meta.shape()[0], x.meta.shape()[1]]);
    matrix(adjacency, transposed, &x).product(&Operand::Plain(x), &out, &Options::none());
    out
}

/// The layers that a gather's rows are sums of.
fn bits(plan: &Plan, gather: &Gather) -> u32 {
    match gather.output {
        Output::Layer(layer) => 1 << layer,
        Output::Final => {
            (0..=plan.layers).filter(|&layer| plan.in_mean(layer)).map(|layer| 1 << layer).sum::<u32>() | MEAN
        }
    }
}

/// The entries of each pass on the device, one pass after another, and how many each has. Rows that follow one another need
/// none.
#[derive(Clone)]
struct Entries<R: CubeRuntime> {
    list: CubeTensor<R>,
    counts: Arc<[usize]>,
}

impl<R: CubeRuntime> Entries<R> {
    /// Made on first use.
    fn of(plan: &Plan, like: &CubeTensor<R>) -> Self {
        let here = |made: &Self| made.list.device == like.device;
        plan.on_device().get(here, || {
            let (entries, counts) = entries(plan);
            Self { list: upload_u32(like, &entries), counts: counts.into() }
        })
    }
}

/// The numbers of the list, and how many entries each pass has.
fn entries(plan: &Plan) -> (Vec<u32>, Vec<usize>) {
    let mut entries = Vec::with_capacity(plan.rows() * gather::ENTRY);
    let counts = (0..plan.passes.len())
        .map(|pass| {
            let (before, mut place) = (entries.len(), 0);
            for wanted in &plan.wanted {
                if wanted.pass == pass && matches!(wanted.rows, List(_)) {
                    let bits = bits(plan, wanted);
                    for (row, at) in wanted.rows.iter().zip(place..) {
                        entries.extend_from_slice(&[row, at, bits]);
                    }
                }
                place += wanted.rows.len() as u32;
            }
            (entries.len() - before) / gather::ENTRY
        })
        .collect();
    (entries, counts)
}

/// Whether any row of a pass is wanted.
fn is_wanted(plan: &Plan, pass: usize) -> bool {
    plan.wanted.iter().any(|wanted| wanted.pass == pass && !wanted.rows.is_empty())
}

/// The rows of each layer that a pass needs.
fn needed(plan: &Plan, index: usize) -> Arc<Vec<Rows>> {
    plan.needed(&plan.passes[index].structure, |gather| gather.pass == index, Neighbours::All)
}

/// Copies what [`propagate`] reads of a plan to the device; `like` is any tensor there.
pub(super) fn prepare<R: CubeRuntime>(plan: &Plan, like: &CubeTensor<R>) {
    if plan.rows() == 0 {
        return;
    }
    Entries::of(plan, like);
    for (index, pass) in plan.passes.iter().enumerate().filter(|(index, _)| is_wanted(plan, *index)) {
        for (layer, rows) in needed(plan, index).iter().enumerate().skip(1) {
            let _ = tasks_at(&pass.structure.layer(layer), rows, like);
        }
    }
}

/// See [`GraphBackend::propagate`](crate::GraphBackend::propagate).
pub(super) fn propagate<R: CubeRuntime>(plan: &Plan, table: CubeTensor<R>) -> CubeTensor<R> {
    let table = into_contiguous_aligned(table);
    let out = empty(&table, [plan.rows(), table.meta.shape()[1]]);
    if plan.rows() == 0 {
        return out;
    }
    let Entries { list, counts } = Entries::of(plan, &table);
    let operand = Operand::new(&table, plan.storage);
    let mut first = 0;
    let mut shared = None;
    for (index, (pass, &count)) in plan.passes.iter().zip(&counts[..]).enumerate() {
        if !is_wanted(plan, index) {
            continue;
        }
        let layers = layers(plan, index, &table, &operand, &mut shared);
        // Without layers, noise is added to the table itself; what `Layer(0)` asks for has none.
        let noise = pass.noise.filter(|_| plan.layers == 0).map(|noise| (noise.key.at(0), noise.magnitude));
        let layers: Vec<_> = layers.iter().collect();
        let run = |rows: &Wanted<'_, R>, noise: Option<(StreamKey, f32)>| {
            let options = gather::Options { share: plan.share(), noise, add: false, round_out: false };
            gather(rows, &layers, &out, &options);
        };
        let each = noise.is_some();
        if !each {
            run(&Wanted::Entries { list: &list, first, count }, None);
        }
        let (mut at, mut place) = (first, 0);
        for wanted in &plan.wanted {
            let count = wanted.rows.len();
            if wanted.pass == index {
                let noise = noise.filter(|_| wanted.output == Output::Final);
                match &wanted.rows {
                    Range(rows) => {
                        let (row, bits) = (rows.start as usize, bits(plan, wanted));
                        run(&Wanted::Range { row, place, count, bits }, noise);
                    }
                    List(_) if each => {
                        run(&Wanted::Entries { list: &list, first: at, count }, noise);
                        at += count;
                    }
                    List(_) => {}
                }
            }
            place += count;
        }
        first += count;
    }
    out
}

/// The first product of a graph, without noise and not rounded, for all passes over it.
type SharedFirst<R> = Option<(Structure, CubeTensor<R>)>;

/// The layers of a pass, from the table on to the highest that is read; `operand` is the table as products read it.
fn layers<R: CubeRuntime>(
    plan: &Plan,
    index: usize,
    table: &CubeTensor<R>,
    operand: &Operand<R>,
    shared: &mut SharedFirst<R>,
) -> Vec<CubeTensor<R>> {
    let pass = &plan.passes[index];
    let needed = needed(plan, index);
    let is_shared = |shared: &SharedFirst<R>| {
        shared.as_ref().is_some_and(|(structure, _)| structure.same(&pass.structure))
    };
    let mut layers = vec![table.clone()];
    for (layer, rows) in needed.iter().enumerate().skip(1) {
        let below = if layer == 1 { operand.clone() } else { Operand::new(&layers[layer - 1], plan.storage) };
        let again = || plan.passes[index + 1..].iter().any(|other| other.structure.same(&pass.structure));
        if layer == 1 && matches!(rows, Rows::All) && (again() || is_shared(shared)) {
            if !is_shared(shared) {
                let out = empty(table, [plan.nodes, table.meta.shape()[1]]);
                matrix(&pass.structure.layer(1), false, table).product(&below, &out, &Options::none());
                *shared = Some((pass.structure.clone(), out));
            }
            if let Some((_, product)) = shared {
                layers.push(first_layer(plan, pass, product));
            }
            continue;
        }
        let out = empty(table, [plan.nodes, table.meta.shape()[1]]);
        let matrix = matrix_at(&pass.structure.layer(layer), false, rows, table);
        let round_out = plan.storage == Storage::Bf16 && layer < plan.layers;
        let options = Options { noise: noise(pass, layer), round_out, ..Options::none() };
        matrix.product(&below, &out, &options);
        layers.push(out);
    }
    layers
}

/// The noise of a layer.
fn noise(pass: &Pass, layer: usize) -> Option<(StreamKey, f32)> {
    pass.noise.map(|noise| (noise.key.at(layer as u64), noise.magnitude))
}

/// Layer 1 of a pass from the product that it shares.
fn first_layer<R: CubeRuntime>(plan: &Plan, pass: &Pass, product: &CubeTensor<R>) -> CubeTensor<R> {
    let (noise, round_out) = (noise(pass, 1), plan.storage == Storage::Bf16 && plan.layers > 1);
    if noise.is_none() && !round_out {
        return product.clone();
    }
    let out = empty(product, [plan.nodes, product.meta.shape()[1]]);
    let all = Wanted::Range { row: 0, place: 0, count: plan.nodes, bits: 1 };
    gather(&all, &[product], &out, &gather::Options { share: 1.0, noise, add: false, round_out });
    out
}
