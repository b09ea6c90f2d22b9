//! What the tests share: tensors from numbers and back, errors, random numbers, thread pools.
#![allow(dead_code, unused_macros, unused_imports)] // every test uses a part of it

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use cl_core::StreamKey;
use cl_core::rng::unit;

/// A tensor of these numbers.
pub(crate) fn tensor<B: Backend, const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<B, D> {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

/// The numbers of a tensor, row-major.
pub(crate) fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f32>().map(f64::from).collect()
}

/// The bits of a tensor.
pub(crate) fn bits<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<u32> {
    tensor.into_data().iter::<f32>().map(f32::to_bits).collect()
}

/// `max |found − expected| / max |expected|`, or `max |found|` where all that is expected is 0. Equal infinities are
/// equal; any other number that is not finite makes the error infinite.
#[track_caller]
pub(crate) fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "the number of values differs");
    let (mut difference, mut scale) = (0.0_f64, 0.0_f64);
    for (&found, &expected) in found.iter().zip(expected) {
        if found == expected && found.is_infinite() {
            continue;
        }
        if !found.is_finite() || !expected.is_finite() {
            return f64::INFINITY;
        }
        difference = difference.max((found - expected).abs());
        scale = scale.max(expected.abs());
    }
    if scale > 0.0 { difference / scale } else { difference }
}

/// The largest error that a family of comparisons came to; printed when it goes out of scope.
pub(crate) struct Worst {
    what: String,
    pub(crate) tolerance: f64,
    error: f64,
    comparisons: usize,
}

impl Worst {
    pub(crate) fn new(what: impl Into<String>, tolerance: f64) -> Self {
        Self { what: what.into(), tolerance, error: 0.0, comparisons: 0 }
    }

    /// Compares, and fails above the tolerance.
    #[track_caller]
    pub(crate) fn check(&mut self, found: &[f64], expected: &[f64], context: &str) {
        let error = error(found, expected);
        if error > self.tolerance {
            let gap = |at: &usize| (found[*at] - expected[*at]).abs();
            let worst = (0..found.len()).max_by(|a, b| gap(a).total_cmp(&gap(b)));
            let [found, expected] = [found, expected].map(|values| worst.map(|at| values[at]));
            panic!(
                "{} {context}: error {error:e} above {:e}, found {found:?} for {expected:?} at {worst:?}",
                self.what, self.tolerance
            );
        }
        self.error = self.error.max(error);
        self.comparisons += 1;
    }
}

impl Drop for Worst {
    fn drop(&mut self) {
        println!("{}: worst error {:.1e} in {} comparisons", self.what, self.error, self.comparisons);
    }
}

/// `count` numbers of U(−1, 1) from a stream, exact in f32.
pub(crate) fn random(key: StreamKey, count: usize) -> Vec<f64> {
    (0..count.div_ceil(4) as u32)
        .flat_map(|block| key.words(0, block))
        .take(count)
        .map(|word| f64::from(2.0 * unit(word) - 1.0))
        .collect()
}

/// Runs `work` on a pool of so many threads.
pub(crate) fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Whether this is a backend of CubeCL. Each shape there may be a kernel of its own that is compiled first, so tests take fewer.
pub(crate) fn compiles_kernels(backend: &str) -> bool {
    !["flex", "ndarray"].contains(&backend)
}

// Named by their parts: Burn's own names stand for other types where its feature `fusion` is on.
#[cfg(feature = "wgpu")]
pub(crate) type Wgpu = burn_cubecl::CubeBackend<cubecl::wgpu::WgpuRuntime, f32, i32, u32>;
#[cfg(feature = "cuda")]
pub(crate) type Cuda = burn_cubecl::CubeBackend<cubecl::cuda::CudaRuntime, f32, i32, u8>;

/// A panic on the device's own thread reaches a test as an error that tells nothing.
#[cfg(feature = "wgpu")]
pub(crate) fn needs_an_adapter() {
    let found = std::panic::catch_unwind(|| values(tensor::<Wgpu, 1>(&[1.0], [1])));
    assert!(
        found.is_ok_and(|found| found == [1.0]),
        "the feature `wgpu` is on, and no WebGPU adapter was found; a software one comes with the package \
         mesa-vulkan-drivers"
    );
}

/// Instantiates generic checks as tests on each backend that is compiled in.
macro_rules! on_each_backend {
    ($($check:ident),* $(,)?) => {
        #[cfg(feature = "flex")]
        mod flex {
            $(#[test] fn $check() { super::$check::<burn::backend::Flex>("flex"); })*
        }
        #[cfg(feature = "ndarray")]
        mod ndarray {
            $(#[test] fn $check() { super::$check::<burn_ndarray::NdArray<f32>>("ndarray"); })*
        }
        #[cfg(feature = "wgpu")]
        mod wgpu {
            $(#[test] fn $check() {
                super::common::needs_an_adapter();
                super::$check::<super::common::Wgpu>("wgpu");
            })*
        }
        #[cfg(feature = "cuda-on-host")]
        mod cuda_on_host {
            $(#[test] fn $check() { super::$check::<cl_cuda_on_host::CudaOnHost>("CUDA on the host"); })*
        }
        #[cfg(feature = "cuda")]
        mod cuda {
            $(#[test] fn $check() { super::$check::<super::common::Cuda>("cuda"); })*
        }
        #[cfg(all(feature = "fusion", feature = "wgpu"))]
        mod fusion_wgpu {
            $(#[test] fn $check() {
                super::common::needs_an_adapter();
                super::$check::<burn_fusion::Fusion<super::common::Wgpu>>("wgpu under Fusion");
            })*
        }
        #[cfg(all(feature = "fusion", feature = "cuda-on-host"))]
        mod fusion_cuda_on_host {
            type Fused = burn_fusion::Fusion<cl_cuda_on_host::CudaOnHost>;
            $(#[test] fn $check() { super::$check::<Fused>("CUDA on the host under Fusion"); })*
        }
        #[cfg(all(feature = "fusion", feature = "cuda"))]
        mod fusion_cuda {
            type Fused = burn_fusion::Fusion<super::common::Cuda>;
            $(#[test] fn $check() { super::$check::<Fused>("cuda under Fusion"); })*
        }
    };
}
pub(crate) use on_each_backend;
