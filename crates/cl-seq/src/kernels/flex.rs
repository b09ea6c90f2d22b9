//! burn-flex: the host kernel on its storage. Other element types than f32 take the portable body.

use burn::tensor::{DType, TensorData};
use burn_flex::{Flex, FlexTensor};

use super::backend::{Attention, Dropout, SequenceBackend};
use super::{host, host_rows, portable};

/// The tensor's numbers in row-major order without a copy where it is contiguous.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().unwrap_or_else(|| unreachable!("made contiguous before"))
}

impl SequenceBackend for Flex {
    fn attend(attention: &Attention, q: FlexTensor, k: FlexTensor, v: FlexTensor) -> FlexTensor {
        if q.dtype() != DType::F32 {
            return portable::attention::<Self>(attention, q, k, v);
        }
        let [q, k, v] = [q, k, v].map(contiguous);
        let dim = q.layout().shape()[1];
        let out = host::attention(attention, slice(&q), slice(&k), slice(&v), dim);
        FlexTensor::from_data(TensorData::new(out, [attention.tokens(), dim]))
    }

    fn attend_backward(
        attention: &Attention,
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        grad: FlexTensor,
    ) -> [FlexTensor; 3] {
        if q.dtype() != DType::F32 {
            return portable::attention_backward::<Self>(attention, q, k, v, grad);
        }
        let [q, k, v, grad] = [q, k, v, grad].map(contiguous);
        let dim = q.layout().shape()[1];
        host::attention_backward(attention, slice(&q), slice(&k), slice(&v), slice(&grad), dim)
            .map(|of| FlexTensor::from_data(TensorData::new(of, [attention.tokens(), dim])))
    }

    fn row_norm(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor, epsilon: f32) -> FlexTensor {
        if x.dtype() != DType::F32 {
            return portable::row_norm::<Self>(x, gamma, beta, epsilon);
        }
        let shape = x.layout().shape().clone();
        let [x, gamma, beta] = [x, gamma, beta].map(contiguous);
        let out = host_rows::norm(slice(&x), slice(&gamma), slice(&beta), epsilon);
        FlexTensor::from_data(TensorData::new(out, shape))
    }

    fn row_norm_backward(
        x: FlexTensor,
        gamma: FlexTensor,
        epsilon: f32,
        grad: FlexTensor,
    ) -> [FlexTensor; 3] {
        if x.dtype() != DType::F32 {
            return portable::row_norm_backward::<Self>(x, gamma, epsilon, grad);
        }
        let shape = x.layout().shape().clone();
        let [x, gamma, grad] = [x, gamma, grad].map(contiguous);
        let [of_x, of_gamma, of_beta] =
            host_rows::norm_backward(slice(&x), slice(&gamma), epsilon, slice(&grad));
        let dim = of_gamma.len();
        [
            FlexTensor::from_data(TensorData::new(of_x, shape)),
            FlexTensor::from_data(TensorData::new(of_gamma, [dim])),
            FlexTensor::from_data(TensorData::new(of_beta, [dim])),
        ]
    }

    fn drop_out(x: FlexTensor, dropout: &Dropout) -> FlexTensor {
        if x.dtype() != DType::F32 {
            return portable::drop_out::<Self>(x, dropout);
        }
        let shape = x.layout().shape().clone();
        let mut numbers = slice(&contiguous(x)).to_vec();
        host_rows::drop_out(&mut numbers, dropout, shape[1]);
        FlexTensor::from_data(TensorData::new(numbers, shape))
    }
}
