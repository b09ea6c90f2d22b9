//! The streaming log-sum-exp. A cube takes 64 anchors and a share of the keys, 64 at a time; each of its 16 × 16 units holds
//! 4 × 4 logits in registers and keeps a running maximum and sum of its four rows over all keys it sees. The units of a
//! row are joined at the end, the shares of the keys by a second kernel, both in a fixed order.
//!
//! Memory besides the tables: two numbers for each anchor and share of the keys.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{addresses, listed, room, spread};
use super::tile::{DEPTH, EACH, PITCH, SIDE, TILE, dot_products, shares};
use crate::kernels::{KeyMask, List, Places};

/// Stands for −∞, which the shading language cannot write.
pub(super) const LOWEST: f32 = -3.0e38;

/// What a mask reads, on the device; where it reads nothing, anything that lies there.
pub(super) struct Mask<R: CubeRuntime> {
    pub(super) anchors: CubeTensor<R>,
    pub(super) keys: CubeTensor<R>,
    /// The number of key 0, of places.
    pub(super) first: u32,
    pub(super) hides: Hides,
}

/// What a mask hides from an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Hides {
    Nothing,
    /// Keys with its id.
    Ids,
    /// The key whose number is the anchor's.
    Place,
    /// The key of its own place.
    Own,
}

impl<R: CubeRuntime> Mask<R> {
    pub(super) fn new(mask: Option<&KeyMask>, beside: &CubeTensor<R>) -> Self {
        let list =
            |list: Option<&List<u32>>| list.map_or_else(|| beside.clone(), |list| listed(beside, list));
        let (anchors, keys, first, hides) = match mask {
            None => (None, None, 0, Hides::Nothing),
            Some(KeyMask::Ids { anchors, keys }) => (Some(anchors), Some(keys), 0, Hides::Ids),
            Some(KeyMask::Places(Places { numbers, first })) => (Some(numbers), None, *first, Hides::Place),
            Some(KeyMask::Diagonal) => (None, None, 0, Hides::Own),
        };
        Self { anchors: list(anchors), keys: list(keys), first, hides }
    }
}

/// Whether the mask hides a key from an anchor.
#[cube]
pub(super) fn hidden(
    anchor_ids: &Tensor<u32>,
    key_ids: &Tensor<u32>,
    anchor: usize,
    key: usize,
    first: u32,
    #[comptime] hides: Hides,
) -> bool {
    let mut hidden = anchor == key;
    if comptime!(hides == Hides::Ids) {
        hidden = anchor_ids[anchor] == key_ids[key];
    }
    if comptime!(hides == Hides::Place) {
        hidden = anchor_ids[anchor] == first + u32::cast_from(key);
    }
    hidden
}

