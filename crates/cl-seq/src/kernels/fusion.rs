//! The same operations in Fusion's queue; see [`cl_core::kernels::fusion`]. What has no kernel of ours keeps its portable
//! body, whose operations Fusion may join; but rows are gathered here, since the list of their ids lies on the device already.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};
use burn_fusion::{Fusion, FusionBackend};
use cl_core::kernels::List;
use cl_core::kernels::fusion::custom;

use super::backend::{Attention, Dropout, Operand, Preparer, SequenceBackend};

impl<B: FusionBackend + SequenceBackend> SequenceBackend for Fusion<B> {
    fn preparer(device: &Self::Device, gradient: bool) -> Option<Preparer> {
        let prepare = B::preparer(device, gradient)?;
        Some(Box::new(move |operand| {
            // The recurrence is run by operations of its portable body.
            if !matches!(operand, Operand::Recurrence(_)) {
                prepare(operand);
            }
        }))
    }

    fn gather(table: FloatTensor<Self>, ids: &List<i32>) -> FloatTensor<Self> {
        let (ids, shape) = (ids.clone(), Shape::new([ids.len(), table.shape()[1]]));
        let run = move |[table]: [FloatTensor<B>; 1]| [B::gather(table, &ids)];
        let [out] = custom::<B, 1, 1>("gather", [table], [shape], run);
        out
    }

    fn gather_backward(grad: FloatTensor<Self>, ids: &List<i32>, rows: usize) -> FloatTensor<Self> {
        let (ids, shape) = (ids.clone(), Shape::new([rows, grad.shape()[1]]));
        let run = move |[grad]: [FloatTensor<B>; 1]| [B::gather_backward(grad, &ids, rows)];
        let [out] = custom::<B, 1, 1>("gather_backward", [grad], [shape], run);
        out
    }

    fn attend(
        attention: &Attention,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (attention, shape) = (attention.clone(), q.shape());
        let run = move |[q, k, v]: [FloatTensor<B>; 3]| [B::attend(&attention, q, k, v)];
        let [out] = custom::<B, 3, 1>("attend", [q, k, v], [shape], run);
        out
    }

    fn attend_backward(
        attention: &Attention,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let (attention, shape) = (attention.clone(), q.shape());
        let run = move |[q, k, v, grad]: [FloatTensor<B>; 4]| B::attend_backward(&attention, q, k, v, grad);
        let shapes = [shape.clone(), shape.clone(), shape];
        custom::<B, 4, 3>("attend_backward", [q, k, v, grad], shapes, run)
    }

    fn row_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        let run = move |[x, gamma, beta]: [FloatTensor<B>; 3]| [B::row_norm(x, gamma, beta, epsilon)];
        let [out] = custom::<B, 3, 1>("row_norm", [x, gamma, beta], [shape], run);
        out
    }

    fn row_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let shapes = [x.shape(), gamma.shape(), gamma.shape()];
        let run = move |[x, gamma, grad]: [FloatTensor<B>; 3]| B::row_norm_backward(x, gamma, epsilon, grad);
        custom::<B, 3, 3>("row_norm_backward", [x, gamma, grad], shapes, run)
    }

    fn sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = Shape::new([x.shape()[1]]);
        let [out] = custom::<B, 1, 1>("sum_rows", [x], [shape], |[x]| [B::sum_rows(x)]);
        out
    }

    fn drop_out(x: FloatTensor<Self>, dropout: &Dropout) -> FloatTensor<Self> {
        let (dropout, shape) = (dropout.clone(), x.shape());
        let [out] = custom::<B, 1, 1>("drop_out", [x], [shape], move |[x]| [B::drop_out(x, &dropout)]);
        out
    }
}
