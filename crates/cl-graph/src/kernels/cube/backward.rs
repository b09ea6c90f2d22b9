//! The gradient of a propagation on the device. Passes over one graph share it; of a layer it reads and writes the rows
//! that are needed of it.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous_aligned;
use burn_cubecl::ops::numeric::zeros_client;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{upload, upload_u32};
use fixedbitset::FixedBitSet;

use super::device::{Tasks, empty, marks_of, matrix_at, tasks_at};
use super::gather::{self, MEAN, Wanted};
use super::operand::Operand;
use super::product::{Matrix, Options};
use super::work::Work;
use crate::input::{Output, Structure};
use crate::kernels::needed::{Neighbours, Rows, reads_layer};
use crate::plan::{Gather, Pass, Plan};

/// Whether a gather's rows follow one another, so that no list is needed of them.
fn is_range(gather: &Gather) -> bool {
    matches!(gather.rows, cl_core::Rows::Range(_)) && !gather.rows.is_empty()
}

/// The matrix that takes the gradient of the output to the rows that it reaches directly through the chosen gathers, which are
/// lists: each row's entries in the order of the output.
fn direct<R: CubeRuntime>(plan: &Plan, chosen: &[bool], like: &CubeTensor<R>) -> Matrix<R> {
    let mut rows = vec![0_u32; plan.nodes];
    let mut present = FixedBitSet::with_capacity(plan.nodes);
    for (gather, _) in plan.wanted.iter().zip(chosen).filter(|(_, chosen)| **chosen) {
        for row in gather.rows.iter() {
            rows[row as usize] += 1;
            present.insert(row as usize);
        }
    }
    let mut tasks = Vec::new();
    let mut end = 0;
    for row in present.ones() {
        let place = &mut rows[row];
        let start = end;
        end += *place as usize;
        *place = start as u32;
        tasks.push((row as u32, start..end));
    }
    let (mut columns, mut values) = (vec![0; end], vec![0.0; end]);
    let mut first = 0;
    for (gather, chosen) in plan.wanted.iter().zip(chosen) {
        if *chosen {
            let weight = weight(plan, gather);
            for (row, from) in gather.rows.iter().zip(first..) {
                let place = &mut rows[row as usize];
                (columns[*place as usize], values[*place as usize]) = (from, weight);
                *place += 1;
            }
        }
        first += gather.rows.len() as u32;
    }
    Matrix {
        columns: upload_u32(like, &columns),
        values: upload(like, &values, DType::F32, 0.0),
        tasks: Tasks::new(like, &Work::new(tasks.iter().cloned())),
    }
}

/// The [`direct`] matrix of the chosen gathers, made on first use: in most plans, layers from 1 on have the same. `None` if
/// none of them has a list.
fn direct_of<R: CubeRuntime>(
    plan: &Plan,
    chosen: impl Fn(&Gather) -> bool,
    like: &CubeTensor<R>,
) -> Option<Matrix<R>> {
    let listed = |gather: &Gather| chosen(gather) && !is_range(gather) && !gather.rows.is_empty();
    let marks: Vec<bool> = plan.wanted.iter().map(listed).collect();
    if !marks.contains(&true) {
        return None;
    }
    let fits = |(of, made): &(Vec<bool>, Matrix<R>)| *of == marks && made.columns.device == like.device;
    let (_, matrix) = plan.on_device().get(fits, || (marks.clone(), direct(plan, &marks, like)));
    Some(matrix)
}

/// The share of a layer in what the gather reads.
fn weight(plan: &Plan, gather: &Gather) -> f32 {
    if gather.output == Output::Final { plan.share() } else { 1.0 }
}

/// Adds the gradient that reaches a layer directly from the chosen outputs; writes it where `add` is not set, and there
/// no range may be among them.
fn add_direct<R: CubeRuntime>(
    plan: &Plan,
    grad: &CubeTensor<R>,
    chosen: impl Fn(&Gather) -> bool,
    out: &CubeTensor<R>,
    add: bool,
) {
    if let Some(direct) = direct_of(plan, &chosen, grad) {
        direct.product(&Operand::Plain(grad.clone()), out, &Options { add, ..Options::none() });
    }
    let mut row = 0;
    for gather in &plan.wanted {
        if let (cl_core::Rows::Range(to), true) = (&gather.rows, is_range(gather) && chosen(gather)) {
            debug_assert!(add, "a range is added");
            let rows = Wanted::Range { row, place: to.start as usize, count: to.len(), bits: 1 | MEAN };
            let share = weight(plan, gather);
            let options = gather::Options { share, noise: None, add: true, round_out: false };
            gather::gather(&rows, &[grad], out, &options);
        }
        row += gather.rows.len();
    }
}

