//! What the kernels of attention share: 16 tokens of a sequence and one head to a cube, of 16 × 16 units; tiles of 16 tokens
//! in shared memory; what dropout does to a weight.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::upload_u32;
use cl_core::kernels::cube::random::{pcg4d, unit};
use cubecl::prelude::*;

use crate::kernels::backend::Attention;

/// Tokens of a tile, and units of a cube along each side.
pub(super) const SIDE: usize = 16;
/// Distance of rows of 16 numbers in shared memory: odd, so that units side by side meet different banks.
pub(super) const PITCH: usize = SIDE + 1;
/// Numbers that a task is: the first token of its tile, where its sequence begins and ends, which sequence it is.
pub(super) const TASK: usize = 4;
/// Stands for −∞, which the shading language cannot write.
pub(super) const LOWEST: f32 = -3.0e38;

/// What is compiled into a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Spec {
    /// d / h, the columns of a head.
    pub(super) width: usize,
    pub(super) causal: bool,
    pub(super) dropout: bool,
}

impl Spec {
    /// Distance of a tile's rows in shared memory.
    pub(super) fn pitch(&self) -> usize {
        self.width + 1
    }

    /// Numbers of a tile in shared memory.
    pub(super) fn tile(&self) -> usize {
        SIDE * self.pitch()
    }

    /// Columns that each unit of a row has.
    pub(super) fn slices(&self) -> usize {
        self.width.div_ceil(SIDE)
    }
}

/// Puts 16 rows from `first` on into shared memory, the columns from `column` on; 0 from row `end` on.
#[cube]
pub(super) fn load(
    tile: &mut SharedMemory<f32>,
    table: &Tensor<f32>,
    first: usize,
    end: usize,
    column: usize,
    #[comptime] spec: Spec,
) {
    let stride = table.stride(0);
    let mut at = UNIT_POS as usize;
    while at < comptime!(SIDE * spec.width) {
        let row = at / comptime!(spec.width);
        let place = at % comptime!(spec.width);
        let inside = first + row < end;
        let value = table[select(inside, (first + row) * stride + column + place, 0usize)];
        tile[row * comptime!(spec.pitch()) + place] = select(inside, value, f32::new(0.0));
        at += comptime!(SIDE * SIDE);
    }
}

/// The dot product of row `x` of one tile with row `y` of another.
#[cube]
pub(super) fn dot(
    a: &SharedMemory<f32>,
    x: usize,
    b: &SharedMemory<f32>,
    y: usize,
    #[comptime] spec: Spec,
) -> f32 {
    let mut sum = f32::new(0.0);
    for column in 0..comptime!(spec.width) {
        sum += a[x * comptime!(spec.pitch()) + column] * b[y * comptime!(spec.pitch()) + column];
    }
    sum
}

/// `sums += Σ_t weights[own, t] · rows[t]` over the 16 rows of a tile, at the columns that unit `lane` of a row has.
#[cube]
pub(super) fn add_rows(
    sums: &mut Array<f32>,
    weights: &SharedMemory<f32>,
    own: usize,
    rows: &SharedMemory<f32>,
    lane: usize,
    #[comptime] spec: Spec,
) {
    for token in 0..SIDE {
        let weight = weights[own * PITCH + token];
        #[unroll]
        for slice in 0..comptime!(spec.slices()) {
            let column = lane + slice * SIDE;
            // Beyond the last column stands the next row or the end; what is added there is not written.
            let inside = column < comptime!(spec.width);
            let place = select(inside, token * comptime!(spec.pitch()) + column, 0usize);
            sums[slice] += weight * rows[place];
        }
    }
}

/// Writes the columns of unit `lane` to a row of `out`, multiplied with `factor`.
#[cube]
pub(super) fn write_row(
    out: &mut Tensor<f32>,
    row: usize,
    first_column: usize,
    sums: &Array<f32>,
    factor: f32,
    lane: usize,
    #[comptime] spec: Spec,
) {
    let stride = out.stride(0);
    #[unroll]
    for slice in 0..comptime!(spec.slices()) {
        let column = lane + slice * SIDE;
        if column < comptime!(spec.width) {
            out[row * stride + first_column + column] = sums[slice] * factor;
        }
    }
}

/// What dropout multiplies the weight with that token `from` of a sequence has for token `to`: 0 or 1 / (1 − rate).
#[cube]
#[allow(clippy::too_many_arguments)]
pub(super) fn keep(
    keys: &Tensor<u32>,
    sequence: usize,
    from: usize,
    to: usize,
    head: usize,
    heads: u32,
    rate: f32,
    #[comptime] spec: Spec,
) -> f32 {
    let mut kept = f32::new(1.0);
    if comptime!(spec.dropout) {
        let row = u32::cast_from(from) * heads + u32::cast_from(head);
        let block = u32::cast_from(to) >> 2u32;
        let (a, b, c, d) = pcg4d(row, block, keys[2 * sequence], keys[2 * sequence + 1]);
        let which = u32::cast_from(to) & 3u32;
        let word = select(which < 2u32, select(which == 0u32, a, b), select(which == 2u32, c, d));
        kept = select(unit(word) < rate, f32::new(0.0), f32::new(1.0) / (f32::new(1.0) - rate));
    }
    kept
}

/// Attention as the kernels want it.
pub(super) struct Work<R: CubeRuntime> {
    pub(super) spec: Spec,
    /// Tiles of all sequences; see [`TASK`].
    pub(super) tasks: CubeTensor<R>,
    pub(super) count: usize,
    /// The halves of each sequence's key; one number where nothing is dropped.
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
        let mut tasks = Vec::new();
        for (sequence, pair) in attention.offsets.windows(2).enumerate() {
            for first in (pair[0]..pair[1]).step_by(SIDE) {
                tasks.extend([first, pair[0], pair[1], sequence].map(|number| number as u32));
            }
        }
        let keys: Vec<u32> =
            dropout.map_or_else(Vec::new, |(_, keys)| keys.iter().flat_map(|key| key.halves()).collect());
        Some(Self {
            spec,
            count: tasks.len() / TASK,
            tasks: upload_u32(q, &tasks),
            keys: upload_u32(q, &keys),
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
