//! Attention, normalised rows, dropout, sums over rows and the gradient of gathered rows on GPU backends of CubeCL: kernels of
//! our own for f32; the scores of a sequence are never stored. Other element types, and heads whose tiles do not fit into the
//! device's shared memory, take the portable body; so does recurrence, whose products are Burn's.
//!
//! No atomic is used, and how work is divided depends on the lengths of the sequences alone: the same inputs give the same bits
//! on one device. They are tested on Vulkan in software and as CUDA on the host; on an NVIDIA GPU they have not been run.

mod backward;
mod columns;
mod dropout;
mod forward;
mod norm;
mod rows;
mod tile;
mod work;

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};
use cl_core::kernels::List;
use cl_core::kernels::cube::launch::{Ahead, rows_in_memory};

use super::backend::{Attention, Dropout, Operand, Preparer, SequenceBackend};
use super::portable;
use super::recurrence::{self, Steps};
use work::Work;

/// Whether a kernel takes rows of this kind.
fn takes<R: CubeRuntime>(rows: &CubeTensor<R>) -> bool {
    rows.dtype == DType::F32 && rows.meta.shape().num_elements() > 0
}

impl<R, F, I, BT> SequenceBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    fn preparer(device: &R::Device, gradient: bool) -> Option<Preparer> {
        if F::dtype() != DType::F32 {
            return None;
        }
        let (ahead, device) = (Ahead::<R>::of::<Self>(device), device.clone());
        Some(Box::new(move |operand| {
            ahead.run(|beside| match operand {
                Operand::Ids(ids) => {
                    portable::listed::<Self>(ids, &device);
                    if gradient {
                        rows::Planned::of(ids, beside);
                    }
                }
                Operand::Attention(Attention { offsets, dropout, .. }) => {
                    work::Tiles::of(offsets, beside);
                    if let Some((_, keys)) = dropout {
                        work::halves(keys, beside);
                    }
                }
                Operand::Dropout(Dropout { offsets, keys, .. }) => {
                    dropout::Offsets::of(offsets, beside);
                    work::halves(keys, beside);
                }
                Operand::Recurrence(offsets) => {
                    Steps::<Self>::of(offsets, &device);
                }
            });
        }))
    }

    fn gather_backward(grad: CubeTensor<R>, ids: &List<i32>, rows: usize) -> CubeTensor<R> {
        let dim = grad.meta.shape()[1];
        if grad.dtype != DType::F32 || ids.is_empty() || dim == 0 {
            return portable::gather_backward::<Self>(grad, ids, rows);
        }
        let out = Tensor::<Self, 2>::zeros([rows, dim], &grad.device).into_primitive().tensor();
        rows::sum_rows(&rows_in_memory(grad), ids, &out);
        out
    }

    fn attend(attention: &Attention, q: CubeTensor<R>, k: CubeTensor<R>, v: CubeTensor<R>) -> CubeTensor<R> {
        let Some(work) = Work::new(attention, &q, forward::TILES) else {
            return portable::attention::<Self>(attention, q, k, v);
        };
        let [q, k, v] = [q, k, v].map(rows_in_memory);
        forward::attention(&work, &q, &k, &v)
    }

    fn attend_backward(
        attention: &Attention,
        q: CubeTensor<R>,
        k: CubeTensor<R>,
        v: CubeTensor<R>,
        grad: CubeTensor<R>,
    ) -> [CubeTensor<R>; 3] {
        let Some(work) = Work::new(attention, &q, backward::TILES) else {
            return portable::attention_backward::<Self>(attention, q, k, v, grad);
        };
        let [q, k, v, grad] = [q, k, v, grad].map(rows_in_memory);
        backward::attention_backward(&work, &q, &k, &v, &grad)
    }

    fn row_norm(x: CubeTensor<R>, gamma: CubeTensor<R>, beta: CubeTensor<R>, epsilon: f32) -> CubeTensor<R> {
        if !takes(&x) {
            return portable::row_norm::<Self>(x, gamma, beta, epsilon);
        }
        let [x, gamma, beta] = [x, gamma, beta].map(rows_in_memory);
        norm::norm(x, gamma, beta, epsilon)
    }

    fn row_norm_backward(
        x: CubeTensor<R>,
        gamma: CubeTensor<R>,
        epsilon: f32,
        grad: CubeTensor<R>,
    ) -> [CubeTensor<R>; 3] {
        if !takes(&x) {
            return portable::row_norm_backward::<Self>(x, gamma, epsilon, grad);
        }
        let [x, gamma, grad] = [x, gamma, grad].map(rows_in_memory);
        norm::norm_backward(x, gamma, epsilon, grad)
    }

    fn sum_rows(x: CubeTensor<R>) -> CubeTensor<R> {
        if !takes(&x) {
            return portable::sum_rows::<Self>(x);
        }
        columns::sum_rows(rows_in_memory(x))
    }

    fn recur(
        offsets: &List<usize>,
        gates: CubeTensor<R>,
        weight: CubeTensor<R>,
        bias: CubeTensor<R>,
    ) -> CubeTensor<R> {
        let steps = Steps::of(offsets, &gates.device);
        recurrence::forward::<Self>(steps, gates, weight, bias)
    }

    fn recur_backward(
        offsets: &List<usize>,
        gates: CubeTensor<R>,
        weight: CubeTensor<R>,
        bias: CubeTensor<R>,
        states: CubeTensor<R>,
        grad: CubeTensor<R>,
    ) -> [CubeTensor<R>; 3] {
        let steps = Steps::of(offsets, &gates.device);
        recurrence::backward::<Self>(steps, gates, weight, bias, states, grad)
    }

    fn drop_out(x: CubeTensor<R>, dropout: &Dropout) -> CubeTensor<R> {
        if !takes(&x) {
            return portable::drop_out::<Self>(x, dropout);
        }
        dropout::drop_out(&rows_in_memory(x), dropout)
    }
}
