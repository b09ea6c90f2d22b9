//! Normalised rows and their gradient.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::lanes::{ROWS, UNITS, joined, like, row_by_row};
use cl_core::kernels::cube::launch::room;
use cubecl::prelude::*;

use super::columns::{normed_columns, sum_rows};

/// Memory in which the units of a cube add.
const PARTS: usize = UNITS * ROWS;

/// Mean and 1 / √(variance + ε) of a row. All units of a cube call it together.
#[cube]
fn moments(x: &Tensor<f32>, row: usize, epsilon: f32) -> (f32, f32) {
    let mut of_mean = SharedMemory::<f32>::new(PARTS);
    let mut of_squares = SharedMemory::<f32>::new(PARTS);
    let (place, columns) = (row * x.stride(0), x.shape(1));
    let share = f32::new(1.0) / f32::cast_from(columns as u32);
    let mut sum = f32::new(0.0);
    let mut column = UNIT_POS_X as usize;
    while column < columns {
        sum += x[place + column];
        column += UNITS;
    }
    let mean = joined(&mut of_mean, sum) * share;
    let mut squares = f32::new(0.0);
    let mut column = UNIT_POS_X as usize;
    while column < columns {
        let centered = x[place + column] - mean;
        squares += centered * centered;
        column += UNITS;
    }
    let variance = joined(&mut of_squares, squares) * share;
    (mean, f32::new(1.0) / (variance + epsilon).sqrt())
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn norm_kernel(
    x: &Tensor<f32>,
    gamma: &Tensor<f32>,
    beta: &Tensor<f32>,
    out: &mut Tensor<f32>,
    epsilon: f32,
) {
    let at = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    let live = at < x.shape(0);
    let row = select(live, at, 0usize);
    let (mean, inverse) = moments(x, row, epsilon);
    if live {
        let mut column = UNIT_POS_X as usize;
        while column < x.shape(1) {
            let normed = (x[row * x.stride(0) + column] - mean) * inverse;
            out[row * out.stride(0) + column] = gamma[column] * normed + beta[column];
            column += UNITS;
        }
    }
}

/// The gradient of x, and for that of γ each row's mean and 1 / √(variance + ε).
#[cube(launch_unchecked, address_type = "dynamic")]
fn norm_backward_kernel(
    x: &Tensor<f32>,
    gamma: &Tensor<f32>,
    grad: &Tensor<f32>,
    out: &mut Tensor<f32>,
    means: &mut Tensor<f32>,
    inverses: &mut Tensor<f32>,
    epsilon: f32,
) {
    let mut of_mean = SharedMemory::<f32>::new(PARTS);
    let mut of_along = SharedMemory::<f32>::new(PARTS);
    let at = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    let live = at < x.shape(0);
    let row = select(live, at, 0usize);
    let (mean, inverse) = moments(x, row, epsilon);
    let columns = x.shape(1);
    let share = f32::new(1.0) / f32::cast_from(columns as u32);
    let mut sum = f32::new(0.0);
    let mut products = f32::new(0.0);
    let mut column = UNIT_POS_X as usize;
    while column < columns {
        let h = gamma[column] * grad[row * grad.stride(0) + column];
        sum += h;
        products += h * (x[row * x.stride(0) + column] - mean) * inverse;
        column += UNITS;
    }
    let mean_h = joined(&mut of_mean, sum) * share;
    let along = joined(&mut of_along, products) * share;
    if live {
        let mut column = UNIT_POS_X as usize;
        while column < columns {
            let h = gamma[column] * grad[row * grad.stride(0) + column];
            let normed = (x[row * x.stride(0) + column] - mean) * inverse;
            out[row * out.stride(0) + column] = (h - mean_h - normed * along) * inverse;
            column += UNITS;
        }
        if UNIT_POS_X == 0u32 {
            means[row] = mean;
            inverses[row] = inverse;
        }
    }
}

/// # Panics
///
/// If γ or β has not one number a column.
fn one_a_column<R: CubeRuntime, const N: usize>(x: &CubeTensor<R>, numbers: [&CubeTensor<R>; N]) {
    let columns = x.meta.shape()[1];
    for numbers in numbers.map(|numbers| numbers.meta.shape()[0]) {
        assert!(numbers == columns, "rows of {columns} columns are normalised with {numbers} numbers");
    }
}

/// See [`SequenceBackend::row_norm`](crate::SequenceBackend::row_norm); one launch.
pub(super) fn norm<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    beta: CubeTensor<R>,
    epsilon: f32,
) -> CubeTensor<R> {
    one_a_column(&x, [&gamma, &beta]);
    let out = like(&x);
    let [out] = row_by_row([x], [out], |(client, cubes, cube, address), [x], [out]| {
        let [gamma, beta] = [gamma, beta].map(CubeTensor::into_tensor_arg);
        // SAFETY: rows beyond the last write nothing and read row 0; γ and β have a number for each column.
        unsafe { norm_kernel::launch_unchecked(client, cubes, cube, address, x, gamma, beta, out, epsilon) }
    });
    out
}

/// See [`SequenceBackend::row_norm_backward`](crate::SequenceBackend::row_norm_backward).
///
/// One launch for x and one for the sums over chunks of rows; then two, for γ and β, for every factor of 256 in the chunks.
pub(super) fn norm_backward<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    epsilon: f32,
    grad: CubeTensor<R>,
) -> [CubeTensor<R>; 3] {
    one_a_column(&x, [&gamma]);
    let rows = x.meta.shape()[0];
    let out = like(&x);
    let (means, inverses) = (room(&x, rows), room(&x, rows));
    let tables = [x.clone(), grad.clone()];
    let [out] = row_by_row(tables, [out], |(client, cubes, cube, address), [x, grad], [out]| {
        let [gamma, means, inverses] =
            [gamma, means.clone(), inverses.clone()].map(CubeTensor::into_tensor_arg);
        // SAFETY: as above; each row has a mean.
        unsafe {
            norm_backward_kernel::launch_unchecked(
                client, cubes, cube, address, x, gamma, grad, out, means, inverses, epsilon,
            );
        }
    });
    let [of_gamma, of_beta] = normed_columns(&x, &grad, &means, &inverses).map(sum_rows);
    [out, of_gamma, of_beta]
}
