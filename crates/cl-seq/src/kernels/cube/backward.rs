//! The gradients of attention. With P the weights, D dropout and g the output's gradient, as in the portable body:
//!
//! ```text
//! δ_i = Σ_j P_ij D_ij ⟨g_i, v_j⟩      ∂S_ij = P_ij (D_ij ⟨g_i, v_j⟩ − δ_i) / √(d/h)
//! ∂q_i = Σ_j ∂S_ij k_j        ∂k_j = Σ_i ∂S_ij q_i        ∂v_j = Σ_i P_ij D_ij g_i
//! ```
//!
//! One kernel has 16 queries to a cube and goes through their keys twice: for the log-sum-exp and δ, which it writes down, and
//! for ∂q. The other has 16 keys to a cube and goes through the queries that see them.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{addresses, room, spread};
use cubecl::prelude::*;

use super::tile::{
    LOWEST, PITCH, SIDE, Spec, add_rows, dot, highest, keep, last_key, load, place, sees, write_row,
};
use super::work::{Work, matrix};

/// Tiles in shared memory: queries, keys, values, gradients.
pub(super) const TILES: usize = 4;

#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn of_queries_kernel(
    q: &Tensor<f32>,
    k: &Tensor<f32>,
    v: &Tensor<f32>,
    grad: &Tensor<f32>,
    tasks: &Tensor<u32>,
    dropout_keys: &Tensor<u32>,
    of_q: &mut Tensor<f32>,
    lse: &mut Tensor<f32>,
    delta: &mut Tensor<f32>,
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
    let mut g_tile = SharedMemory::<f32>::new(comptime!(spec.tile()));
    let mut weights = SharedMemory::<f32>::new(comptime!(SIDE * PITCH));
    let mut products = SharedMemory::<f32>::new(comptime!(SIDE * PITCH));
    let mut sums = Array::<f32>::new(comptime!(spec.slices()));
    #[unroll]
    for slice in 0..comptime!(spec.slices()) {
        sums[slice] = f32::new(0.0);
    }
    load(&mut q_tile, q, place.first, place.end, place.column, spec);
    load(&mut g_tile, grad, place.first, place.end, place.column, spec);
    let last = last_key(&place, spec);

    // The maximum, the sum of the weights, and δ before it is divided by that.
    let mut peak = f32::new(LOWEST);
    let mut total = f32::new(0.0);
    let mut mean = f32::new(0.0);
    let mut tile = place.begin;
    while tile < last {
        sync_cube();
        load(&mut k_tile, k, tile, place.end, place.column, spec);
        load(&mut v_tile, v, tile, place.end, place.column, spec);
        sync_cube();
        let key = tile + lane;
        let visible = sees(&place, query, key, spec);
        let score = dot(&q_tile, own, &k_tile, lane, spec) * scale;
        weights[own * PITCH + lane] = select(visible, score, f32::new(LOWEST));
        sync_cube();
        let highest = highest(peak, &weights, own);
        sync_cube();
        let weight = select(visible, (score - highest).exp(), f32::new(0.0));
        let drop = keep(dropout_keys, &place, query, key, heads, rate, spec);
        weights[own * PITCH + lane] = weight;
        products[own * PITCH + lane] = weight * drop * dot(&g_tile, own, &v_tile, lane, spec);
        sync_cube();
        let shrink = (peak - highest).exp();
        total *= shrink;
        mean *= shrink;
        for other in 0..SIDE {
            total += weights[own * PITCH + other];
            mean += products[own * PITCH + other];
        }
        peak = highest;
        tile += SIDE;
    }
    let log_sum = peak + total.ln();
    mean = mean / total;
    if query < place.end && lane == 0 {
        lse[query * usize::cast_from(heads) + place.head] = log_sum;
        delta[query * usize::cast_from(heads) + place.head] = mean;
    }

    let mut tile = place.begin;
    while tile < last {
        sync_cube();
        load(&mut k_tile, k, tile, place.end, place.column, spec);
        load(&mut v_tile, v, tile, place.end, place.column, spec);
        sync_cube();
        let key = tile + lane;
        let visible = sees(&place, query, key, spec);
        let score = dot(&q_tile, own, &k_tile, lane, spec) * scale;
        let weight = select(visible, (score - log_sum).exp(), f32::new(0.0));
        let drop = keep(dropout_keys, &place, query, key, heads, rate, spec);
        let of_score = weight * (drop * dot(&g_tile, own, &v_tile, lane, spec) - mean) * scale;
        weights[own * PITCH + lane] = select(visible, of_score, f32::new(0.0));
        sync_cube();
        add_rows(&mut sums, &weights, own, &k_tile, lane, spec);
        tile += SIDE;
    }
    if query < place.end {
        write_row(of_q, query, place.column, &sums, f32::new(1.0), lane, spec);
    }
}

