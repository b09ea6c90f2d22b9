//! burn-ndarray: the host kernels through `TensorData`, one copy in and one out.

use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, TensorData, TensorMetadata};
use burn_ndarray::{
    FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayTensor, QuantElement, SharedArray,
};

use super::backend::{AdamStep, ContrastBackend, KeyMask, OptimizerBackend};
use super::host::{self, Matrix};
use super::{host_sampled, portable};

struct Host {
    data: Vec<f32>,
    shape: Vec<usize>,
}

impl Host {
    fn matrix(&self) -> Matrix<'_> {
        Matrix { data: &self.data, rows: self.shape[0], columns: self.shape[1] }
    }
}

impl<E, I, Q> ContrastBackend for NdArray<E, I, Q>
where
    E: FloatNdArrayElement,
    I: IntNdArrayElement,
    Q: QuantElement,
    NdArrayTensor: From<SharedArray<E>> + From<SharedArray<I>>,
{
    fn normalize_rows(rows: FloatTensor<Self>) -> FloatTensor<Self> {
        if rows.dtype() != DType::F32 {
            return portable::normalize_rows::<Self>(rows);
        }
        let mut rows = read::<Self>(rows);
        host::normalize_rows(&mut rows.data, rows.shape[1]);
        write::<Self>(rows.data, rows.shape)
    }

    fn normalize_rows_backward(rows: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if rows.dtype() != DType::F32 {
            return portable::normalize_rows_backward::<Self>(rows, grad);
        }
        let (rows, mut grad) = (read::<Self>(rows), read::<Self>(grad));
        host::normalize_rows_backward(rows.matrix(), &mut grad.data);
        write::<Self>(grad.data, grad.shape)
    }

    fn row_lse(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> FloatTensor<Self> {
        if anchors.dtype() != DType::F32 {
            return portable::row_lse::<Self>(anchors, keys, scale, mask);
        }
        let (anchors, keys) = (read::<Self>(anchors), read::<Self>(keys));
        let out = host::row_lse(anchors.matrix(), keys.matrix(), scale, mask.as_ref());
        let shape = vec![out.len()];
        write::<Self>(out, shape)
    }

    fn row_lse_backward(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if anchors.dtype() != DType::F32 {
            return portable::row_lse_backward::<Self>(anchors, keys, lse, grad, scale, mask);
        }
        let [anchors, keys, lse, grad] = [anchors, keys, lse, grad].map(read::<Self>);
        let (of_anchors, of_keys) = host::row_lse_backward(
            anchors.matrix(),
            keys.matrix(),
            &lse.data,
            &grad.data,
            scale,
            mask.as_ref(),
        );
        (write::<Self>(of_anchors, anchors.shape), write::<Self>(of_keys, keys.shape))
    }

    fn row_lse_and_mean(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if anchors.dtype() != DType::F32 {
            return portable::row_lse_and_mean::<Self>(anchors, keys, scale, mask);
        }
        let (anchors, keys) = (read::<Self>(anchors), read::<Self>(keys));
        let (lse, mean) = host::row_lse_and_mean(anchors.matrix(), keys.matrix(), scale, mask.as_ref());
        let length = lse.len();
        (write::<Self>(lse, vec![length]), write::<Self>(mean, anchors.shape))
    }

    fn sampled_scores(
        anchors: FloatTensor<Self>,
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        if anchors.dtype() != DType::F32 {
            return portable::sampled_scores::<Self>(anchors, table, ids);
        }
        let (anchors, table) = (read::<Self>(anchors), read::<Self>(table));
        let out = host_sampled::scores(anchors.matrix(), table.matrix(), &whole_numbers::<Self>(ids));
        let shape = vec![anchors.shape[0], out.len() / anchors.shape[0]];
        write::<Self>(out, shape)
    }

    fn sampled_scores_backward(
        anchors: FloatTensor<Self>,
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        if anchors.dtype() != DType::F32 {
            return portable::sampled_scores_backward::<Self>(anchors, table, ids, grad);
        }
        let [anchors, table, grad] = [anchors, table, grad].map(read::<Self>);
        let ids = whole_numbers::<Self>(ids);
        let [of_anchors, of_table] =
            host_sampled::scores_backward(anchors.matrix(), table.matrix(), &ids, &grad.data);
        [write::<Self>(of_anchors, anchors.shape), write::<Self>(of_table, table.shape)]
    }
}

impl<E, I, Q> OptimizerBackend for NdArray<E, I, Q>
where
    E: FloatNdArrayElement,
    I: IntNdArrayElement,
    Q: QuantElement,
    NdArrayTensor: From<SharedArray<E>> + From<SharedArray<I>>,
{
    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> [FloatTensor<Self>; 3] {
        if parameter.dtype() != DType::F32 {
            return portable::adam::<Self>(parameter, gradient, first, second, step);
        }
        let [mut parameter, gradient, mut first, mut second] =
            [parameter, gradient, first, second].map(read::<Self>);
        host::adam(&mut parameter.data, &gradient.data, &mut first.data, &mut second.data, step);
        [parameter, first, second].map(|tensor| write::<Self>(tensor.data, tensor.shape))
    }

    fn lerp(from: FloatTensor<Self>, to: FloatTensor<Self>, weight: f64) -> FloatTensor<Self> {
        if from.dtype() != DType::F32 {
            return portable::lerp::<Self>(from, to, weight);
        }
        let (mut from, to) = (read::<Self>(from), read::<Self>(to));
        host::lerp(&mut from.data, &to.data, weight as f32);
        write::<Self>(from.data, from.shape)
    }
}

fn read<B: Backend>(tensor: FloatTensor<B>) -> Host {
    let shape = tensor.shape().to_vec();
    let data = burn::tensor::read_sync(B::float_into_data(tensor)).and_then(|data| {
        data.to_vec::<f32>().map_err(|_| unreachable!("the element type was checked to be f32"))
    });
    let Ok(data) = data else { unreachable!("host memory can always be read") };
    Host { data, shape }
}

fn whole_numbers<B: Backend>(tensor: IntTensor<B>) -> Vec<i32> {
    let Ok(data) = burn::tensor::read_sync(B::int_into_data(tensor)) else {
        unreachable!("host memory can always be read")
    };
    data.iter::<i32>().collect()
}

fn write<B: Backend>(data: Vec<f32>, shape: Vec<usize>) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(data, shape), &B::Device::default())
}
