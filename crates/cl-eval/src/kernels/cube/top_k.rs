//! The kernel. A cube takes 64 users and a share of the items, 64 at a time: its 256 units compute a tile of scores into
//! shared memory, then one unit a user walks over the user's 64 scores and puts what is better than the worst of its list
//! into its place. Masked items are walked in step with them, as both ascend.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{addresses, room, room_for, rows_in_memory, upload_u32};
use cl_core::kernels::cube::tile::{DEPTH, EACH, PITCH, SIDE, TILE, dot_products, shares};
use cubecl::prelude::*;

use crate::rank::NO_ITEM;

/// The bits of −∞ in f32; what is above it without the sign is NaN. Shading languages let no program test for NaN.
const INFINITE: u32 = 0x7f80_0000;
const SIGN: u32 = 0x8000_0000;

/// Best first, ties in the order of items, for each share of the items and each user: `best`, `ids`
/// `[shares, users, cutoff]`; an id is [`NO_ITEM`] where there was no further item. `undefined [shares, users]` is the
/// first item whose score is NaN, or [`NO_ITEM`].
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn top_k_kernel(
    users: &Tensor<f32>,
    items: &Tensor<f32>,
    offsets: &Tensor<u32>,
    masked: &Tensor<u32>,
    best: &mut Tensor<f32>,
    ids: &mut Tensor<u32>,
    undefined: &mut Tensor<u32>,
    share: u32,
    cutoff: u32,
) {
    let n = users.shape(0);
    let m = items.shape(0);
    let across = UNIT_POS_X as usize;
    let down = UNIT_POS_Y as usize;
    let unit = UNIT_POS as usize;
    let cutoff = usize::cast_from(cutoff);
    let first = CUBE_POS_X as usize * TILE;
    let mut user_tile = SharedMemory::<f32>::new(comptime!(DEPTH * PITCH));
    let mut item_tile = SharedMemory::<f32>::new(comptime!(DEPTH * PITCH));
    let mut scores = SharedMemory::<f32>::new(comptime!(TILE * PITCH));
    let mut products = Array::<f32>::new(comptime!(EACH * EACH));

    let begin = CUBE_POS_Y as usize * usize::cast_from(share);
    let end = select(begin + usize::cast_from(share) < m, begin + usize::cast_from(share), m);
    let row = first + unit;
    let chooses = unit < TILE && row < n;
    let safe_row = select(chooses, row, 0usize);
    let list = (CUBE_POS_Y as usize * n + safe_row) * cutoff;
    let mut mask = usize::cast_from(offsets[safe_row]);
    let last_mask = usize::cast_from(offsets[safe_row + 1]);
    let mut kept = 0usize;
    let mut worst = f32::new(0.0);
    let mut bad = u32::new(NO_ITEM as i64);

    let mut item = begin;
    while item < end {
        dot_products(&mut products, &mut user_tile, &mut item_tile, users, items, first, item);
        #[unroll]
        for i in 0..EACH {
            #[unroll]
            for j in 0..EACH {
                scores[(down + i * SIDE) * PITCH + across + j * SIDE] = products[i * EACH + j];
            }
        }
        sync_cube();
        if chooses {
            let width = select(item + TILE < end, TILE.runtime(), end - item);
            for column in 0..width {
                let id = u32::cast_from(item + column);
                let mut below = mask < last_mask;
                while below {
                    if masked[mask] < id {
                        mask += 1;
                        below = mask < last_mask;
                    } else {
                        below = false;
                    }
                }
                let mut allowed = true;
                if mask < last_mask {
                    allowed = masked[mask] != id;
                }
                let score = scores[unit * PITCH + column];
                let bits = u32::reinterpret(score);
                if allowed && (bits & comptime!(!SIGN)) > INFINITE && bad == NO_ITEM {
                    bad = id;
                }
                let finds_room = kept < cutoff || score > worst;
                if allowed && bits != comptime!(SIGN | INFINITE) && finds_room {
                    let mut place = select(kept < cutoff, kept, cutoff - 1);
                    let mut going = place > 0;
                    while going {
                        let above = best[list + place - 1];
                        if above < score {
                            best[list + place] = above;
                            ids[list + place] = ids[list + place - 1];
                            place -= 1;
                            going = place > 0;
                        } else {
                            going = false;
                        }
                    }
                    best[list + place] = score;
                    ids[list + place] = id;
                    kept = select(kept < cutoff, kept + 1, kept);
                    if kept == cutoff {
                        worst = best[list + cutoff - 1];
                    }
                }
            }
        }
        item += TILE;
    }
    if chooses {
        for place in kept..cutoff {
            ids[list + place] = u32::new(NO_ITEM as i64);
        }
        undefined[CUBE_POS_Y as usize * n + row] = bad;
    }
}