#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn of_keys_kernel(
    q: &Tensor<f32>,
    k: &Tensor<f32>,
    v: &Tensor<f32>,
    grad: &Tensor<f32>,
    lse: &Tensor<f32>,
    delta: &Tensor<f32>,
    tasks: &Tensor<u32>,
    dropout_keys: &Tensor<u32>,
    of_k: &mut Tensor<f32>,
    of_v: &mut Tensor<f32>,
    scale: f32,
    rate: f32,
    heads: u32,
    count: u32,
    #[comptime] spec: Spec,
) {
    let lane = UNIT_POS_X as usize;
    let own = UNIT_POS_Y as usize;
    let place = place(tasks, heads, count, spec);
    let key = place.first + own;

    let mut q_tile = SharedMemory::<f32>::new(comptime!(spec.tile()));
    let mut k_tile = SharedMemory::<f32>::new(comptime!(spec.tile()));
    let mut v_tile = SharedMemory::<f32>::new(comptime!(spec.tile()));
    let mut g_tile = SharedMemory::<f32>::new(comptime!(spec.tile()));
    let mut weights = SharedMemory::<f32>::new(comptime!(SIDE * PITCH));
    let mut of_scores = SharedMemory::<f32>::new(comptime!(SIDE * PITCH));
    let mut k_sums = Array::<f32>::new(comptime!(spec.slices()));
    let mut v_sums = Array::<f32>::new(comptime!(spec.slices()));
    #[unroll]
    for slice in 0..comptime!(spec.slices()) {
        k_sums[slice] = f32::new(0.0);
        v_sums[slice] = f32::new(0.0);
    }
    load(&mut k_tile, k, place.first, place.end, place.column, spec);
    load(&mut v_tile, v, place.first, place.end, place.column, spec);
    let mut tile = place.begin;
    if comptime!(spec.causal) {
        // Tiles of a sequence are counted from its beginning: no query before this one sees the keys.
        tile = place.first;
    }
    while tile < place.end {
        sync_cube();
        load(&mut q_tile, q, tile, place.end, place.column, spec);
        load(&mut g_tile, grad, tile, place.end, place.column, spec);
        sync_cube();
        let query = tile + lane;
        let visible = sees(&place, query, key, spec);
        let at = select(visible, query * usize::cast_from(heads) + place.head, 0usize);
        let score = dot(&q_tile, lane, &k_tile, own, spec) * scale;
        let weight = select(visible, (score - lse[at]).exp(), f32::new(0.0));
        let drop = keep(dropout_keys, &place, query, key, heads, rate, spec);
        let of_score = weight * (drop * dot(&g_tile, lane, &v_tile, own, spec) - delta[at]) * scale;
        weights[own * PITCH + lane] = weight * drop;
        of_scores[own * PITCH + lane] = select(visible, of_score, f32::new(0.0));
        sync_cube();
        add_rows(&mut v_sums, &weights, own, &g_tile, lane, spec);
        add_rows(&mut k_sums, &of_scores, own, &q_tile, lane, spec);
        tile += SIDE;
    }
    if key < place.end {
        write_row(of_k, key, place.column, &k_sums, f32::new(1.0), lane, spec);
        write_row(of_v, key, place.column, &v_sums, f32::new(1.0), lane, spec);
    }
}

/// See [`SequenceBackend::attend_backward`](crate::SequenceBackend::attend_backward).
pub(super) fn attention_backward<R: CubeRuntime>(
    work: &Work<R>,
    q: &CubeTensor<R>,
    k: &CubeTensor<R>,
    v: &CubeTensor<R>,
    grad: &CubeTensor<R>,
) -> [CubeTensor<R>; 3] {
    let (tokens, dim) = (q.meta.shape()[0], q.meta.shape()[1]);
    let [of_q, of_k, of_v] = [0, 1, 2].map(|_| matrix(q, [tokens, dim])); // [tokens, d]
    let [lse, delta] = [0, 1].map(|_| room(q, tokens * work.heads));
    let cubes = || spread(work.count * work.heads);
    let cube = CubeDim::new_2d(SIDE as u32, SIDE as u32);
    let address = addresses(&[q, k, v, grad, &of_q, &of_k, &of_v]);
    let (heads, count) = (work.heads as u32, work.count as u32);
    // SAFETY: as forward.
    unsafe {
        of_queries_kernel::launch_unchecked(
            &q.client,
            cubes(),
            cube,
            address,
            q.clone().into_tensor_arg(),
            k.clone().into_tensor_arg(),
            v.clone().into_tensor_arg(),
            grad.clone().into_tensor_arg(),
            work.tasks.clone().into_tensor_arg(),
            work.keys.clone().into_tensor_arg(),
            of_q.clone().into_tensor_arg(),
            lse.clone().into_tensor_arg(),
            delta.clone().into_tensor_arg(),
            work.scale,
            work.rate,
            heads,
            count,
            work.spec,
        );
        of_keys_kernel::launch_unchecked(
            &q.client,
            cubes(),
            cube,
            address,
            q.clone().into_tensor_arg(),
            k.clone().into_tensor_arg(),
            v.clone().into_tensor_arg(),
            grad.clone().into_tensor_arg(),
            lse.into_tensor_arg(),
            delta.into_tensor_arg(),
            work.tasks.clone().into_tensor_arg(),
            work.keys.clone().into_tensor_arg(),
            of_k.clone().into_tensor_arg(),
            of_v.clone().into_tensor_arg(),
            work.scale,
            work.rate,
            heads,
            count,
            work.spec,
        );
    }
    [of_q, of_k, of_v]
}
