//! Kernels for GPU backends of CubeCL (CUDA, WebGPU). f32 alone, and contrasts of rows up to 256 wide;
//! the rest takes the portable body.
//!
//! No atomic is used but to count, and how work is divided depends on shapes and ids alone: the same inputs give the same
//! bits on one device.
//! They are tested on Vulkan in software and as CUDA on the host; on an NVIDIA GPU they have not been run.

mod draw;
mod elementwise;
mod gradient;
pub mod lanes;
pub mod launch;
mod order;
pub mod random;
mod row_lse;
mod rows;
mod sampled;
pub mod tile;
mod total;

use burn::tensor::ops::FloatTensorOps;
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};

use super::backend::{AdamStep, ContrastBackend, Copier, KeyMask, OptimizerBackend};
use super::portable;
use super::sampled::listed;
use launch::{Ahead, listed as on_device, rows_in_memory};
use row_lse::Mask;

use crate::sampling::Draw;

/// Whether a kernel takes tensors of this kind.
fn takes<R: CubeRuntime>(tensors: &[&CubeTensor<R>]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype == DType::F32 && tensor.meta.shape().num_elements() > 0)
}

/// Widest rows: each unit keeps a quarter of a row's sums in registers.
const WIDEST: usize = 256;

/// Whether the kernels take these tables.
fn fits<R: CubeRuntime>(anchors: &CubeTensor<R>, keys: &CubeTensor<R>) -> bool {
    takes(&[anchors, keys]) && anchors.meta.shape()[1] <= WIDEST
}