#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn row_lse_kernel(
    anchors: &Tensor<f32>,
    keys: &Tensor<f32>,
    anchor_ids: &Tensor<u32>,
    key_ids: &Tensor<u32>,
    peaks: &mut Tensor<f32>,
    sums: &mut Tensor<f32>,
    scale: f32,
    share: u32,
    first_key: u32,
    #[comptime] hides: Hides,
) {
    let n = anchors.shape(0);
    let m = keys.shape(0);
    let across = UNIT_POS_X as usize;
    let down = UNIT_POS_Y as usize;
    let first = CUBE_POS_X as usize * TILE;
    let mut anchor_tile = SharedMemory::<f32>::new(comptime!(DEPTH * PITCH));
    let mut key_tile = SharedMemory::<f32>::new(comptime!(DEPTH * PITCH));
    let mut products = Array::<f32>::new(comptime!(EACH * EACH));
    let mut peak = Array::<f32>::new(EACH);
    let mut sum = Array::<f32>::new(EACH);
    #[unroll]
    for i in 0..EACH {
        peak[i] = f32::new(LOWEST);
        sum[i] = f32::new(0.0);
    }

    let begin = CUBE_POS_Y as usize * share as usize;
    let end = select(begin + (share as usize) < m, begin + share as usize, m);
    let mut key = begin;
    while key < end {
        dot_products(&mut products, &mut anchor_tile, &mut key_tile, anchors, keys, first, key);
        #[unroll]
        for i in 0..EACH {
            let row = first + down + i * SIDE;
            let safe_row = select(row < n, row, 0usize);
            let mut highest = peak[i];
            let mut seen = Array::<bool>::new(EACH);
            #[unroll]
            for j in 0..EACH {
                let column = key + across + j * SIDE;
                let mut visible = column < end;
                if comptime!(hides != Hides::Nothing) {
                    let safe_column = select(visible, column, 0usize);
                    let masked = hidden(anchor_ids, key_ids, safe_row, safe_column, first_key, hides);
                    visible = visible && !masked;
                }
                seen[j] = visible;
                let logit = products[i * EACH + j] * scale;
                products[i * EACH + j] = logit;
                highest = select(visible && logit > highest, logit, highest);
            }
            let mut total = sum[i] * (peak[i] - highest).exp();
            #[unroll]
            for j in 0..EACH {
                let term = (products[i * EACH + j] - highest).exp();
                total += select(seen[j], term, f32::new(0.0));
            }
            peak[i] = highest;
            sum[i] = total;
        }
        key += TILE;
    }

    // The sixteen units of a row, in their order.
    let mut all_peaks = SharedMemory::<f32>::new(comptime!(TILE * (SIDE + 1)));
    let mut all_sums = SharedMemory::<f32>::new(comptime!(TILE * (SIDE + 1)));
    #[unroll]
    for i in 0..EACH {
        let at = (down + i * SIDE) * comptime!(SIDE + 1) + across;
        all_peaks[at] = peak[i];
        all_sums[at] = sum[i];
    }
    sync_cube();
    let unit = UNIT_POS as usize;
    let row = first + unit;
    if unit < TILE && row < n {
        let mut highest = f32::new(LOWEST);
        for at in 0..SIDE {
            let other = all_peaks[unit * comptime!(SIDE + 1) + at];
            highest = select(other > highest, other, highest);
        }
        let mut total = f32::new(0.0);
        for at in 0..SIDE {
            let place = unit * comptime!(SIDE + 1) + at;
            total += all_sums[place] * (all_peaks[place] - highest).exp();
        }
        peaks[CUBE_POS_Y as usize * n + row] = highest;
        sums[CUBE_POS_Y as usize * n + row] = total;
    }
}

/// Joins the shares of the keys, one unit an anchor. Without any key the sum is 0 and its logarithm −∞.
#[cube(launch_unchecked, address_type = "dynamic")]
fn join_kernel(peaks: &Tensor<f32>, sums: &Tensor<f32>, out: &mut Tensor<f32>, shares: u32) {
    let row = ABSOLUTE_POS;
    let n = out.shape(0);
    if row < n {
        let mut highest = f32::new(LOWEST);
        for share in 0..shares as usize {
            let other = peaks[share * n + row];
            highest = select(other > highest, other, highest);
        }
        let mut total = f32::new(0.0);
        for share in 0..shares as usize {
            let at = share * n + row;
            total += sums[at] * (peaks[at] - highest).exp();
        }
        out[row] = highest + total.ln();
    }
}

/// See [`ContrastBackend::row_lse`](crate::kernels::ContrastBackend::row_lse); no table is empty.
pub(super) fn row_lse<R: CubeRuntime>(
    anchors: &CubeTensor<R>,
    keys: &CubeTensor<R>,
    mask: &Mask<R>,
    scale: f32,
) -> CubeTensor<R> {
    let (n, m) = (anchors.meta.shape()[0], keys.meta.shape()[0]);
    let (count, each) = shares(n, m);
    let [peaks, sums] = [0, 1].map(|_| room(anchors, count * n));
    let out = room(anchors, n);
    let client = &anchors.client;
    // Safety: rows and columns outside the tables are read at row 0 or not at all, and written nowhere.
    unsafe {
        row_lse_kernel::launch_unchecked(
            client,
            CubeCount::Static(n.div_ceil(TILE) as u32, count as u32, 1),
            CubeDim::new_2d(SIDE as u32, SIDE as u32),
            addresses(&[anchors, keys, &peaks]),
            anchors.clone().into_tensor_arg(),
            keys.clone().into_tensor_arg(),
            mask.anchors.clone().into_tensor_arg(),
            mask.keys.clone().into_tensor_arg(),
            peaks.clone().into_tensor_arg(),
            sums.clone().into_tensor_arg(),
            scale,
            each as u32,
            mask.first,
            mask.hides,
        );
        join_kernel::launch_unchecked(
            client,
            spread(n.div_ceil(256)),
            CubeDim::new_1d(256),
            addresses(&[&peaks, &out]),
            peaks.into_tensor_arg(),
            sums.into_tensor_arg(),
            out.clone().into_tensor_arg(),
            count as u32,
        );
    }
    out
}
