//! Attention forward: a cube has 16 queries and goes through the keys of their sequence, 16 at a time, with a running maximum
//! and sum for each query; unit (x, y) has the score of query y and key x, then columns x, x + 16, … of query y's output.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{addresses, spread};
use cubecl::prelude::*;

use super::tile::{
    LOWEST, PITCH, SIDE, Spec, add_rows, dot, highest, keep, last_key, load, place, sees, write_row,
};
use super::work::{Work, matrix};

/// Tiles in shared memory: queries, keys, values.
pub(super) const TILES: usize = 3;

#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn attention_kernel(
    q: &Tensor<f32>,
    k: &Tensor<f32>,
    v: &Tensor<f32>,
    tasks: &Tensor<u32>,
    dropout_keys: &Tensor<u32>,
    out: &mut Tensor<f32>,
    scale: f32,
    rate: f32,
    heads: u32,
    count: u32,
    #[comptime] spec: Spec,
) {
    let lane = UNIT_POS_X as usize;
    let own = UNIT_POS_Y as usize;
    let place = place(tasks, heads, count, spec);
    let query = place.first + own;

    let mut q_tile = SharedMemory::<f32>::new(comptime!(spec.tile()));
    let mut k_tile = SharedMemory::<f32>::new(comptime!(spec.tile()));
    let mut v_tile = SharedMemory::<f32>::new(comptime!(spec.tile()));
    let mut scores = SharedMemory::<f32>::new(comptime!(SIDE * PITCH));
    let mut kept = SharedMemory::<f32>::new(comptime!(SIDE * PITCH));
    let mut sums = Array::<f32>::new(comptime!(spec.slices()));
    #[unroll]
    for slice in 0..comptime!(spec.slices()) {
        sums[slice] = f32::new(0.0);
    }
    let mut peak = f32::new(LOWEST);
    let mut total = f32::new(0.0);
    load(&mut q_tile, q, place.first, place.end, place.column, spec);

    let last = last_key(&place, spec);
    let mut tile = place.begin;
    while tile < last {
        sync_cube();
        load(&mut k_tile, k, tile, place.end, place.column, spec);
        load(&mut v_tile, v, tile, place.end, place.column, spec);
        sync_cube();
        let key = tile + lane;
        let visible = sees(&place, query, key, spec);
        let score = dot(&q_tile, own, &k_tile, lane, spec) * scale;
        scores[own * PITCH + lane] = select(visible, score, f32::new(LOWEST));
        sync_cube();
        let highest = highest(peak, &scores, own);
        sync_cube();
        let weight = select(visible, (score - highest).exp(), f32::new(0.0));
        let drop = keep(dropout_keys, &place, query, key, heads, rate, spec);
        scores[own * PITCH + lane] = weight;
        kept[own * PITCH + lane] = weight * drop;
        sync_cube();
        let shrink = (peak - highest).exp();
        total *= shrink;
        for other in 0..SIDE {
            total += scores[own * PITCH + other];
        }
        #[unroll]
        for slice in 0..comptime!(spec.slices()) {
            sums[slice] *= shrink;
        }
        add_rows(&mut sums, &kept, own, &v_tile, lane, spec);
        peak = highest;
        tile += SIDE;
    }
    if query < place.end {
        write_row(out, query, place.column, &sums, f32::new(1.0) / total, lane, spec);
    }
}

/// See [`SequenceBackend::attend`](crate::SequenceBackend::attend).
pub(super) fn attention<R: CubeRuntime>(
    work: &Work<R>,
    q: &CubeTensor<R>,
    k: &CubeTensor<R>,
    v: &CubeTensor<R>,
) -> CubeTensor<R> {
    let out = matrix(q, [q.meta.shape()[0], q.meta.shape()[1]]); // [tokens, d]
    // SAFETY: tasks lie within the tokens; tokens outside a sequence are read at the table's start or not at all, and written
    // nowhere.
    unsafe {
        attention_kernel::launch_unchecked(
            &q.client,
            spread(work.count * work.heads),
            CubeDim::new_2d(SIDE as u32, SIDE as u32),
            addresses(&[q, k, v, &out]),
            q.clone().into_tensor_arg(),
            k.clone().into_tensor_arg(),
            v.clone().into_tensor_arg(),
            work.tasks.clone().into_tensor_arg(),
            work.keys.clone().into_tensor_arg(),
            out.clone().into_tensor_arg(),
            work.scale,
            work.rate,
            work.heads as u32,
            work.count as u32,
            work.spec,
        );
    }
    out
}
