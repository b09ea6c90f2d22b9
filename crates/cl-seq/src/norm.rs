//! Layer normalisation.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor, TensorPrimitive};

use crate::kernels::SequenceBackend;

/// `γ ∘ (x − mean) / √(variance + ε) + β` for each row (Ba et al. 2016, equation 3). Burn's own is taken apart by autodiff,
/// operation by operation; this one has a gradient of its own.
#[derive(Module, Debug)]
pub(crate) struct LayerNorm<B: Backend> {
    gamma: Param<Tensor<B, 1>>,
    beta: Param<Tensor<B, 1>>,
    #[module(skip)]
    epsilon: f64,
}

impl<B: Backend> LayerNorm<B> {
    /// γ of ones and β of zeros.
    pub(crate) fn new(dim: usize, epsilon: f64, device: &Device<B>) -> Self {
        let gamma = Param::from_tensor(Tensor::ones([dim], device));
        Self { gamma, beta: Param::from_tensor(Tensor::zeros([dim], device)), epsilon }
    }
}

impl<B: SequenceBackend> LayerNorm<B> {
    /// `[n, d]` → `[n, d]`
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let [gamma, beta] = [&self.gamma, &self.beta].map(|x| x.val().into_primitive().tensor());
        let out = B::row_norm(x.into_primitive().tensor(), gamma, beta, self.epsilon as f32);
        Tensor::from_primitive(TensorPrimitive::Float(out))
    }
}
