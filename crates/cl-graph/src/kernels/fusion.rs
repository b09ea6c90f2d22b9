//! The same operations in Fusion's queue; see [`cl_core::kernels::fusion`].

use std::sync::Arc;

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};
use burn_fusion::{Fusion, FusionBackend};
use cl_core::kernels::fusion::custom;

use super::backend::{GraphBackend, Preparer};
use crate::adjacency::Adjacency;
use crate::plan::Plan;

impl<B: FusionBackend + GraphBackend> GraphBackend for Fusion<B> {
    fn spmm(adjacency: &Adjacency, transposed: bool, x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (adjacency, shape) = (adjacency.clone(), x.shape());
        let run = move |[x]: [FloatTensor<B>; 1]| [B::spmm(&adjacency, transposed, x)];
        let [out] = custom::<B, 1, 1>("spmm", [x], [shape], run);
        out
    }

    fn propagate(plan: &Arc<Plan>, table: FloatTensor<Self>) -> FloatTensor<Self> {
        let (plan, shape) = (plan.clone(), Shape::new([plan.rows(), table.shape()[1]]));
        let run = move |[table]: [FloatTensor<B>; 1]| [B::propagate(&plan, table)];
        let [out] = custom::<B, 1, 1>("propagate", [table], [shape], run);
        out
    }

    fn preparer(device: &Self::Device, gradient: bool) -> Option<Preparer> {
        B::preparer(device, gradient)
    }

    fn propagate_backward(plan: &Arc<Plan>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (plan, shape) = (plan.clone(), Shape::new([plan.nodes, grad.shape()[1]]));
        let run = move |[grad]: [FloatTensor<B>; 1]| [B::propagate_backward(&plan, grad)];
        let [out] = custom::<B, 1, 1>("propagate_backward", [grad], [shape], run);
        out
    }
}
