//! CUDA without a GPU, for tests of kernels.
//!
//! `CudaOnHost` is Burn's CUDA backend with another server behind it. Kernels become the CUDA C++ that they become on an
//! NVIDIA GPU, tensors lie in memory as they do there (rows of matrices padded to 512 bytes where that is the faster
//! layout), and instead of being sent to a device, each kernel that is launched
//!
//! 1. is compiled with NVRTC for compute capabilities 8.0 and 9.0, where that library is found;
//! 2. is compiled with the machine's C++ compiler and run on the CPU, unit after unit between barriers; every other launch goes
//!    through units and cubes from the last to the first, so that a missing barrier shows.
//!
//! What this cannot show: speed, races inside a warp, warp and tensor-core instructions (the backend says it has none),
//! and a real driver.
//!
//! NVRTC is looked for as the loader does (`LD_LIBRARY_PATH`) and wants CUDA's headers in `$CUDA_PATH/include`. With the
//! variable `CL_REQUIRE_NVRTC` set, its absence is an error; otherwise it is told once.
//!
//! With the variable `CL_IDLE_DEVICE` set, no kernel is run and what is read means nothing: what is left is the time that a
//! program needs to ask for its work, which on a GPU must be less than the time of the work. With the value `names`, each
//! launch, and each copy to the device with its bytes, is written to standard error.
#![cfg(feature = "run")]

mod cache;
mod host;
mod nvrtc;
mod runtime;
mod server;

pub use runtime::CudaOnHostRuntime;

/// The backend: f32, i32.
pub type CudaOnHost = burn_cubecl::CubeBackend<CudaOnHostRuntime, f32, i32, u8>;
