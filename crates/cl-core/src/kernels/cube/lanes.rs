//! Kernels that go row by row: sixteen units share a row, sixteen rows a cube; the sums of the units are added in their order.

// What #[cube] makes of a function cannot be given a word of its own.
#![allow(missing_docs)]

use burn::tensor::Shape;
use burn_cubecl::CubeRuntime;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{Launch, addresses, spread};

/// Units of a row.
pub const UNITS: usize = 16;
/// Rows of a cube.
pub const ROWS: usize = 16;

/// The sum of what the units of the row bring; all units of a cube call it together, each time with other memory.
#[cube]
pub fn joined(parts: &mut SharedMemory<f32>, own: f32) -> f32 {
    let row = UNIT_POS_Y as usize * UNITS;
    parts[row + UNIT_POS_X as usize] = own;
    sync_cube();
    let mut sum = f32::new(0.0);
    for unit in 0..UNITS {
        sum += parts[row + unit];
    }
    sum
}

/// A table like this one, with anything in it.
#[must_use]
pub fn like<R: CubeRuntime>(table: &CubeTensor<R>) -> CubeTensor<R> {
    let shape: Shape = table.meta.shape().clone();
    empty_device_dtype(table.client.clone(), table.device.clone(), shape, table.dtype)
}

/// Launches a kernel on tables of one shape, with a cube for every sixteen rows, and gives what it writes.
///
/// # Panics
///
/// If the tables have different shapes.
pub fn row_by_row<R: CubeRuntime, const N: usize, const M: usize>(
    tables: [CubeTensor<R>; N],
    out: [CubeTensor<R>; M],
    launch: impl FnOnce(Launch<'_, R>, [TensorArg<R>; N], [TensorArg<R>; M]),
) -> [CubeTensor<R>; M] {
    let (client, shape) = (tables[0].client.clone(), tables[0].meta.shape().clone());
    for table in &tables {
        let other = table.meta.shape();
        assert!(*other == shape, "rows go with rows of a table like theirs: {shape:?} beside {other:?}");
    }
    let all: Vec<&CubeTensor<R>> = tables.iter().chain(&out).collect();
    let address = addresses(&all);
    let cubes = spread(shape[0].div_ceil(ROWS));
    let cube = CubeDim::new_2d(UNITS as u32, ROWS as u32);
    let written = out.each_ref().map(|table| table.clone().into_tensor_arg());
    launch((&client, cubes, cube, address), tables.map(CubeTensor::into_tensor_arg), written);
    out
}
