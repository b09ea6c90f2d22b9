//! burn-ndarray: the host kernel through `TensorData`, one copy in and one out.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Shape, TensorData, TensorMetadata, backend::Backend};
use burn_ndarray::{
    FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayTensor, QuantElement, SharedArray,
};

use super::backend::{Attention, Dropout, SequenceBackend};
use super::{host, host_rows, portable};

fn read<B: Backend>(tensor: FloatTensor<B>) -> Vec<f32> {
    let data = burn::tensor::read_sync(B::float_into_data(tensor)).map(|data| data.to_vec::<f32>());
    let Ok(Ok(data)) = data else { unreachable!("host memory of f32 can always be read") };
    data
}

fn write<B: Backend>(values: Vec<f32>, shape: impl Into<Shape>) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(values, shape.into()), &B::Device::default())
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

    fn row_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        if x.dtype() != DType::F32 {
            return portable::row_norm::<Self>(x, gamma, beta, epsilon);
        }
        let shape = x.shape();
        let [x, gamma, beta] = [x, gamma, beta].map(read::<Self>);
        write::<Self>(host_rows::norm(&x, &gamma, &beta, epsilon), shape)
    }

    fn row_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        if x.dtype() != DType::F32 {
            return portable::row_norm_backward::<Self>(x, gamma, epsilon, grad);
        }
        let shape = x.shape();
        let [x, gamma, grad] = [x, gamma, grad].map(read::<Self>);
        let [of_x, of_gamma, of_beta] = host_rows::norm_backward(&x, &gamma, epsilon, &grad);
        let dim = [of_gamma.len()];
        [write::<Self>(of_x, shape), write::<Self>(of_gamma, dim), write::<Self>(of_beta, dim)]
    }

    fn drop_out(x: FloatTensor<Self>, dropout: &Dropout) -> FloatTensor<Self> {
        if x.dtype() != DType::F32 {
            return portable::drop_out::<Self>(x, dropout);
        }
        let shape = x.shape();
        let mut numbers = read::<Self>(x);
        host_rows::drop_out(&mut numbers, dropout, shape[1]);
        write::<Self>(numbers, shape)
    }
}
