//! burn-flex: the host kernels on its storage. Other element types than f32 take the portable body.

use std::sync::Arc;

use burn::tensor::{DType, TensorData};
use burn_flex::{Flex, FlexTensor};

use super::backend::GraphBackend;
use super::{host, portable};
use crate::adjacency::Adjacency;
use crate::plan::Plan;

/// Calls a kernel on the tensor's rows and width, and makes a matrix of that width of what it returns.
fn on_rows(tensor: FlexTensor, kernel: impl FnOnce(&[f32], usize) -> Vec<f32>) -> FlexTensor {
    let tensor = if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() };
    let dim = tensor.layout().shape()[1];
    let out = kernel(tensor.as_slice::<f32>().unwrap_or_else(|| unreachable!("made contiguous before")), dim);
    let rows = out.len() / dim;
    FlexTensor::from_data(TensorData::new(out, [rows, dim]))
}

impl GraphBackend for Flex {
    fn spmm(adjacency: &Adjacency, transposed: bool, x: FlexTensor) -> FlexTensor {
        if x.dtype() != DType::F32 {
            return portable::spmm::<Self>(adjacency, transposed, x);
        }
        let csr = if transposed { adjacency.transposed() } else { adjacency.csr() };
        on_rows(x, |x, dim| host::spmm(csr, x, dim))
    }

    fn propagate(plan: &Arc<Plan>, table: FlexTensor) -> FlexTensor {
        if table.dtype() != DType::F32 {
            return portable::propagate::<Self>(plan, table);
        }
        on_rows(table, |table, dim| host::propagate(plan, table, dim))
    }

    fn propagate_backward(plan: &Arc<Plan>, grad: FlexTensor) -> FlexTensor {
        if grad.dtype() != DType::F32 {
            return portable::propagate_backward::<Self>(plan, grad);
        }
        on_rows(grad, |grad, dim| host::propagate_backward(plan, grad, dim))
    }
}
