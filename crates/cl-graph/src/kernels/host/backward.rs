//! The gradient of a propagation.

use std::borrow::Cow;

use super::Layer;
use crate::input::Output;
use crate::kernels::needed::{Neighbours, Rows, Wanted, reads_layer};
use crate::kernels::product::{Plus, Write, product, product_of_rows};
use crate::kernels::stored::{Bf16, Stored, take};
use crate::plan::{Gather, Plan, Storage};

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

/// See [`GraphBackend::propagate_backward`](crate::kernels::GraphBackend::propagate_backward).
pub(in crate::kernels) fn propagate_backward(plan: &Plan, grad: &[f32], dim: usize) -> Vec<f32> {
    match plan.storage {
        Storage::F32 => backward_stored::<f32>(plan, grad, dim),
        Storage::Bf16 => backward_stored::<Bf16>(plan, grad, dim),
    }
}

fn backward_stored<T: Stored>(plan: &Plan, grad: &[f32], dim: usize) -> Vec<f32> {
    let mut total = vec![0.0; plan.nodes * dim];
    let mut write = Write::Set;
    // Noise does not depend on the table, so passes over one graph differ in nothing here.
    for (index, pass) in plan.passes.iter().enumerate() {
        if plan.passes[..index].iter().any(|other| other.structure.same(&pass.structure)) {
            continue;
        }
        let of_graph = |gather: &Gather| plan.passes[gather.pass].structure.same(&pass.structure);
        // The gradient of a layer is zero but at the rows that the forward pass needs of it.
        let needed = plan.needed(&pass.structure, of_graph, Neighbours::Left);
        let mut above: Option<Layer<'_, T>> = None;
        for layer in (1..needed.len()).rev() {
            let reads = |gather: &Gather| of_graph(gather) && reads_layer(gather, layer);
            let current = match (&needed[layer], &above) {
                (Rows::Some(wanted), above) => {
                    let mut rows = vec![0.0; wanted.rows.len() * dim];
                    if let Some(above) = above {
                        let matrix = pass.structure.layer(layer + 1);
                        let (matrix, x) = (matrix.transposed(), above.operand());
                        product_of_rows(matrix, x, dim, &wanted.rows, &mut rows, Plus::Nothing);
                    }
                    let place = wanted.place();
                    add_direct(plan, grad, dim, reads, &mut rows, |row| place[row as usize] as usize);
                    Layer { place: Some(place), rows: Cow::Owned(T::of_own(rows)) }
                }
                (Rows::All, Some(above)) => {
                    let direct = Wanted::of_gathers(plan, reads);
                    let mut rows = vec![0.0; direct.rows.len() * dim];
                    let place = direct.place();
                    add_direct(plan, grad, dim, reads, &mut rows, |row| place[row as usize] as usize);
                    let plus = Plus::Rows { place, rows: &rows };
                    let matrix = pass.structure.layer(layer + 1);
                    let mut rows = take(plan.nodes * dim);
                    product(matrix.transposed(), above.operand(), dim, &mut rows, Write::Set, plus);
                    Layer { place: None, rows: Cow::Owned(rows) }
                }
                (Rows::All, None) => unreachable!("the highest layer is always listed"),
            };
            if let Some(old) = above.replace(current) {
                old.done();
            }
        }
        if let Some(above) = above {
            let matrix = pass.structure.layer(1);
            match &needed[0] {
                Rows::All => {
                    product(matrix.transposed(), above.operand(), dim, &mut total, write, Plus::Nothing);
                }
                Rows::Some(wanted) => {
                    let mut rows = vec![0.0; wanted.rows.len() * dim];
                    let (matrix, x) = (matrix.transposed(), above.operand());
                    product_of_rows(matrix, x, dim, &wanted.rows, &mut rows, Plus::Nothing);
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
