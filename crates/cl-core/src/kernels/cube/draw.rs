//! Negatives drawn on the device, to the item those that the host draws: the words of the same streams, made a number below
//! another as `rand` does (Canon's method), and drawn again where the owner has the item.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{addresses, listed, room_for, spread, upload_u32};
use super::random::word;
use crate::sampling::{Draw, NegativeSampler};

/// Units of a cube; each draws all negatives of an anchor, as each draw begins where the one before ended.
const UNITS: usize = 64;

/// Where, from `begin` to `end`, the first number above `most` of an ascending list stands; `end` if none does.
#[cube]
fn behind(list: &Tensor<u32>, begin: usize, end: usize, most: u32) -> usize {
    let mut low = begin;
    let mut high = end;
    while low < high {
        let middle = low + (high - low) / 2;
        if list[middle] <= most {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// `x · range / 2^64` for a number of 64 bits, whole and the rest's upper and lower half.
#[cube]
fn scaled(low: u32, high: u32, range: u32) -> (u32, u32, u32) {
    let carried = low.mul_hi(range);
    let middle = high * range + carried;
    let carry = select(middle < carried, 1u32, 0u32);
    (high.mul_hi(range) + carry, middle, low * range)
}

/// Draws from `0..range`. `events_to` is read where the law is that of popularity: how many events items 0 to i have.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn draw_kernel(
    offsets: &Tensor<u32>,
    taken: &Tensor<u32>,
    events_to: &Tensor<u32>,
    owners: &Tensor<u32>,
    out: &mut Tensor<i32>,
    count: u32,
    each: u32,
    range: u32,
    low: u32,
    high: u32,
    #[comptime] by_popularity: bool,
) {
    let row = u32::cast_from(ABSOLUTE_POS);
    if row < count {
        let owner = usize::cast_from(owners[usize::cast_from(row)]);
        let begin = usize::cast_from(offsets[owner]);
        let end = usize::cast_from(offsets[owner + 1]);
        let place = usize::cast_from(row) * usize::cast_from(each);
        let mut used = 0u32;
        let mut drawn = 0u32;
        while drawn < each {
            let first = word(row, used, low, high);
            used += 1u32;
            let mut item = first.mul_hi(range);
            if comptime!(by_popularity) {
                let (event, middle, rest) = scaled(first, word(row, used, low, high), range);
                used += 1u32;
                let mut event = event;
                // A rest above 2^64 − range is biased: another draw says whether to round up.
                if middle == u32::MAX && rest > 0u32 - range {
                    let (more, _, _) =
                        scaled(word(row, used, low, high), word(row, used + 1u32, low, high), range);
                    used += 2u32;
                    event += select(rest + more < rest, 1u32, 0u32);
                }
                item = u32::cast_from(behind(events_to, 0usize, events_to.len(), event));
            } else {
                let rest = first * range;
                if rest > 0u32 - range {
                    let more = word(row, used, low, high).mul_hi(range);
                    used += 1u32;
                    item += select(rest + more < rest, 1u32, 0u32);
                }
            }
            let after = behind(taken, begin, end, item);
            let mut has = false;
            if after > begin {
                has = taken[after - 1] == item;
            }
            if !has {
                out[place + usize::cast_from(drawn)] = i32::cast_from(item);
                drawn += 1u32;
            }
        }
    }
}

/// What a sampler's kernel reads, on the device.
#[derive(Clone)]
struct Known<R: CubeRuntime> {
    offsets: CubeTensor<R>,
    taken: CubeTensor<R>,
    events_to: CubeTensor<R>,
}

impl<R: CubeRuntime> Known<R> {
    /// Made on first use.
    fn of(sampler: &NegativeSampler, beside: &CubeTensor<R>) -> Self {
        let here = |made: &Self| made.taken.device == beside.device;
        sampler.on_device().get(here, || {
            let owners = sampler.owners();
            let (mut offsets, mut taken) = (vec![0], Vec::new());
            for owner in 0..owners.owners() {
                taken.extend_from_slice(owners.items_of(owner));
                offsets.push(taken.len() as u32);
            }
            let events_to: Vec<u32> =
                sampler.law().events_to().iter().flat_map(|to| to.iter().map(|&to| to as u32)).collect();
            let [offsets, taken, events_to] =
                [offsets, taken, events_to].map(|numbers| upload_u32(beside, &numbers));
            Self { offsets, taken, events_to }
        })
    }
}

/// Numbers below which draws of this law begin, if the kernel can draw it: where all events can be counted in 32 bits.
pub(super) fn range(draw: &Draw) -> Option<u32> {
    let law = draw.sampler().law();
    match law.events_to() {
        None => Some(law.items()),
        Some(events_to) => u32::try_from(*events_to.last()?).ok(),
    }
}

/// See [`ContrastBackend::draw`](crate::kernels::ContrastBackend::draw); `beside` is any tensor of the device.
pub(super) fn draw<R: CubeRuntime>(draw: &Draw, range: u32, beside: &CubeTensor<R>) -> CubeTensor<R> {
    let known = Known::of(draw.sampler(), beside);
    let owners = listed(beside, draw.owners());
    let out = room_for(beside, draw.len(), DType::I32);
    let [low, high] = draw.key().halves();
    // SAFETY: owners are the sampler's and have offsets, between which their items lie; each anchor below the count writes its
    // own places. Every owner lacks an item that can be drawn, so that each unit ends.
    unsafe {
        draw_kernel::launch_unchecked(
            &beside.client,
            spread(draw.owners().len().div_ceil(UNITS)),
            CubeDim::new_1d(UNITS as u32),
            addresses(&[&known.taken, &out]),
            known.offsets.into_tensor_arg(),
            known.taken.into_tensor_arg(),
            known.events_to.into_tensor_arg(),
            owners.into_tensor_arg(),
            out.clone().into_tensor_arg(),
            draw.owners().len() as u32,
            draw.each() as u32,
            range,
            low,
            high,
            draw.sampler().law().events_to().is_some(),
        );
    }
    out
}
