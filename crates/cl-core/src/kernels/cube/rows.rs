//! Rows by themselves: dot products of pairs of them, their directions, and the gradients of both. One launch each, where
//! plain operations take five to fifteen: with rows this short, launches are what a GPU waits for.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::lanes::{ROWS, UNITS, joined, like, row_by_row};
use super::launch::room;
use crate::kernels::backend::SHORTEST;

/// The row's sum of `a · b`.
#[cube]
fn dot(a: &Tensor<f32>, b: &Tensor<f32>, row: usize, parts: &mut SharedMemory<f32>) -> f32 {
    let mut sum = f32::new(0.0);
    let mut column = UNIT_POS_X as usize;
    while column < a.shape(1) {
        sum += a[row * a.stride(0) + column] * b[row * b.stride(0) + column];
        column += UNITS;
    }
    joined(parts, sum)
}

/// The reciprocal of a length, from its square; 0 where that is too short to have a direction.
#[cube]
fn inverse(squares: f32) -> f32 {
    select(squares <= f32::new(SHORTEST * SHORTEST), f32::new(0.0), f32::new(1.0) / squares.sqrt())
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn dot_kernel(a: &Tensor<f32>, b: &Tensor<f32>, out: &mut Tensor<f32>) {
    let mut parts = SharedMemory::<f32>::new(comptime!(UNITS * ROWS));
    let at = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    let live = at < a.shape(0);
    let sum = dot(a, b, select(live, at, 0usize), &mut parts);
    if live && UNIT_POS_X == 0u32 {
        out[at] = sum;
    }
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn dot_backward_kernel(
    a: &Tensor<f32>,
    b: &Tensor<f32>,
    grad: &Tensor<f32>,
    of_a: &mut Tensor<f32>,
    of_b: &mut Tensor<f32>,
) {
    let row = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    if row < a.shape(0) {
        let grad = grad[row];
        let mut column = UNIT_POS_X as usize;
        while column < a.shape(1) {
            of_a[row * of_a.stride(0) + column] = b[row * b.stride(0) + column] * grad;
            of_b[row * of_b.stride(0) + column] = a[row * a.stride(0) + column] * grad;
            column += UNITS;
        }
    }
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn normalize_kernel(rows: &Tensor<f32>, out: &mut Tensor<f32>) {
    let mut parts = SharedMemory::<f32>::new(comptime!(UNITS * ROWS));
    let at = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    let live = at < rows.shape(0);
    let row = select(live, at, 0usize);
    let inverse = inverse(dot(rows, rows, row, &mut parts));
    if live {
        let mut column = UNIT_POS_X as usize;
        while column < rows.shape(1) {
            out[row * out.stride(0) + column] = rows[row * rows.stride(0) + column] * inverse;
            column += UNITS;
        }
    }
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn normalize_backward_kernel(rows: &Tensor<f32>, grad: &Tensor<f32>, out: &mut Tensor<f32>) {
    let mut of_squares = SharedMemory::<f32>::new(comptime!(UNITS * ROWS));
    let mut of_products = SharedMemory::<f32>::new(comptime!(UNITS * ROWS));
    let at = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    let live = at < rows.shape(0);
    let row = select(live, at, 0usize);
    let inverse = inverse(dot(rows, rows, row, &mut of_squares));
    let along = dot(rows, grad, row, &mut of_products) * inverse;
    if live {
        let mut column = UNIT_POS_X as usize;
        while column < rows.shape(1) {
            let direction = rows[row * rows.stride(0) + column] * inverse;
            let across = grad[row * grad.stride(0) + column] - direction * along;
            out[row * out.stride(0) + column] = across * inverse;
            column += UNITS;
        }
    }
}

/// See [`ContrastBackend::row_dot`](crate::kernels::ContrastBackend::row_dot).
pub(super) fn row_dot<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
    let out = room(&a, a.meta.shape()[0]);
    let [out] = row_by_row([a, b], [out], |(client, cubes, cube, address), [a, b], [out]| {
        // Safety: rows beyond the last write nothing and read row 0; all columns lie within the tables.
        unsafe { dot_kernel::launch_unchecked(client, cubes, cube, address, a, b, out) }
    });
    out
}

/// See [`ContrastBackend::row_dot_backward`](crate::kernels::ContrastBackend::row_dot_backward).
pub(super) fn row_dot_backward<R: CubeRuntime>(
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    grad: CubeTensor<R>,
) -> (CubeTensor<R>, CubeTensor<R>) {
    let (rows, grads) = (a.meta.shape()[0], grad.meta.shape().num_elements());
    assert!(rows == grads, "the dots of {rows} rows have {grads} gradients");
    let out = [like(&a), like(&b)];
    let [of_a, of_b] = row_by_row([a, b], out, |(client, cubes, cube, address), [a, b], [of_a, of_b]| {
        let grad = grad.into_tensor_arg();
        // Safety: as above; each row has a gradient.
        unsafe { dot_backward_kernel::launch_unchecked(client, cubes, cube, address, a, b, grad, of_a, of_b) }
    });
    (of_a, of_b)
}

/// See [`ContrastBackend::normalize_rows`](crate::kernels::ContrastBackend::normalize_rows).
pub(super) fn normalize_rows<R: CubeRuntime>(rows: CubeTensor<R>) -> CubeTensor<R> {
    let out = like(&rows);
    let [out] = row_by_row([rows], [out], |(client, cubes, cube, address), [rows], [out]| {
        // Safety: as above.
        unsafe { normalize_kernel::launch_unchecked(client, cubes, cube, address, rows, out) }
    });
    out
}

/// See [`ContrastBackend::normalize_rows_backward`](crate::kernels::ContrastBackend::normalize_rows_backward).
pub(super) fn normalize_rows_backward<R: CubeRuntime>(
    rows: CubeTensor<R>,
    grad: CubeTensor<R>,
) -> CubeTensor<R> {
    let out = like(&rows);
    let [out] = row_by_row([rows, grad], [out], |(client, cubes, cube, address), [rows, grad], [out]| {
        // Safety: as above.
        unsafe { normalize_backward_kernel::launch_unchecked(client, cubes, cube, address, rows, grad, out) }
    });
    out
}
