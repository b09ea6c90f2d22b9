//! burn-flex: the host kernels on its storage. Other element types than f32 take the portable body.

use burn::tensor::DType;
use burn_flex::{Flex, FlexTensor};

use super::backend::{AdamStep, ContrastBackend, KeyMask, OptimizerBackend};
use super::host::{self, Matrix};
use super::{host_sampled, portable};

/// The tensor's numbers in row-major order without a copy where it is contiguous.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().unwrap_or_else(|| unreachable!("made contiguous before"))
}

fn whole_numbers(tensor: &FlexTensor) -> &[i32] {
    tensor.as_slice::<i32>().unwrap_or_else(|| unreachable!("contiguous, and of this type"))
}

fn matrix(tensor: &FlexTensor) -> Matrix<'_> {
    let shape = tensor.layout().shape();
    Matrix { data: slice(tensor), rows: shape[0], columns: shape[1] }
}

fn tensor<const D: usize>(data: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(burn::tensor::TensorData::new(data, shape))
}

impl ContrastBackend for Flex {
    fn normalize_rows(rows: FlexTensor) -> FlexTensor {
        if rows.dtype() != DType::F32 {
            return portable::normalize_rows::<Self>(rows);
        }
        let mut rows = whole(rows);
        let d = rows.layout().shape()[1];
        host::normalize_rows(rows.storage_mut(), d);
        rows
    }

    fn normalize_rows_backward(rows: FlexTensor, grad: FlexTensor) -> FlexTensor {
        if rows.dtype() != DType::F32 {
            return portable::normalize_rows_backward::<Self>(rows, grad);
        }
        let (rows, mut grad) = (contiguous(rows), whole(grad));
        host::normalize_rows_backward(matrix(&rows), grad.storage_mut());
        grad
    }

    fn row_lse(anchors: FlexTensor, keys: FlexTensor, scale: f32, mask: Option<KeyMask>) -> FlexTensor {
        if anchors.dtype() != DType::F32 {
            return portable::row_lse::<Self>(anchors, keys, scale, mask);
        }
        let (anchors, keys) = (contiguous(anchors), contiguous(keys));
        let out = host::row_lse(matrix(&anchors), matrix(&keys), scale, mask.as_ref());
        let length = out.len();
        tensor(out, [length])
    }

    fn row_lse_backward(
        anchors: FlexTensor,
        keys: FlexTensor,
        lse: FlexTensor,
        grad: FlexTensor,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (FlexTensor, FlexTensor) {
        if anchors.dtype() != DType::F32 {
            return portable::row_lse_backward::<Self>(anchors, keys, lse, grad, scale, mask);
        }
        let [anchors, keys, lse, grad] = [anchors, keys, lse, grad].map(contiguous);
        let (a, k) = (matrix(&anchors), matrix(&keys));
        let (of_anchors, of_keys) =
            host::row_lse_backward(a, k, slice(&lse), slice(&grad), scale, mask.as_ref());
        (tensor(of_anchors, [a.rows, a.columns]), tensor(of_keys, [k.rows, k.columns]))
    }

    fn row_lse_and_mean(
        anchors: FlexTensor,
        keys: FlexTensor,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (FlexTensor, FlexTensor) {
        if anchors.dtype() != DType::F32 {
            return portable::row_lse_and_mean::<Self>(anchors, keys, scale, mask);
        }
        let (anchors, keys) = (contiguous(anchors), contiguous(keys));
        let a = matrix(&anchors);
        let (lse, mean) = host::row_lse_and_mean(a, matrix(&keys), scale, mask.as_ref());
        (tensor(lse, [a.rows]), tensor(mean, [a.rows, a.columns]))
    }

    fn sampled_scores(anchors: FlexTensor, table: FlexTensor, ids: FlexTensor) -> FlexTensor {
        if anchors.dtype() != DType::F32 || ids.dtype() != DType::I32 {
            return portable::sampled_scores::<Self>(anchors, table, ids);
        }
        let [anchors, table] = [anchors, table].map(contiguous);
        let (a, ids) = (matrix(&anchors), ids.to_contiguous());
        let out = host_sampled::scores(a, matrix(&table), whole_numbers(&ids));
        let k = out.len() / a.rows;
        tensor(out, [a.rows, k])
    }

    fn sampled_scores_backward(
        anchors: FlexTensor,
        table: FlexTensor,
        ids: FlexTensor,
        grad: FlexTensor,
    ) -> [FlexTensor; 2] {
        if anchors.dtype() != DType::F32 || ids.dtype() != DType::I32 {
            return portable::sampled_scores_backward::<Self>(anchors, table, ids, grad);
        }
        let [anchors, table, grad] = [anchors, table, grad].map(contiguous);
        let (a, t, ids) = (matrix(&anchors), matrix(&table), ids.to_contiguous());
        let [of_anchors, of_table] = host_sampled::scores_backward(a, t, whole_numbers(&ids), slice(&grad));
        [tensor(of_anchors, [a.rows, a.columns]), tensor(of_table, [t.rows, t.columns])]
    }
}

impl OptimizerBackend for Flex {
    fn adam(
        parameter: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        step: AdamStep,
    ) -> [FlexTensor; 3] {
        if parameter.dtype() != DType::F32 {
            return portable::adam::<Self>(parameter, gradient, first, second, step);
        }
        let [mut parameter, gradient, mut first, mut second] =
            [parameter, gradient, first, second].map(whole);
        host::adam(
            parameter.storage_mut(),
            slice(&gradient),
            first.storage_mut(),
            second.storage_mut(),
            step,
        );
        [parameter, first, second]
    }

    fn lerp(from: FlexTensor, to: FlexTensor, weight: f64) -> FlexTensor {
        if from.dtype() != DType::F32 {
            return portable::lerp::<Self>(from, to, weight);
        }
        let (mut from, to) = (whole(from), contiguous(to));
        host::lerp(from.storage_mut(), slice(&to), weight as f32);
        from
    }
}

/// Contiguous from offset 0, so that `storage_mut` is the whole tensor; it copies only if the tensor is shared.
fn whole(tensor: FlexTensor) -> FlexTensor {
    let elements = tensor.layout().shape().num_elements();
    let plain = tensor.is_contiguous() && tensor.storage::<f32>().len() == elements;
    if plain { tensor } else { FlexTensor::from_data(tensor.into_data()) }
}
