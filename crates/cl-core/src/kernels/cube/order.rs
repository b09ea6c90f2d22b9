//! The places of each id, ascending, found on the device: a stable sort by counting.
//!
//! The list is cut into chunks. How often each id stands in each chunk is counted by whole numbers, whose order does not
//! matter; from these counts follows where a chunk's places of an id begin. Then each chunk lays its places down, 256 at a
//! time, each behind those before it with the same id.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{addresses, room_for, spread, zeros_u32};

/// Units of a cube.
const UNITS: usize = 256;
/// Counts at most, or four for each place or one for each id if that is more: chunks get longer where there are many ids.
const COUNTS: usize = 1 << 22;
/// Chunks at most, as a unit adds up what they have of an id.
const CHUNKS: usize = 1024;

/// Counts each id in each chunk.
#[cube(launch_unchecked, address_type = "dynamic")]
fn count_kernel(ids: &Tensor<i32>, counts: &mut Tensor<Atomic<u32>>, count: u32, chunk: u32, rows: u32) {
    let place = ABSOLUTE_POS;
    if place < usize::cast_from(count) {
        let from = place / usize::cast_from(chunk) * usize::cast_from(rows);
        // What is no id is above all of them if it is negative too.
        let id = u32::cast_from(ids[place]);
        if id < rows {
            counts[from + usize::cast_from(id)].fetch_add(1u32);
        }
    }
}

/// Turns the counts of an id into where it begins in each chunk, from its first place on; `totals` is how many it has in all.
#[cube(launch_unchecked, address_type = "dynamic")]
fn chunk_kernel(counts: &mut Tensor<u32>, totals: &mut Tensor<u32>, chunks: u32, rows: u32) {
    let id = ABSOLUTE_POS;
    let rows = usize::cast_from(rows);
    if id < rows {
        let mut sum = 0u32;
        for chunk in 0..chunks {
            let at = usize::cast_from(chunk) * rows + id;
            let own = counts[at];
            counts[at] = sum;
            sum += own;
        }
        totals[id] = sum;
    }
}

/// Where the places of each id begin, and where the last end. One cube; each unit takes a share of the ids.
#[cube(launch_unchecked, address_type = "dynamic")]
fn begin_kernel(totals: &Tensor<u32>, begins: &mut Tensor<u32>, rows: u32) {
    let mut sums = SharedMemory::<u32>::new(UNITS);
    let rows = usize::cast_from(rows);
    let share = (rows + comptime!(UNITS - 1)) / UNITS;
    let first = UNIT_POS as usize * share;
    let first = select(first < rows, first, rows);
    let end = select(first + share < rows, first + share, rows);
    let mut sum = 0u32;
    for id in first..end {
        sum += totals[id];
    }
    sums[UNIT_POS as usize] = sum;
    sync_cube();
    let mut begin = 0u32;
    for unit in 0..UNIT_POS {
        begin += sums[unit as usize];
    }
    for id in first..end {
        begins[id] = begin;
        begin += totals[id];
    }
    if end == rows {
        // Units whose share is empty write the same.
        begins[rows] = begin;
    }
}

/// Lays the places of a chunk down.
#[cube(launch_unchecked, address_type = "dynamic")]
fn place_kernel(
    ids: &Tensor<i32>,
    begins: &Tensor<u32>,
    counts: &mut Tensor<u32>,
    order: &mut Tensor<u32>,
    count: u32,
    chunk: u32,
    rows: u32,
) {
    let mut near = SharedMemory::<u32>::new(UNITS);
    let unit = UNIT_POS as usize;
    let (count, chunk) = (usize::cast_from(count), usize::cast_from(chunk));
    let counts_from = CUBE_POS * usize::cast_from(rows);
    let first = CUBE_POS * chunk;
    let tiles = chunk / UNITS;
    for tile in 0..tiles {
        let place = first + tile * UNITS + unit;
        let mut id = rows;
        if place < count {
            id = u32::cast_from(ids[place]);
        }
        let live = id < rows;
        near[unit] = id;
        sync_cube();
        let mut before = 0u32;
        let mut after = 0u32;
        for other in 0..UNITS {
            let same = near[other] == id;
            before += select(same && other < unit, 1u32, 0u32);
            after += select(same && other > unit, 1u32, 0u32);
        }
        let mut at = 0usize;
        let mut behind = 0u32;
        if live {
            at = counts_from + usize::cast_from(id);
            behind = counts[at] + before;
            let to = begins[usize::cast_from(id)] + behind;
            order[usize::cast_from(to)] = u32::cast_from(place);
        }
        // All have read where the tile's places of an id begin; the last of them moves it on.
        sync_storage();
        if live && after == 0u32 {
            counts[at] = behind + 1u32;
        }
        sync_storage();
        sync_cube();
    }
}

/// The places of a list of ids.
pub(super) struct Order<R: CubeRuntime> {
    /// Where the places of each id begin in `order`, and where the last end, `[rows + 1]`.
    pub(super) begins: CubeTensor<R>,
    /// Places, those of an id together and ascending, `[ids]`.
    pub(super) order: CubeTensor<R>,
}

impl<R: CubeRuntime> Order<R> {
    /// Of ids below `rows`, in five launches; other ids have no place. Work in proportion to ids, rows and counts; with more
    /// rows than ids, few chunks are left to work side by side.
    pub(super) fn of(ids: &CubeTensor<R>, rows: usize) -> Self {
        let count = ids.meta.shape()[0];
        let chunks = (COUNTS.max(4 * count) / rows).clamp(1, CHUNKS);
        let chunk = count.div_ceil(chunks).next_multiple_of(UNITS);
        let chunks = count.div_ceil(chunk);
        let counts = zeros_u32(ids, chunks * rows);
        let room = |numbers: usize| room_for(ids, numbers, DType::U32);
        let (totals, begins, order) = (room(rows), room(rows + 1), room(count));
        let arg = |tensor: &CubeTensor<R>| tensor.clone().into_tensor_arg();
        let address = addresses(&[ids, &counts, &order]);
        let cube = || CubeDim::new_1d(UNITS as u32);
        let client = &ids.client;
        // SAFETY: places lie below the count, ids below the rows, and chunks in the list; each has counts of all rows.
        unsafe {
            count_kernel::launch_unchecked(
                client,
                spread(count.div_ceil(UNITS)),
                cube(),
                address,
                arg(ids),
                arg(&counts),
                count as u32,
                chunk as u32,
                rows as u32,
            );
            chunk_kernel::launch_unchecked(
                client,
                spread(rows.div_ceil(UNITS)),
                cube(),
                address,
                arg(&counts),
                arg(&totals),
                chunks as u32,
                rows as u32,
            );
            begin_kernel::launch_unchecked(
                client,
                spread(1),
                cube(),
                address,
                arg(&totals),
                arg(&begins),
                rows as u32,
            );
            place_kernel::launch_unchecked(
                client,
                spread(chunks),
                cube(),
                address,
                arg(ids),
                arg(&begins),
                arg(&counts),
                arg(&order),
                count as u32,
                chunk as u32,
                rows as u32,
            );
        }
        Self { begins, order }
    }
}
