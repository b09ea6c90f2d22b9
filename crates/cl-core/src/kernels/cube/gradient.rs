//! The gradient of the streaming log-sum-exp for one of its tables. A cube takes 64 rows of that table and a share of the
//! other's, 64 at a time: it computes a tile of logits once more, turns it into weights in shared memory, and adds weights ×
//! rows to sums that stay in registers. Shares are added in their order by a second kernel.
//!
//! Both tables' gradients are two launches, each of which computes the logits. Memory besides the tables: the gradient, for
//! each share.

use burn::tensor::Shape;
use burn_cubecl::CubeRuntime;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{addresses, room, spread};
use super::row_lse::{Hides, LOWEST, Mask, hidden};
use super::tile::{EACH, PITCH, SIDE, TILE, dot_products, shares};

/// Rows of the other table that stand in shared memory when they are added.
const DEPTH: usize = 16;

/// `out_i = Σ_j w_ij y_j`, where `w = factor · grad · exp(scale · ⟨x_i, y_j⟩ − lse)`; lse and grad belong to the rows of x
/// (`own`) or of y.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn gradient_kernel(
    x: &Tensor<f32>,
    y: &Tensor<f32>,
    lse: &Tensor<f32>,
    grad: &Tensor<f32>,
    anchor_ids: &Tensor<u32>,
    key_ids: &Tensor<u32>,
    out: &mut Tensor<f32>,
    scale: f32,
    factor: f32,
    share: u32,
    first_key: u32,
    #[comptime] slices: usize,
    #[comptime] hides: Hides,
    #[comptime] own: bool,
) {
    let n = x.shape(0);
    let m = y.shape(0);
    let columns = x.shape(1);
    let stride = y.stride(0);
    let across = UNIT_POS_X as usize;
    let down = UNIT_POS_Y as usize;
    let unit = UNIT_POS as usize;
    let first = CUBE_POS_X as usize * TILE;
    let mut x_tile = SharedMemory::<f32>::new(comptime!(DEPTH * PITCH));
    let mut y_tile = SharedMemory::<f32>::new(comptime!(DEPTH * PITCH));
    let mut weights = SharedMemory::<f32>::new(comptime!(TILE * PITCH));
    let mut products = Array::<f32>::new(comptime!(EACH * EACH));
    let mut sums = Array::<f32>::new(comptime!(slices * EACH * EACH));
    #[unroll]
    for at in 0..comptime!(slices * EACH * EACH) {
        sums[at] = f32::new(0.0);
    }

    let begin = CUBE_POS_Y as usize * share as usize;
    let end = select(begin + (share as usize) < m, begin + share as usize, m);
    let mut other = begin;
    while other < end {
        dot_products(&mut products, &mut x_tile, &mut y_tile, x, y, first, other);
        #[unroll]
        for i in 0..EACH {
            let row = first + down + i * SIDE;
            let safe_row = select(row < n, row, 0usize);
            #[unroll]
            for j in 0..EACH {
                let column = other + across + j * SIDE;
                let outside = column >= end || row >= n;
                let safe_column = select(column < end, column, 0usize);
                let owner = if comptime!(own) { safe_row } else { safe_column };
                // Not "lse > LOWEST is visible": a loss that is not a number must not become one.
                let mut unseen = outside || lse[owner] <= f32::new(LOWEST);
                if comptime!(hides != Hides::Nothing) {
                    let key = if comptime!(own) { safe_column } else { safe_row };
                    unseen = unseen || hidden(anchor_ids, key_ids, owner, key, first_key, hides);
                }
                let weight = factor * grad[owner] * (products[i * EACH + j] * scale - lse[owner]).exp();
                weights[(down + i * SIDE) * PITCH + across + j * SIDE] =
                    select(unseen, f32::new(0.0), weight);
            }
        }
        #[unroll]
        for slice in 0..slices {
            for part in 0..comptime!(TILE / DEPTH) {
                sync_cube();
                #[unroll]
                for piece in 0..comptime!(DEPTH * TILE / (SIDE * SIDE)) {
                    let at = unit + piece * comptime!(SIDE * SIDE);
                    let row = other + part * DEPTH + at / TILE;
                    let column = slice * TILE + at % TILE;
                    let inside = row < end && column < columns;
                    let value = y[select(inside, row * stride + column, 0usize)];
                    y_tile[(at / TILE) * PITCH + at % TILE] = select(inside, value, f32::new(0.0));
                }
                sync_cube();
                for depth in 0..DEPTH {
                    #[unroll]
                    for i in 0..EACH {
                        let weight = weights[(down + i * SIDE) * PITCH + part * DEPTH + depth];
                        #[unroll]
                        for j in 0..EACH {
                            sums[slice * comptime!(EACH * EACH) + i * EACH + j] +=
                                weight * y_tile[depth * PITCH + across + j * SIDE];
                        }
                    }
                }
            }
        }
        other += TILE;
    }

    #[unroll]
    for slice in 0..slices {
        #[unroll]
        for i in 0..EACH {
            let row = first + down + i * SIDE;
            #[unroll]
            for j in 0..EACH {
                let column = slice * TILE + across + j * SIDE;
                if row < n && column < columns {
                    out[(CUBE_POS_Y as usize * n + row) * columns + column] =
                        sums[slice * comptime!(EACH * EACH) + i * EACH + j];
                }
            }
        }
    }
}

