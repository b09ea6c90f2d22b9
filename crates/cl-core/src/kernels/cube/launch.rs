//! What every launch needs.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous_aligned;
use burn_cubecl::ops::numeric::{empty_device_dtype, zeros_client};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::stream_id::StreamId;

use crate::kernels::List;

/// Row after row, each without gaps; a device may leave some between rows, which their stride tells.
#[must_use]
pub fn rows_in_memory<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    into_contiguous_aligned(tensor)
}

/// Room for so many numbers of this type beside a tensor, one after another, with anything in it.
#[must_use]
pub fn room_for<R: CubeRuntime>(beside: &CubeTensor<R>, numbers: usize, dtype: DType) -> CubeTensor<R> {
    let (client, device) = (beside.client.clone(), beside.device.clone());
    empty_device_dtype(client, device, Shape::new([numbers]), dtype)
}

/// The same, of that tensor's type.
#[must_use]
pub fn room<R: CubeRuntime>(beside: &CubeTensor<R>, numbers: usize) -> CubeTensor<R> {
    room_for(beside, numbers, beside.dtype)
}

/// Room for so many whole numbers, at least one, that are zero.
#[must_use]
pub fn zeros_u32<R: CubeRuntime>(beside: &CubeTensor<R>, numbers: usize) -> CubeTensor<R> {
    zeros_client(beside.client.clone(), beside.device.clone(), Shape::new([numbers.max(1)]), DType::U32)
}

/// The width of addresses that all these tensors need.
#[must_use]
pub fn addresses<R: CubeRuntime>(tensors: &[&CubeTensor<R>]) -> AddressType {
    let widths = tensors.iter().map(|tensor| tensor.required_address_type());
    widths.max().unwrap_or_else(|| unreachable!("a kernel has tensors"))
}

/// What a kernel is launched with besides its tensors: the client, how many cubes of how many units, the width of addresses.
pub type Launch<'a, R> = (&'a ComputeClient<R>, CubeCount, CubeDim, AddressType);

/// So many cubes, spread over two axes: WebGPU allows 65,535 on one. `CUBE_POS` counts them.
#[must_use]
pub fn spread(cubes: usize) -> CubeCount {
    const MOST: usize = 32_768;
    if cubes <= MOST {
        CubeCount::Static(cubes.max(1) as u32, 1, 1)
    } else {
        CubeCount::Static(MOST as u32, cubes.div_ceil(MOST) as u32, 1)
    }
}

/// These numbers on the device of another tensor; one number where there is none, as no buffer is empty.
#[must_use]
pub fn upload<R: CubeRuntime, E: CubeElement>(
    beside: &CubeTensor<R>,
    numbers: &[E],
    dtype: DType,
    none: E,
) -> CubeTensor<R> {
    let numbers = if numbers.is_empty() { &[none][..] } else { numbers };
    let handle = beside.client.create_from_slice(E::as_bytes(numbers));
    let shape = Shape::new([numbers.len()]);
    CubeTensor::new_contiguous(beside.client.clone(), beside.device.clone(), shape, handle, dtype)
}

/// Whole numbers on the device of another tensor.
#[must_use]
pub fn upload_u32<R: CubeRuntime>(beside: &CubeTensor<R>, numbers: &[u32]) -> CubeTensor<R> {
    upload(beside, numbers, DType::U32, 0)
}

/// A list on the device of another tensor, copied when it is first asked for.
pub fn listed<R: CubeRuntime>(beside: &CubeTensor<R>, list: &List<u32>) -> CubeTensor<R> {
    let here = |made: &CubeTensor<R>| made.device == beside.device;
    list.on_device().get(here, || upload_u32(beside, list))
}

/// Makes things ready on a device from any thread, in the queue of the thread that made this.
///
/// A queue of the asking thread's own would let the device reuse what was copied there while kernels of the other still read
/// it: CubeCL 0.10 waits for a copy to be done, but not for its readers.
pub struct Ahead<R: CubeRuntime> {
    /// Copies are beside something that lies there.
    beside: CubeTensor<R>,
    queue: StreamId,
}

impl<R: CubeRuntime> Ahead<R> {
    /// In the queue of this thread.
    #[must_use]
    pub fn of<B>(device: &R::Device) -> Self
    where
        B: Backend<Device = R::Device, FloatTensorPrimitive = CubeTensor<R>>,
    {
        let beside = Tensor::<B, 1>::empty([1], device).into_primitive().tensor();
        Self { beside, queue: StreamId::current() }
    }

    /// Does it, given any tensor of the device.
    pub fn run(&self, make: impl FnOnce(&CubeTensor<R>)) {
        self.queue.executes(|| make(&self.beside));
    }
}
