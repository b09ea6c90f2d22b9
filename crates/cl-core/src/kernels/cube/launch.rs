//! What every launch needs.

use burn::tensor::Shape;
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous_aligned;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Row after row, each without gaps; a device may leave some between rows, which their stride tells.
pub(super) fn rows_in_memory<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    into_contiguous_aligned(tensor)
}

/// Room for so many numbers beside a tensor, one after another.
pub(super) fn room<R: CubeRuntime>(beside: &CubeTensor<R>, numbers: usize) -> CubeTensor<R> {
    let (client, device) = (beside.client.clone(), beside.device.clone());
    empty_device_dtype(client, device, Shape::new([numbers]), beside.dtype)
}

/// The width of addresses that all these tensors need.
pub(super) fn addresses<R: CubeRuntime>(tensors: &[&CubeTensor<R>]) -> AddressType {
    let widths = tensors.iter().map(|tensor| tensor.required_address_type());
    widths.max().unwrap_or_else(|| unreachable!("a kernel has tensors"))
}

/// So many cubes, spread over two axes: WebGPU allows 65,535 on one. `CUBE_POS` counts them.
pub(super) fn spread(cubes: usize) -> CubeCount {
    const MOST: usize = 32_768;
    if cubes <= MOST {
        CubeCount::Static(cubes.max(1) as u32, 1, 1)
    } else {
        CubeCount::Static(MOST as u32, cubes.div_ceil(MOST) as u32, 1)
    }
}