impl<R, F, I, BT> ContrastBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    const ONE_LOG_SIGMOID: bool = true;

    fn normalize_rows(rows: CubeTensor<R>) -> CubeTensor<R> {
        if !takes(&[&rows]) {
            return portable::normalize_rows::<Self>(rows);
        }
        rows::normalize_rows(rows_in_memory(rows))
    }

    fn normalize_rows_backward(rows: CubeTensor<R>, grad: CubeTensor<R>) -> CubeTensor<R> {
        if !takes(&[&rows, &grad]) {
            return portable::normalize_rows_backward::<Self>(rows, grad);
        }
        rows::normalize_rows_backward(rows_in_memory(rows), rows_in_memory(grad))
    }

    fn row_dot(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
        if !takes(&[&a, &b]) {
            return portable::row_dot::<Self>(a, b);
        }
        rows::row_dot(rows_in_memory(a), rows_in_memory(b))
    }

    fn row_dot_backward(
        a: CubeTensor<R>,
        b: CubeTensor<R>,
        grad: CubeTensor<R>,
    ) -> (CubeTensor<R>, CubeTensor<R>) {
        if !takes(&[&a, &b, &grad]) {
            return portable::row_dot_backward::<Self>(a, b, grad);
        }
        rows::row_dot_backward(rows_in_memory(a), rows_in_memory(b), rows_in_memory(grad))
    }

    fn total(x: CubeTensor<R>) -> CubeTensor<R> {
        if !takes(&[&x]) {
            return portable::total::<Self>(x);
        }
        total::total(&rows_in_memory(x))
    }

    fn floored_log_sigmoid(x: CubeTensor<R>, floor: f32) -> CubeTensor<R> {
        if !takes(&[&x]) {
            return portable::floored_log_sigmoid::<Self>(x, floor);
        }
        elementwise::floored_log_sigmoid::<R, F, I, BT>(x, floor)
    }

    fn floored_log_sigmoid_backward(x: CubeTensor<R>, floor: f32, grad: CubeTensor<R>) -> CubeTensor<R> {
        if !takes(&[&x, &grad]) {
            return portable::floored_log_sigmoid_backward::<Self>(x, floor, grad);
        }
        elementwise::floored_log_sigmoid_backward::<R, F, I, BT>(x, floor, grad)
    }

    fn row_lse(
        anchors: CubeTensor<R>,
        keys: CubeTensor<R>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> CubeTensor<R> {
        if !fits(&anchors, &keys) {
            return portable::row_lse::<Self>(anchors, keys, scale, mask);
        }
        let mask = Mask::new(mask.as_ref(), &anchors);
        row_lse::row_lse(&rows_in_memory(anchors), &rows_in_memory(keys), &mask, scale)
    }

    fn row_lse_backward(
        anchors: CubeTensor<R>,
        keys: CubeTensor<R>,
        lse: CubeTensor<R>,
        grad: CubeTensor<R>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (CubeTensor<R>, CubeTensor<R>) {
        if !fits(&anchors, &keys) {
            return portable::row_lse_backward::<Self>(anchors, keys, lse, grad, scale, mask);
        }
        let mask = Mask::new(mask.as_ref(), &anchors);
        let [anchors, keys, lse, grad] = [anchors, keys, lse, grad].map(rows_in_memory);
        let of_anchors = gradient::of_anchors(&anchors, &keys, &lse, &grad, &mask, scale);
        let of_keys = gradient::of_keys(&anchors, &keys, &lse, &grad, &mask, scale);
        (of_anchors, of_keys)
    }

    fn row_lse_and_mean(
        anchors: CubeTensor<R>,
        keys: CubeTensor<R>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (CubeTensor<R>, CubeTensor<R>) {
        if !fits(&anchors, &keys) {
            return portable::row_lse_and_mean::<Self>(anchors, keys, scale, mask);
        }
        let mask = Mask::new(mask.as_ref(), &anchors);
        let (anchors, keys) = (rows_in_memory(anchors), rows_in_memory(keys));
        let lse = row_lse::row_lse(&anchors, &keys, &mask, scale);
        let ones =
            Tensor::<Self, 1>::ones([anchors.meta.shape()[0]], &anchors.device).into_primitive().tensor();
        let mean = gradient::mean(&anchors, &keys, &lse, &ones, &mask, scale);
        (lse, mean)
    }

    fn copier(device: &R::Device) -> Option<Copier> {
        let ahead = Ahead::<R>::of::<Self>(device);
        Some(Box::new(move |list| {
            ahead.run(|beside| {
                on_device(beside, list);
            });
        }))
    }

    fn draw(draw: &Draw, device: &R::Device) -> CubeTensor<R> {
        match draw::range(draw) {
            Some(range) if I::dtype() == DType::I32 && !draw.is_empty() => {
                // A launch is beside something that lies there.
                let beside = Tensor::<Self, 1>::empty([1], device).into_primitive().tensor();
                draw::draw(draw, range, &beside)
            }
            _ => listed::<Self>(draw, device),
        }
    }

    fn sampled_scores(anchors: CubeTensor<R>, table: CubeTensor<R>, ids: CubeTensor<R>) -> CubeTensor<R> {
        if !takes(&[&anchors, &table]) || ids.dtype != DType::I32 || ids.meta.shape()[0] == 0 {
            return portable::sampled_scores::<Self>(anchors, table, ids);
        }
        let [anchors, table, ids] = [anchors, table, ids].map(rows_in_memory);
        let (n, count) = (anchors.meta.shape()[0], ids.meta.shape()[0]);
        Self::float_reshape(sampled::scores(&anchors, &table, &ids), [n, count / n].into())
    }

    fn sampled_scores_backward(
        anchors: CubeTensor<R>,
        table: CubeTensor<R>,
        ids: CubeTensor<R>,
        grad: CubeTensor<R>,
    ) -> [CubeTensor<R>; 2] {
        if !takes(&[&anchors, &table, &grad]) || ids.dtype != DType::I32 {
            return portable::sampled_scores_backward::<Self>(anchors, table, ids, grad);
        }
        let grad = Self::float_reshape(grad, [ids.meta.shape()[0]].into());
        let [anchors, table, ids, grad] = [anchors, table, ids, grad].map(rows_in_memory);
        sampled::scores_backward(&anchors, &table, &ids, &grad)
    }
}

impl<R, F, I, BT> OptimizerBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    fn adam(
        parameter: CubeTensor<R>,
        gradient: CubeTensor<R>,
        first: CubeTensor<R>,
        second: CubeTensor<R>,
        step: AdamStep,
    ) -> [CubeTensor<R>; 3] {
        if !takes(&[&parameter]) {
            return portable::adam::<Self>(parameter, gradient, first, second, step);
        }
        elementwise::adam::<R, F, I, BT>([parameter, gradient, first, second], step)
    }

    fn lerp(from: CubeTensor<R>, to: CubeTensor<R>, weight: f64) -> CubeTensor<R> {
        if !takes(&[&from]) {
            return portable::lerp::<Self>(from, to, weight);
        }
        elementwise::lerp::<R, F, I, BT>(from, to, weight as f32)
    }
}
