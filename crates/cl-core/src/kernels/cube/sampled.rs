//! Scores of sampled items and their gradients: rows of the table are read where they stand, by the ids.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::lanes::{self, joined, like};
use super::launch::{addresses, room, spread};
use super::order::Order;

/// Units that share a row of a gradient, and parts of its summands that are added by themselves first.
const UNITS: usize = 32;
const PARTS: usize = 8;

/// `out[p] = ⟨anchors[p / k], table[ids[p]]⟩`
#[cube(launch_unchecked, address_type = "dynamic")]
fn scores_kernel(
    anchors: &Tensor<f32>,
    table: &Tensor<f32>,
    ids: &Tensor<i32>,
    out: &mut Tensor<f32>,
    count: u32,
    each: u32,
) {
    let mut parts = SharedMemory::<f32>::new(comptime!(lanes::UNITS * lanes::ROWS));
    let at = CUBE_POS * lanes::ROWS + UNIT_POS_Y as usize;
    let live = at < usize::cast_from(count);
    let place = select(live, at, 0usize);
    let anchor = place / usize::cast_from(each) * anchors.stride(0);
    let id = usize::cast_from(u32::cast_from(ids[place]));
    let mut sum = f32::new(0.0);
    if id < table.shape(0) {
        let row = id * table.stride(0);
        let mut column = UNIT_POS_X as usize;
        while column < anchors.shape(1) {
            sum += anchors[anchor + column] * table[row + column];
            column += lanes::UNITS;
        }
    }
    let sum = joined(&mut parts, sum);
    if live && UNIT_POS_X == 0u32 {
        out[place] = sum;
    }
}

/// `out[row] = Σ weights[p] · x[source(p)]` over places p: those from `row · k` on, whose sources are their ids; or, of the
/// table, those that have the row as their id, whose sources are their anchors. A cube makes a row; each part of its units
/// adds a run of the summands, and then the parts are added in their order. A row with many summands takes as much longer.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn sum_kernel(
    x: &Tensor<f32>,
    weights: &Tensor<f32>,
    ids: &Tensor<i32>,
    begins: &Tensor<u32>,
    order: &Tensor<u32>,
    out: &mut Tensor<f32>,
    each: u32,
    #[comptime] of_table: bool,
) {
    let mut sums = SharedMemory::<f32>::new(comptime!(UNITS * PARTS));
    let each = usize::cast_from(each);
    let live = CUBE_POS < out.shape(0);
    let row = select(live, CUBE_POS, 0usize);
    let mut begin = row * each;
    let mut end = begin + each;
    if comptime!(of_table) {
        begin = usize::cast_from(begins[row]);
        end = usize::cast_from(begins[row + 1]);
    }
    end = select(live, end, begin);
    let (lane, part) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let share = (end - begin + comptime!(PARTS - 1)) / PARTS;
    let first = begin + part * share;
    let first = select(first < end, first, end);
    let last = select(first + share < end, first + share, end);
    let blocks = (out.shape(1) + comptime!(UNITS - 1)) / UNITS;
    for block in 0..blocks {
        let column = block * UNITS + lane;
        let mut sum = f32::new(0.0);
        if column < out.shape(1) {
            for p in first..last {
                let mut place = p;
                if comptime!(of_table) {
                    place = usize::cast_from(order[p]);
                }
                let mut from = place / each;
                if comptime!(!of_table) {
                    from = usize::cast_from(u32::cast_from(ids[p]));
                }
                if from < x.shape(0) {
                    sum += weights[place] * x[from * x.stride(0) + column];
                }
            }
        }
        sums[part * UNITS + lane] = sum;
        sync_cube();
        if live && part == 0 && column < out.shape(1) {
            for other in 1..PARTS {
                sum += sums[other * UNITS + lane];
            }
            out[row * out.stride(0) + column] = sum;
        }
        sync_cube();
    }
}

/// See [`ContrastBackend::sampled_scores`](crate::kernels::ContrastBackend::sampled_scores), as a list.
pub(super) fn scores<R: CubeRuntime>(
    anchors: &CubeTensor<R>,
    table: &CubeTensor<R>,
    ids: &CubeTensor<R>,
) -> CubeTensor<R> {
    let count = ids.meta.shape()[0];
    let out = room(anchors, count);
    // SAFETY: places lie below the count, an anchor of theirs in its table; ids that are no rows of the other are not read.
    unsafe {
        scores_kernel::launch_unchecked(
            &anchors.client,
            spread(count.div_ceil(lanes::ROWS)),
            CubeDim::new_2d(lanes::UNITS as u32, lanes::ROWS as u32),
            addresses(&[anchors, table, ids]),
            anchors.clone().into_tensor_arg(),
            table.clone().into_tensor_arg(),
            ids.clone().into_tensor_arg(),
            out.clone().into_tensor_arg(),
            count as u32,
            (count / anchors.meta.shape()[0]) as u32,
        );
    }
    out
}

/// See [`ContrastBackend::sampled_scores_backward`](crate::kernels::ContrastBackend::sampled_scores_backward).
pub(super) fn scores_backward<R: CubeRuntime>(
    anchors: &CubeTensor<R>,
    table: &CubeTensor<R>,
    ids: &CubeTensor<R>,
    grad: &CubeTensor<R>,
) -> [CubeTensor<R>; 2] {
    let (n, rows) = (anchors.meta.shape()[0], table.meta.shape()[0]);
    let each = ids.meta.shape()[0] / n;
    let Order { begins, order } = Order::of(ids, rows);
    let sums = |x: &CubeTensor<R>, like_this: &CubeTensor<R>, rows: usize, of_table: bool| {
        let out = like(like_this);
        // SAFETY: a cube beyond the last row adds and writes nothing; places and rows as above.
        unsafe {
            sum_kernel::launch_unchecked(
                &x.client,
                spread(rows),
                CubeDim::new_2d(UNITS as u32, PARTS as u32),
                addresses(&[x, grad, &out]),
                x.clone().into_tensor_arg(),
                grad.clone().into_tensor_arg(),
                ids.clone().into_tensor_arg(),
                begins.clone().into_tensor_arg(),
                order.clone().into_tensor_arg(),
                out.clone().into_tensor_arg(),
                each as u32,
                of_table,
            );
        }
        out
    };
    [sums(table, anchors, n, false), sums(anchors, table, rows, true)]
}
