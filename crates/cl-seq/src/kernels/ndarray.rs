//! burn-ndarray: the host kernel through `TensorData`, one copy in and one out.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, TensorData, TensorMetadata, backend::Backend};
use burn_ndarray::{
    FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayTensor, QuantElement, SharedArray,
};

use super::backend::{Attention, SequenceBackend};
use super::{host, portable};

fn read<B: Backend>(tensor: FloatTensor<B>) -> Vec<f32> {
    let data = burn::tensor::read_sync(B::float_into_data(tensor)).map(|data| data.to_vec::<f32>());
    let Ok(Ok(data)) = data else { unreachable!("host memory of f32 can always be read") };
    data
}

fn write<B: Backend>(values: Vec<f32>, shape: [usize; 2]) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(values, shape), &B::Device::default())
}

impl<E, I, Q> SequenceBackend for NdArray<E, I, Q>
where
    E: FloatNdArrayElement,
    I: IntNdArrayElement,
    Q: QuantElement,
    NdArrayTensor: From<SharedArray<E>> + From<SharedArray<I>>,
{
    fn attend(
        attention: &Attention,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if q.dtype() != DType::F32 {
            return portable::attention::<Self>(attention, q, k, v);
        }
        let dim = q.shape()[1];
        let [q, k, v] = [q, k, v].map(read::<Self>);
        write::<Self>(host::attention(attention, &q, &k, &v, dim), [attention.tokens(), dim])
    }

    fn attend_backward(
        attention: &Attention,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        if q.dtype() != DType::F32 {
            return portable::attention_backward::<Self>(attention, q, k, v, grad);
        }
        let dim = q.shape()[1];
        let [q, k, v, grad] = [q, k, v, grad].map(read::<Self>);
        host::attention_backward(attention, &q, &k, &v, &grad, dim)
            .map(|of| write::<Self>(of, [attention.tokens(), dim]))
    }
}