/// The distinct graphs of a plan. Noise does not depend on the table, so passes over one graph differ in nothing here.
fn graphs(plan: &Plan) -> impl Iterator<Item = &Structure> {
    let distinct = |&(index, pass): &(usize, &Pass)| {
        !plan.passes[..index].iter().any(|other| other.structure.same(&pass.structure))
    };
    plan.passes.iter().enumerate().filter(distinct).map(|(_, pass)| &pass.structure)
}

/// Whether a gather is of a pass over this graph. The gradient of a layer is zero but at the rows that these need of it.
fn of_graph<'a>(plan: &'a Plan, structure: &'a Structure) -> impl Fn(&Gather) -> bool + Copy + 'a {
    move |gather| plan.passes[gather.pass].structure.same(structure)
}

/// Whether a gather reads the table itself.
fn reads_table(plan: &Plan) -> impl Fn(&Gather) -> bool {
    move |gather| match gather.output {
        Output::Final => plan.in_mean(0),
        Output::Layer(layer) => layer == 0,
    }
}

/// Copies what [`propagate_backward`] reads of a plan to the device; `like` is any tensor there.
pub(super) fn prepare<R: CubeRuntime>(plan: &Plan, like: &CubeTensor<R>) {
    for structure in graphs(plan) {
        let of_graph = of_graph(plan, structure);
        let needed = plan.needed(structure, of_graph, Neighbours::All);
        for (layer, rows) in needed.iter().enumerate() {
            if let Some(above) = needed.get(layer + 1) {
                let _ = (tasks_at(&structure.layer(layer + 1), rows, like), marks_of(above, like));
            }
            if layer > 0 {
                let _ = direct_of(plan, |gather| of_graph(gather) && reads_layer(gather, layer), like);
            }
        }
    }
    let _ = direct_of(plan, reads_table(plan), like);
}

/// See [`GraphBackend::propagate_backward`](crate::GraphBackend::propagate_backward).
pub(super) fn propagate_backward<R: CubeRuntime>(plan: &Plan, grad: CubeTensor<R>) -> CubeTensor<R> {
    let grad = into_contiguous_aligned(grad);
    let shape = [plan.nodes, grad.meta.shape()[1]];
    let mut total: Option<CubeTensor<R>> = None;
    for structure in graphs(plan) {
        let of_graph = of_graph(plan, structure);
        let needed = plan.needed(structure, of_graph, Neighbours::All);
        // Layer by layer, the rows of the gradient that are there.
        let mut above: Option<(CubeTensor<R>, &Rows)> = None;
        for (layer, rows) in needed.iter().enumerate().rev() {
            let product = |out: &CubeTensor<R>, add| {
                let Some((above, present)) = &above else { return };
                let matrix = matrix_at(&structure.layer(layer + 1), true, rows, &grad);
                let marks = marks_of(present, &grad);
                let operand = Operand::new(above, plan.storage);
                matrix.product(&operand, out, &Options { marks, add, ..Options::none() });
            };
            if layer > 0 {
                let reads = |gather: &Gather| of_graph(gather) && reads_layer(gather, layer);
                let from_zero =
                    above.is_none() && plan.wanted.iter().any(|gather| is_range(gather) && reads(gather));
                let out = if from_zero { zeros(&grad, shape) } else { empty(&grad, shape) };
                product(&out, false);
                add_direct(plan, &grad, reads, &out, from_zero || above.is_some());
                above = Some((out, rows));
            } else if above.is_some() {
                match (&total, rows) {
                    (None, Rows::All) => {
                        let out = empty(&grad, shape);
                        product(&out, false);
                        total = Some(out);
                    }
                    (None, Rows::Some(_)) => {
                        let out = zeros(&grad, shape);
                        product(&out, false);
                        total = Some(out);
                    }
                    (Some(total), _) => product(total, true),
                }
            }
        }
    }
    let total = total.unwrap_or_else(|| zeros(&grad, shape));
    add_direct(plan, &grad, reads_table(plan), &total, true);
    total
}

fn zeros<R: CubeRuntime>(like: &CubeTensor<R>, shape: [usize; 2]) -> CubeTensor<R> {
    zeros_client(like.client.clone(), like.device.clone(), Shape::new(shape), like.dtype)
}
