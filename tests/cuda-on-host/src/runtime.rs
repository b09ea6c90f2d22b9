//! The runtime: what CubeCL's CUDA runtime says of itself on a GPU of compute capability 8.0, without warp instructions.

use cubecl::cuda::{CudaCompiler, CudaDevice};
use cubecl::device::DeviceId;
use cubecl::ir::TargetProperties;
use cubecl::zspace::striding::has_pitched_row_major_strides;
use cubecl::zspace::{Shape, Strides};
use cubecl::{Runtime, client::ComputeClient};

use crate::server::HostServer;

/// CUDA's runtime with the host in the GPU's place.
#[derive(Debug, Clone)]
pub struct CudaOnHostRuntime;

impl Runtime for CudaOnHostRuntime {
    type Compiler = CudaCompiler;
    type Server = HostServer;
    type Device = CudaDevice;

    fn client(device: &Self::Device) -> ComputeClient<Self> {
        ComputeClient::load(device)
    }

    fn name(_client: &ComputeClient<Self>) -> &'static str {
        "cuda on the host"
    }

    fn require_array_lengths() -> bool {
        true
    }

    fn max_cube_count() -> (u32, u32, u32) {
        (i32::MAX as u32, u16::MAX as u32, u16::MAX as u32)
    }

    fn can_read_tensor(shape: &Shape, strides: &Strides) -> bool {
        has_pitched_row_major_strides(shape, strides)
    }

    fn target_properties() -> TargetProperties {
        cubecl::cuda::CudaRuntime::target_properties()
    }

    fn enumerate_devices(_: u16, (): &()) -> Vec<DeviceId> {
        vec![DeviceId { type_id: 0, index_id: 0 }]
    }
}