/// What the kernel found, on the host.
pub(super) struct Found {
    users: usize,
    cutoff: usize,
    best: Vec<f32>,
    ids: Vec<u32>,
    undefined: Vec<u32>,
}

impl Found {
    /// What each share of the items has for a user.
    pub(super) fn of(&self, row: usize) -> impl Iterator<Item = (f32, u32)> {
        let lists = self.ids.len() / (self.users * self.cutoff);
        let places = (0..lists).flat_map(move |list| {
            let begin = (list * self.users + row) * self.cutoff;
            begin..begin + self.cutoff
        });
        places.map(|place| (self.best[place], self.ids[place]))
    }

    /// The first item whose score for the user is NaN.
    pub(super) fn undefined(&self, row: usize) -> Option<u32> {
        let of_user = self.undefined.iter().skip(row).step_by(self.users);
        of_user.copied().min().filter(|&item| item != NO_ITEM)
    }
}

/// The numbers of a tensor of the kernel's; memory behind them, which a device may have added, is left out.
fn read<R: CubeRuntime, E: CubeElement>(tensor: CubeTensor<R>) -> Vec<E> {
    let count = tensor.meta.shape().num_elements();
    let bytes = tensor.client.read_one(tensor.handle);
    let bytes = bytes.unwrap_or_else(|error| panic!("rankings could not be read from the device: {error:?}"));
    E::from_bytes(&bytes)[..count].to_vec()
}

/// Ranks all items for all rows of `users`; row r may not have `masked[offsets[r]..offsets[r + 1]]`. No table is empty.
pub(super) fn top_k<R: CubeRuntime>(
    users: CubeTensor<R>,
    items: CubeTensor<R>,
    offsets: &[u32],
    masked: &[u32],
    cutoff: usize,
) -> Found {
    let (users, items) = (rows_in_memory(users), rows_in_memory(items));
    let (n, m) = (users.meta.shape()[0], items.meta.shape()[0]);
    // A list is never longer than there are items.
    let cutoff = cutoff.min(m);
    let (count, each) = shares(n, m);
    let best = room(&users, count * n * cutoff);
    let ids = room_for(&users, count * n * cutoff, DType::U32);
    let undefined = room_for(&users, count * n, DType::U32);
    let (offsets, masked) = (upload_u32(&users, offsets), upload_u32(&users, masked));
    // SAFETY: rows and columns outside the tables are read at row 0 or not at all; each unit that chooses writes the lists of
    // its own user.
    unsafe {
        top_k_kernel::launch_unchecked(
            &users.client,
            CubeCount::Static(n.div_ceil(TILE) as u32, count as u32, 1),
            CubeDim::new_2d(SIDE as u32, SIDE as u32),
            addresses(&[&users, &items, &masked, &best]),
            users.clone().into_tensor_arg(),
            items.into_tensor_arg(),
            offsets.into_tensor_arg(),
            masked.into_tensor_arg(),
            best.clone().into_tensor_arg(),
            ids.clone().into_tensor_arg(),
            undefined.clone().into_tensor_arg(),
            each as u32,
            cutoff as u32,
        );
    }
    Found { users: n, cutoff, best: read(best), ids: read(ids), undefined: read(undefined) }
}
