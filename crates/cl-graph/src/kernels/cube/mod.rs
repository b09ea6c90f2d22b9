//! GPU backends of CubeCL: kernels of our own, for f32. Other element types take the portable body.
//!
//! Two kernels propagate. [`product`] is a sparse product over a list of tasks, with noise, rounding, and the addition to
//! what is there already in the same launch; the gradient of a gather is such a product too. [`gather`] reads the rows
//! that are wanted of all layers at once. Both give a row to a few units of a cube, each of them some columns of it, and
//! sum in a fixed order: no float atomics, so equal inputs give equal bits. Rows that follow one another (all users) need no list
//! of them; their gradient is added by [`gather`] too.
//!
//! Rows of more than [`work::SEGMENT`] values are cut into segments, as a few popular items would otherwise keep a handful
//! of units busy when all others are done.
//!
//! A view is drawn and weighted on the device ([`share`], [`view`]): the whole graph's matrix with other values.
//!
//! They are tested on a software Vulkan through WebGPU, and as CUDA on the host. They have not been run on an NVIDIA GPU.

mod backward;
mod device;
mod forward;
mod gather;
mod numbers;
mod operand;
mod product;
mod share;
mod view;
mod work;

use std::sync::Arc;

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};
use cl_core::kernels::cube::launch::Ahead;

use super::backend::{GraphBackend, Preparer};
use super::portable;
use crate::adjacency::Adjacency;
use crate::plan::Plan;

/// Columns at most: the noise of a row must fit into 32 KiB of shared memory.
const COLUMNS: usize = 4096;

/// Whether the kernels can run a plan for such a table.
fn runs<R: CubeRuntime>(plan: &Plan, table: &CubeTensor<R>) -> bool {
    table.dtype == DType::F32 && table.meta.shape()[1] <= COLUMNS && plan.layers < gather::LAYERS
}

impl<R, F, I, BT> GraphBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    fn spmm(adjacency: &Adjacency, transposed: bool, x: CubeTensor<R>) -> CubeTensor<R> {
        if x.dtype != DType::F32 {
            return portable::spmm::<Self>(adjacency, transposed, x);
        }
        forward::spmm(adjacency, transposed, x)
    }

    fn propagate(plan: &Arc<Plan>, table: CubeTensor<R>) -> CubeTensor<R> {
        if !runs(plan, &table) {
            return portable::propagate::<Self>(plan, table);
        }
        forward::propagate(plan, table)
    }

    fn preparer(device: &R::Device, gradient: bool) -> Option<Preparer> {
        if F::dtype() != DType::F32 {
            return None;
        }
        let ahead = Ahead::<R>::of::<Self>(device);
        Some(Box::new(move |plan| {
            if plan.layers < gather::LAYERS {
                ahead.run(|beside| {
                    forward::prepare(plan, beside);
                    if gradient {
                        backward::prepare(plan, beside);
                    }
                });
            }
        }))
    }

    fn propagate_backward(plan: &Arc<Plan>, grad: CubeTensor<R>) -> CubeTensor<R> {
        if !runs(plan, &grad) {
            return portable::propagate_backward::<Self>(plan, grad);
        }
        backward::propagate_backward(plan, grad)
    }
}
