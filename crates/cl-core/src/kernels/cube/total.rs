//! The sum of all numbers of a vector. Burn's own sum along a row gives it to one unit, which reads number after number.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{room, spread};

/// Units of a cube.
const UNITS: usize = 256;
/// Numbers that a cube adds at most.
const SHARE: usize = 16_384;

/// Each cube adds `share` numbers: each unit every 256th of them, then their sums are added in halves.
#[cube(launch_unchecked, address_type = "dynamic")]
fn total_kernel(x: &Tensor<f32>, out: &mut Tensor<f32>, count: u32, share: u32) {
    let mut sums = SharedMemory::<f32>::new(UNITS);
    let begin = CUBE_POS * usize::cast_from(share);
    let count = usize::cast_from(count);
    let end = begin + usize::cast_from(share);
    let end = select(end < count, end, count);
    let mut at = begin + UNIT_POS as usize;
    let mut sum = f32::new(0.0);
    while at < end {
        sum += x[at];
        at += UNITS;
    }
    sums[UNIT_POS as usize] = sum;
    #[unroll]
    for halving in 1..=comptime!(UNITS.ilog2()) {
        let width = comptime!(UNITS >> halving);
        sync_cube();
        if (UNIT_POS as usize) < width {
            let other = sums[UNIT_POS as usize + width];
            sums[UNIT_POS as usize] += other;
        }
    }
    if UNIT_POS == 0u32 && begin < count {
        out[CUBE_POS] = sums[0];
    }
}

/// See [`ContrastBackend::total`](crate::kernels::ContrastBackend::total). One launch, or one more for every factor of
/// 16,384.
pub(super) fn total<R: CubeRuntime>(x: &CubeTensor<R>) -> CubeTensor<R> {
    let count = x.meta.shape().num_elements();
    let cubes = count.div_ceil(SHARE);
    let out = room(x, cubes);
    // SAFETY: numbers are read below the count, and each cube that has some writes one.
    unsafe {
        total_kernel::launch_unchecked(
            &x.client,
            spread(cubes),
            CubeDim::new_1d(UNITS as u32),
            x.required_address_type(),
            x.clone().into_tensor_arg(),
            out.clone().into_tensor_arg(),
            count as u32,
            SHARE as u32,
        );
    }
    if cubes == 1 { out } else { total(&out) }
}
