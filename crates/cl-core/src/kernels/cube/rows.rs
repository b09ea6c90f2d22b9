//! Rows by themselves: dot products of pairs of them, their directions, and the gradients of both. One launch each, where
//! plain operations take five to fifteen: with rows this short, launches are what a GPU waits for.
//!
//! Sixteen units share a row, sixteen rows a cube; the sums of the units are added in their order.

use burn::tensor::Shape;
use burn_cubecl::CubeRuntime;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{addresses, room, spread};
use crate::kernels::backend::SHORTEST;

/// Units of a row.
const UNITS: usize = 16;
/// Rows of a cube.
const ROWS: usize = 16;

/// The sum of what the units of the row bring; all units of a cube call it together, each time with other memory.
#[cube]
fn joined(parts: &mut SharedMemory<f32>, own: f32) -> f32 {
    let row = UNIT_POS_Y as usize * UNITS;
    parts[row + UNIT_POS_X as usize] = own;
    sync_cube();
    let mut sum = f32::new(0.0);
    for unit in 0..UNITS {
        sum += parts[row + unit];
    }
    sum
}

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

/// A table like this one, with anything in it.
fn like<R: CubeRuntime>(table: &CubeTensor<R>) -> CubeTensor<R> {
    let shape: Shape = table.meta.shape().clone();
    empty_device_dtype(table.client.clone(), table.device.clone(), shape, table.dtype)
}

fn cubes<R: CubeRuntime>(table: &CubeTensor<R>) -> (CubeCount, CubeDim) {
    (spread(table.meta.shape()[0].div_ceil(ROWS)), CubeDim::new_2d(UNITS as u32, ROWS as u32))
}

/// See [`ContrastBackend::row_dot`](crate::kernels::ContrastBackend::row_dot).
pub(super) fn row_dot<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
    let out = room(&a, a.meta.shape()[0]);
    let (count, cube) = cubes(&a);
    let address = addresses(&[&a, &b]);
    let client = a.client.clone();
    // Safety: rows beyond the last write nothing and read row 0; all columns lie within the tables.
    unsafe {
        dot_kernel::launch_unchecked(
            &client,
            count,
            cube,
            address,
            a.into_tensor_arg(),
            b.into_tensor_arg(),
            out.clone().into_tensor_arg(),
        );
    }
    out
}

/// See [`ContrastBackend::row_dot_backward`](crate::kernels::ContrastBackend::row_dot_backward).
pub(super) fn row_dot_backward<R: CubeRuntime>(
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    grad: CubeTensor<R>,
) -> (CubeTensor<R>, CubeTensor<R>) {
    let (of_a, of_b) = (like(&a), like(&b));
    let (count, cube) = cubes(&a);
    let address = addresses(&[&a, &b, &of_a, &of_b]);
    let client = a.client.clone();
    // Safety: as above.
    unsafe {
        dot_backward_kernel::launch_unchecked(
            &client,
            count,
            cube,
            address,
            a.into_tensor_arg(),
            b.into_tensor_arg(),
            grad.into_tensor_arg(),
            of_a.clone().into_tensor_arg(),
            of_b.clone().into_tensor_arg(),
        );
    }
    (of_a, of_b)
}

/// See [`ContrastBackend::normalize_rows`](crate::kernels::ContrastBackend::normalize_rows).
pub(super) fn normalize_rows<R: CubeRuntime>(rows: CubeTensor<R>) -> CubeTensor<R> {
    let out = like(&rows);
    let (count, cube) = cubes(&rows);
    let address = addresses(&[&rows, &out]);
    let client = rows.client.clone();
    // Safety: as above.
    unsafe {
        normalize_kernel::launch_unchecked(
            &client,
            count,
            cube,
            address,
            rows.into_tensor_arg(),
            out.clone().into_tensor_arg(),
        );
    }
    out
}

/// See [`ContrastBackend::normalize_rows_backward`](crate::kernels::ContrastBackend::normalize_rows_backward).
pub(super) fn normalize_rows_backward<R: CubeRuntime>(
    rows: CubeTensor<R>,
    grad: CubeTensor<R>,
) -> CubeTensor<R> {
    let out = like(&rows);
    let (count, cube) = cubes(&rows);
    let address = addresses(&[&rows, &grad, &out]);
    let client = rows.client.clone();
    // Safety: as above.
    unsafe {
        normalize_backward_kernel::launch_unchecked(
            &client,
            count,
            cube,
            address,
            rows.into_tensor_arg(),
            grad.into_tensor_arg(),
            out.clone().into_tensor_arg(),
        );
    }
    out
}
