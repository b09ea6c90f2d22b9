//! burn-flex: the host kernel on its storage. Other element types than f32 take the portable body.

use burn::tensor::{DType, TensorData};
use burn_flex::{Flex, FlexTensor};

use super::backend::{Attention, SequenceBackend};
use super::{host, portable};

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
}