/// Adds the shares, one unit a number.
#[cube(launch_unchecked, address_type = "dynamic")]
fn add_kernel(parts: &Tensor<f32>, out: &mut Tensor<f32>, shares: u32) {
    let at = ABSOLUTE_POS;
    let rows = out.shape(0);
    let columns = out.shape(1);
    if at < rows * columns {
        let mut sum = f32::new(0.0);
        for share in 0..shares as usize {
            sum += parts[share * rows * columns + at];
        }
        out[at / columns * out.stride(0) + at % columns] = sum;
    }
}

/// The gradient of the anchors, `[n, d]`.
pub(super) fn of_anchors<R: CubeRuntime>(
    anchors: &CubeTensor<R>,
    keys: &CubeTensor<R>,
    lse: &CubeTensor<R>,
    grad: &CubeTensor<R>,
    mask: &Mask<R>,
    scale: f32,
) -> CubeTensor<R> {
    gradient(anchors, keys, lse, grad, mask, [scale, scale], true)
}

/// The mean key of each anchor under its softmax, `[n, d]`; `ones` are as many as anchors.
pub(super) fn mean<R: CubeRuntime>(
    anchors: &CubeTensor<R>,
    keys: &CubeTensor<R>,
    lse: &CubeTensor<R>,
    ones: &CubeTensor<R>,
    mask: &Mask<R>,
    scale: f32,
) -> CubeTensor<R> {
    gradient(anchors, keys, lse, ones, mask, [scale, 1.0], true)
}

/// The gradient of the keys, `[m, d]`.
pub(super) fn of_keys<R: CubeRuntime>(
    anchors: &CubeTensor<R>,
    keys: &CubeTensor<R>,
    lse: &CubeTensor<R>,
    grad: &CubeTensor<R>,
    mask: &Mask<R>,
    scale: f32,
) -> CubeTensor<R> {
    gradient(keys, anchors, lse, grad, mask, [scale, scale], false)
}

#[allow(clippy::too_many_arguments)]
fn gradient<R: CubeRuntime>(
    x: &CubeTensor<R>,
    y: &CubeTensor<R>,
    lse: &CubeTensor<R>,
    grad: &CubeTensor<R>,
    mask: &Mask<R>,
    [scale, factor]: [f32; 2],
    own: bool,
) -> CubeTensor<R> {
    let (n, m, d) = (x.meta.shape()[0], y.meta.shape()[0], x.meta.shape()[1]);
    let (count, each) = shares(n, m);
    let parts = room(x, count * n * d);
    let client = &x.client;
    let out = empty_device_dtype(client.clone(), x.device.clone(), Shape::new([n, d]), x.dtype);
    // Safety: rows and columns outside the tables are read at row 0, with weight 0, and written nowhere.
    unsafe {
        gradient_kernel::launch_unchecked(
            client,
            CubeCount::Static(n.div_ceil(TILE) as u32, count as u32, 1),
            CubeDim::new_2d(SIDE as u32, SIDE as u32),
            addresses(&[x, y, &parts]),
            x.clone().into_tensor_arg(),
            y.clone().into_tensor_arg(),
            lse.clone().into_tensor_arg(),
            grad.clone().into_tensor_arg(),
            mask.anchors.clone().into_tensor_arg(),
            mask.keys.clone().into_tensor_arg(),
            parts.clone().into_tensor_arg(),
            scale,
            factor,
            each as u32,
            mask.first,
            d.div_ceil(TILE),
            mask.hides,
            own,
        );
        add_kernel::launch_unchecked(
            client,
            spread((n * d).div_ceil(256)),
            CubeDim::new_1d(256),
            addresses(&[&parts, &out]),
            parts.into_tensor_arg(),
            out.clone().into_tensor_arg(),
            count as u32,
        );
    }
    out
}
