//! What the kernels of attention share: 16 tokens of a sequence and one head to a cube, of 16 × 16 units; tiles of 16 tokens
//! in shared memory; what dropout does to a weight.

use cl_core::kernels::cube::random::{pcg4d, unit};
use cubecl::prelude::*;

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

/// Where a cube works: a tile of a sequence, and a head.
#[derive(CubeType)]
pub(super) struct Place {
    /// The tile's first token.
    pub(super) first: usize,
    /// Where its sequence begins.
    pub(super) begin: usize,
    /// Where its sequence ends; `begin` of a cube without work, all of whose loops are empty.
    pub(super) end: usize,
    pub(super) sequence: usize,
    pub(super) head: usize,
    /// The head's first column.
    pub(super) column: usize,
}

/// The place of this cube, of `count` tasks times `heads`.
#[cube]
pub(super) fn place(tasks: &Tensor<u32>, heads: u32, count: u32, #[comptime] spec: Spec) -> Place {
    let heads = usize::cast_from(heads);
    let head = CUBE_POS % heads;
    let task = CUBE_POS / heads;
    let live = task < usize::cast_from(count);
    let task = select(live, task, 0usize) * TASK;
    let begin = usize::cast_from(tasks[task + 1]);
    Place {
        first: usize::cast_from(tasks[task]),
        begin,
        end: select(live, usize::cast_from(tasks[task + 2]), begin),
        sequence: usize::cast_from(tasks[task + 3]),
        head,
        column: head * comptime!(spec.width),
    }
}

/// Where the keys end that any query of a tile sees.
#[cube]
pub(super) fn last_key(place: &Place, #[comptime] spec: Spec) -> usize {
    let mut last = place.end;
    if comptime!(spec.causal) {
        last = select(place.first + SIDE < place.end, place.first + SIDE, place.end);
    }
    last
}

/// Whether a query sees a key; none does outside the sequence.
#[cube]
pub(super) fn sees(place: &Place, query: usize, key: usize, #[comptime] spec: Spec) -> bool {
    let mut sees = key < place.end && query < place.end;
    if comptime!(spec.causal) {
        sees = sees && key <= query;
    }
    sees
}

/// The larger of `peak` and the 16 scores of a row.
#[cube]
pub(super) fn highest(peak: f32, scores: &SharedMemory<f32>, own: usize) -> f32 {
    let mut highest = peak;
    for other in 0..SIDE {
        let score = scores[own * PITCH + other];
        highest = select(score > highest, score, highest);
    }
    highest
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

/// What dropout multiplies the weight with that a query has for a key: 0 or 1 / (1 − rate).
#[cube]
#[allow(clippy::too_many_arguments)]
pub(super) fn keep(
    keys: &Tensor<u32>,
    place: &Place,
    query: usize,
    key: usize,
    heads: u32,
    rate: f32,
    #[comptime] spec: Spec,
) -> f32 {
    let mut kept = f32::new(1.0);
    if comptime!(spec.dropout) {
        let (from, to) = (query - place.begin, u32::cast_from(key - place.begin));
        let row = u32::cast_from(from) * heads + u32::cast_from(place.head);
        let sequence = 2 * place.sequence;
        let (a, b, c, d) = pcg4d(row, to >> 2u32, keys[sequence], keys[sequence + 1]);
        let which = to & 3u32;
        let word = select(which < 2u32, select(which == 0u32, a, b), select(which == 2u32, c, d));
        kept = select(unit(word) < rate, f32::new(0.0), f32::new(1.0) / (f32::new(1.0) - rate));
    }
    kept
}
