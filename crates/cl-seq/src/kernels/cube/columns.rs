//! Sums over rows, column by column. Burn's own gives a column to one unit, which reads row after row.

use burn::tensor::Shape;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::addresses;
use cubecl::prelude::*;

use super::work::matrix;

/// Columns of a cube, and units that share a column.
const COLUMNS: usize = 32;
const UNITS: usize = 8;
/// Rows that a cube adds.
const CHUNK: usize = 256;

/// `out[chunk] = Σ x[row]` over the rows of a chunk, each unit every eighth, then one unit the sums of all.
///
/// With `normed`, x is the gradient g of normalised rows: `out` gets the sums of `g ∘ x̂`, and `plain` those of g.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn columns_kernel(
    x: &Tensor<f32>,
    of: &Tensor<f32>,
    means: &Tensor<f32>,
    inverses: &Tensor<f32>,
    out: &mut Tensor<f32>,
    plain: &mut Tensor<f32>,
    #[comptime] normed: bool,
) {
    let mut sums = SharedMemory::<f32>::new(comptime!(COLUMNS * UNITS));
    let mut plain_sums = SharedMemory::<f32>::new(comptime!(COLUMNS * UNITS));
    let chunk = CUBE_POS_Y as usize;
    let column = CUBE_POS_X as usize * COLUMNS + UNIT_POS_X as usize;
    let end = select((chunk + 1) * CHUNK < x.shape(0), (chunk + 1) * CHUNK, x.shape(0));
    let mut row = chunk * CHUNK + UNIT_POS_Y as usize;
    let mut sum = f32::new(0.0);
    let mut plain_sum = f32::new(0.0);
    if column < x.shape(1) {
        while row < end {
            let value = x[row * x.stride(0) + column];
            if comptime!(normed) {
                sum += value * (of[row * of.stride(0) + column] - means[row]) * inverses[row];
                plain_sum += value;
            } else {
                sum += value;
            }
            row += UNITS;
        }
    }
    let place = UNIT_POS_Y as usize * COLUMNS + UNIT_POS_X as usize;
    sums[place] = sum;
    plain_sums[place] = plain_sum;
    sync_cube();
    if UNIT_POS_Y == 0u32 && column < x.shape(1) {
        let mut sum = f32::new(0.0);
        let mut plain_sum = f32::new(0.0);
        for unit in 0..UNITS {
            sum += sums[unit * COLUMNS + UNIT_POS_X as usize];
            plain_sum += plain_sums[unit * COLUMNS + UNIT_POS_X as usize];
        }
        out[chunk * out.stride(0) + column] = sum;
        if comptime!(normed) {
            plain[chunk * plain.stride(0) + column] = plain_sum;
        }
    }
}

/// What rows are normalised with.
struct Normed<'a, R: CubeRuntime> {
    of: &'a CubeTensor<R>,
    means: &'a CubeTensor<R>,
    inverses: &'a CubeTensor<R>,
}

/// The sums of each chunk, `[chunks, d]`, plain or as the kernel tells.
fn chunks<R: CubeRuntime>(x: &CubeTensor<R>, normed: Option<&Normed<'_, R>>) -> [CubeTensor<R>; 2] {
    let [rows, columns] = [0, 1].map(|axis| x.meta.shape()[axis]);
    let chunks = rows.div_ceil(CHUNK);
    let out = matrix(x, [chunks, columns]);
    let plain = if normed.is_some() { matrix(x, [chunks, columns]) } else { out.clone() };
    let arg = |tensor: &CubeTensor<R>| tensor.clone().into_tensor_arg();
    // Where nothing is normalised, no kernel reads or writes what stands for it.
    let [of, means, inverses] = normed.map_or([x, x, x], |normed| [normed.of, normed.means, normed.inverses]);
    // SAFETY: rows and columns lie within the tables, chunks within the outputs.
    unsafe {
        columns_kernel::launch_unchecked(
            &x.client,
            CubeCount::Static(columns.div_ceil(COLUMNS) as u32, chunks as u32, 1),
            CubeDim::new_2d(COLUMNS as u32, UNITS as u32),
            addresses(&[x, of, &out]),
            arg(x),
            arg(of),
            arg(means),
            arg(inverses),
            arg(&out),
            arg(&plain),
            normed.is_some(),
        );
    }
    [out, plain]
}

/// The sum of all rows, `[n, d]` → `[d]`; a launch for every factor of 256 in n.
pub(super) fn sum_rows<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    let mut x = x;
    while x.meta.shape()[0] > 1 {
        [x, _] = chunks(&x, None);
    }
    let columns = x.meta.shape()[1];
    CubeTensor::new_contiguous(x.client, x.device, Shape::new([columns]), x.handle, x.dtype)
}

/// Sums of `g ∘ x̂` and of g over chunks of rows, which [`sum_rows`] adds up.
pub(super) fn normed_columns<R: CubeRuntime>(
    x: &CubeTensor<R>,
    grad: &CubeTensor<R>,
    means: &CubeTensor<R>,
    inverses: &CubeTensor<R>,
) -> [CubeTensor<R>; 2] {
    chunks(grad, Some(&Normed { of: x, means, inverses }))
}
