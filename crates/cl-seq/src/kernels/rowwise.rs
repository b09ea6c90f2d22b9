//! Linear layers and dropout as operations of [`SequenceBackend`].

use burn::nn::Linear;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

use super::backend::{Dropout, SequenceBackend};

fn primitive<B: SequenceBackend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn wrap<B: SequenceBackend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// `x W + b`, `[n, in]` → `[n, out]`.
pub(crate) fn linear<B: SequenceBackend>(linear: &Linear<B>, x: Tensor<B, 2>) -> Tensor<B, 2> {
    match &linear.bias {
        Some(bias) => wrap(B::affine(primitive(x), primitive(linear.weight.val()), primitive(bias.val()))),
        None => linear.forward(x),
    }
}

/// `x [tokens, d]` with some numbers dropped.
pub(crate) fn drop_out<B: SequenceBackend>(x: Tensor<B, 2>, dropout: &Dropout) -> Tensor<B, 2> {
    wrap(B::drop_out(primitive(x), dropout))
}
