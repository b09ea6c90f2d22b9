//! What the host makes ready for the kernels of attention.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cl_core::StreamKey;
use cl_core::kernels::List;
use cl_core::kernels::cube::launch::upload_u32;

use super::tile::{PITCH, SIDE, Spec, TASK};
use crate::kernels::backend::Attention;

/// The halves of a key for each sequence, on the device: copied on first use, one number where there is none.
pub(super) fn halves<R: CubeRuntime>(keys: &List<StreamKey>, beside: &CubeTensor<R>) -> CubeTensor<R> {
    let here = |made: &CubeTensor<R>| made.device == beside.device;
    keys.on_device().get(here, || {
        let halves: Vec<u32> = keys.iter().flat_map(|key| key.halves()).collect();
        upload_u32(beside, &halves)
    })
}

/// Tiles of all sequences, on the device; see [`TASK`].
#[derive(Clone)]
pub(super) struct Tiles<R: CubeRuntime> {
    list: CubeTensor<R>,
    count: usize,
}

impl<R: CubeRuntime> Tiles<R> {
    /// Of sequences that begin there, made on first use.
    pub(super) fn of(offsets: &List<usize>, beside: &CubeTensor<R>) -> Self {
        let here = |made: &Self| made.list.device == beside.device;
        offsets.on_device().get(here, || {
            let mut tasks = Vec::new();
            for (sequence, pair) in offsets.windows(2).enumerate() {
                for first in (pair[0]..pair[1]).step_by(SIDE) {
                    tasks.extend([first, pair[0], pair[1], sequence].map(|number| number as u32));
                }
            }
            Self { count: tasks.len() / TASK, list: upload_u32(beside, &tasks) }
        })
    }
}

/// Attention as the kernels want it.
pub(super) struct Work<R: CubeRuntime> {
    pub(super) spec: Spec,
    /// Tiles of all sequences; see [`TASK`].
    pub(super) tasks: CubeTensor<R>,
    pub(super) count: usize,
    /// The halves of each sequence's key; anything that lies there, and not looked at, where nothing is dropped.
    pub(super) keys: CubeTensor<R>,
    pub(super) rate: f32,
    pub(super) heads: usize,
    /// 1 / √(d/h)
    pub(super) scale: f32,
}

impl<R: CubeRuntime> Work<R> {
    /// None where a kernel with so many tiles in shared memory does not fit, or there is nothing to do.
    pub(super) fn new(attention: &Attention, q: &CubeTensor<R>, tiles: usize) -> Option<Self> {
        let width = q.meta.shape()[1] / attention.heads;
        let dropout = attention.dropout.as_ref();
        let spec = Spec { width, causal: attention.causal, dropout: dropout.is_some() };
        // Besides tiles, weights of two kinds.
        let bytes = 4 * (tiles * spec.tile() + 2 * SIDE * PITCH);
        let room = q.client.properties().hardware.max_shared_memory_size;
        if q.dtype != DType::F32 || attention.tokens() == 0 || width == 0 || bytes > room {
            return None;
        }
        let Tiles { list: tasks, count } = Tiles::of(&attention.offsets, q);
        let keys = dropout.map_or_else(|| tasks.clone(), |(_, keys)| halves(keys, q));
        Some(Self {
            spec,
            count,
            tasks,
            keys,
            rate: dropout.map_or(0.0, |(rate, _)| *rate),
            heads: attention.heads,
            scale: 1.0 / (width as f32).sqrt(),
        })
    }
}

/// A matrix of this shape beside another, with anything in it.
pub(super) fn matrix<R: CubeRuntime>(beside: &CubeTensor<R>, shape: [usize; 2]) -> CubeTensor<R> {
    empty_device_dtype(beside.client.clone(), beside.device.clone(), Shape::new(shape), beside.dtype)
}
