//! burn-ndarray: the host kernels through `TensorData`, one copy in and one out.

use std::sync::Arc;

use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, TensorData, TensorMetadata, backend::Backend};
use burn_ndarray::{
    FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayTensor, QuantElement, SharedArray,
};

use super::backend::GraphBackend;
use super::{host, portable};
use crate::adjacency::Adjacency;
use crate::plan::Plan;

/// Calls a kernel on the tensor's rows and width, and makes a matrix of that width of what it returns.
fn on_rows<B: Backend>(
    tensor: FloatTensor<B>,
    kernel: impl FnOnce(&[f32], usize) -> Vec<f32>,
) -> FloatTensor<B> {
    let dim = tensor.shape()[1];
    let data = burn::tensor::read_sync(B::float_into_data(tensor)).map(|data| data.to_vec::<f32>());
    let Ok(Ok(data)) = data else { unreachable!("host memory of f32 can always be read") };
    let out = kernel(&data, dim);
    let rows = out.len() / dim;
    B::float_from_data(TensorData::new(out, [rows, dim]), &B::Device::default())
}

impl<E, I, Q> GraphBackend for NdArray<E, I, Q>
where
    E: FloatNdArrayElement,
    I: IntNdArrayElement,
    Q: QuantElement,
    NdArrayTensor: From<SharedArray<E>> + From<SharedArray<I>>,
{
    fn spmm(adjacency: &Adjacency, transposed: bool, x: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.dtype() != DType::F32 {
            return portable::spmm::<Self>(adjacency, transposed, x);
        }
        let csr = if transposed { adjacency.transposed() } else { adjacency.csr() };
        on_rows::<Self>(x, |x, dim| host::spmm(csr, x, dim))
    }

    fn propagate(plan: &Arc<Plan>, table: FloatTensor<Self>) -> FloatTensor<Self> {
        if table.dtype() != DType::F32 {
            return portable::propagate::<Self>(plan, table);
        }
        on_rows::<Self>(table, |table, dim| host::propagate(plan, table, dim))
    }

    fn propagate_backward(plan: &Arc<Plan>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if grad.dtype() != DType::F32 {
            return portable::propagate_backward::<Self>(plan, grad);
        }
        on_rows::<Self>(grad, |grad, dim| host::propagate_backward(plan, grad, dim))
    }
}
