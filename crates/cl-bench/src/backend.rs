//! The backends that experiments run on.

use burn::tensor::backend::AutodiffBackend;
use cl_core::kernels::{ContrastBackend, OptimizerBackend};
use cl_eval::RankBackend;
use cl_graph::GraphBackend;
use cl_seq::SequenceBackend;

/// A backend that can rank and update: the inner side of a [`TrainBackend`].
pub trait EvalBackend:
    GraphBackend + SequenceBackend + ContrastBackend + RankBackend + OptimizerBackend
{
}
impl<B: GraphBackend + SequenceBackend + ContrastBackend + RankBackend + OptimizerBackend> EvalBackend for B {}

/// All that an experiment asks of a backend, so that the bounds stand in one place.
pub trait TrainBackend:
    AutodiffBackend<InnerBackend: EvalBackend> + GraphBackend + SequenceBackend + ContrastBackend
{
}
impl<B> TrainBackend for B where
    B: AutodiffBackend<InnerBackend: EvalBackend> + GraphBackend + SequenceBackend + ContrastBackend
{
}

/// Something that is done on a backend chosen at run time.
pub trait OnBackend {
    /// What comes out.
    type Output;

    /// Does it.
    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output;
}

/// Names of all backends with the Cargo feature that compiles each in; flex is always there.
pub(crate) const BACKENDS: &[(&str, Option<&str>)] = &[
    ("flex", None),
    ("ndarray", Some("ndarray")),
    ("cuda", Some("cuda")),
    ("wgpu", Some("wgpu")),
    #[cfg(feature = "cuda-on-host")]
    ("cuda-on-host", Some("cuda-on-host")),
];

/// Whether a backend of this name is compiled in.
#[must_use]
pub(crate) fn is_compiled(name: &str) -> bool {
    match name {
        "flex" => true,
        "ndarray" => cfg!(feature = "ndarray"),
        "cuda" => cfg!(feature = "cuda"),
        "wgpu" => cfg!(feature = "wgpu"),
        "cuda-on-host" => cfg!(feature = "cuda-on-host"),
        _ => false,
    }
}

/// Does something on the backend of this name; `None` if it is not compiled in.
pub fn on_backend<O: OnBackend>(name: &str, work: O) -> Option<O::Output> {
    match name {
        "flex" => Some(work.run::<burn::backend::Autodiff<burn_flex::Flex>>(Default::default())),
        #[cfg(feature = "ndarray")]
        "ndarray" => Some(work.run::<burn::backend::Autodiff<burn_ndarray::NdArray>>(Default::default())),
        #[cfg(feature = "cuda")]
        "cuda" => Some(work.run::<burn::backend::Autodiff<burn::backend::Cuda>>(Default::default())),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(work.run::<burn::backend::Autodiff<burn::backend::Wgpu>>(Default::default())),
        #[cfg(feature = "cuda-on-host")]
        "cuda-on-host" => {
            Some(work.run::<burn::backend::Autodiff<cl_cuda_on_host::CudaOnHost>>(Default::default()))
        }
        _ => None,
    }
}
