//! One head of one sequence, its rows laid out so that loops over them have fixed lengths: rows and lengths are filled up with
//! zeros, queries go four at a time, and whatever is summed is summed in an order that the sequence alone decides.

use cl_core::simd::exp;

/// Numbers that are computed side by side; widths and lengths are filled up to a multiple.
pub(super) const LANES: usize = 16;
/// Queries that are computed together, so that what they read is read once.
pub(super) const ROWS: usize = 4;

/// So much is filled up to.
#[inline(always)]
pub(super) fn up(length: usize, to: usize) -> usize {
    length.div_ceil(to) * to
}

/// Copies numbers sixteen at a time: rows are too short for a call of the C library each.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let (from_blocks, from_rest) = from.as_chunks::<LANES>();
    let (to_blocks, to_rest) = to.as_chunks_mut::<LANES>();
    for (from, to) in from_blocks.iter().zip(to_blocks) {
        *to = *from;
    }
    for (from, to) in from_rest.iter().zip(to_rest) {
        *to = *from;
    }
}

/// Columns `first..first + width` of `[length, dim]` rows: `[up(length, ROWS), up(width, LANES)]`.
#[inline(always)]
pub(super) fn pack(rows: &[f32], dim: usize, first: usize, width: usize, out: &mut Vec<f32>) {
    let (length, wide) = (rows.len() / dim, up(width, LANES));
    out.resize(up(length, ROWS) * wide, 0.0);
    let (filled, rest) = out.split_at_mut(length * wide);
    rest.fill(0.0);
    for (row, out) in rows.chunks_exact(dim).zip(filled.chunks_exact_mut(wide)) {
        let (out, rest) = out.split_at_mut(width);
        copy(&row[first..first + width], out);
        rest.fill(0.0);
    }
}

/// Back into columns of `[length, dim]` rows.
#[inline(always)]
pub(super) fn unpack(packed: &[f32], dim: usize, first: usize, width: usize, out: &mut [f32]) {
    for (row, out) in packed.chunks_exact(up(width, LANES)).zip(out.chunks_exact_mut(dim)) {
        copy(&row[..width], &mut out[first..first + width]);
    }
}

/// `length` packed rows, turned: `[width, up(length, LANES)]`.
#[inline(always)]
pub(super) fn turn(packed: &[f32], length: usize, width: usize, out: &mut Vec<f32>) {
    let (wide, long) = (up(width, LANES), up(length, LANES));
    // What stands behind a sequence's length is multiplied and never looked at; it must only be a number.
    out.resize(width * long, 0.0);
    for (at, row) in packed.chunks_exact(wide).take(length).enumerate() {
        for (k, x) in row[..width].iter().enumerate() {
            out[k * long + at] = *x;
        }
    }
}

/// Sixteen numbers from a place on.
#[inline(always)]
fn lanes(x: &[f32], at: usize) -> &[f32; LANES] {
    x[at..at + LANES].first_chunk().unwrap_or_else(|| unreachable!("sixteen were taken"))
}

/// Four rows of a block.
#[inline(always)]
fn four(x: &[f32], wide: usize) -> [&[f32]; ROWS] {
    [&x[..wide], &x[wide..2 * wide], &x[2 * wide..3 * wide], &x[3 * wide..4 * wide]]
}

/// `sum += weight x`
#[inline(always)]
fn add(sum: &mut [f32; LANES], weight: f32, x: &[f32; LANES]) {
    for lane in 0..LANES {
        sum[lane] += weight * x[lane];
    }
}

/// `out_r = Σ_j weights_rj rows_j` for four rows of weights, sixteen columns from `block` on of rows of `wide`.
#[inline(always)]
fn sums(weights: [&[f32]; ROWS], rows: &[f32], wide: usize, block: usize) -> [[f32; LANES]; ROWS] {
    let [a, b, c, d] = weights;
    // Sums of their own rather than an array of them, which would not stay in registers.
    let (mut of_a, mut of_b) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (mut of_c, mut of_d) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    for ((((row, &a), &b), &c), &d) in rows.chunks_exact(wide).zip(a).zip(b).zip(c).zip(d) {
        let row = lanes(row, block);
        add(&mut of_a, a, row);
        add(&mut of_b, b, row);
        add(&mut of_c, c, row);
        add(&mut of_d, d, row);
    }
    [of_a, of_b, of_c, of_d]
}

/// `out_rj = Σ_c x_rc turned_cj` for four packed rows x and the first `columns` (filled up) of j; `out [ROWS, long]`.
#[inline(always)]
pub(super) fn products(x: &[f32], wide: usize, turned: &[f32], long: usize, columns: usize, out: &mut [f32]) {
    for block in (0..columns).step_by(LANES) {
        for (row, sums) in sums(four(x, wide), turned, long, block).iter().enumerate() {
            out[row * long + block..][..LANES].copy_from_slice(sums);
        }
    }
}

/// `out_r = Σ_j weights_rj rows_j` over the first `columns` of j, for four rows; `out [ROWS, wide]`.
#[inline(always)]
pub(super) fn mix(weights: &[f32], long: usize, columns: usize, rows: &[f32], wide: usize, out: &mut [f32]) {
    let weights = four(weights, long).map(|weights| &weights[..columns]);
    for block in (0..wide).step_by(LANES) {
        for (row, sums) in sums(weights, rows, wide, block).iter().enumerate() {
            out[row * wide + block..][..LANES].copy_from_slice(sums);
        }
    }
}

/// `out_j += Σ_r weights_rj x_r` over four rows x, for the first `columns` of j; `out [columns, wide]`.
#[inline(always)]
pub(super) fn spread(weights: &[f32], long: usize, columns: usize, x: &[f32], wide: usize, out: &mut [f32]) {
    let [a, b, c, d] = four(weights, long).map(|weights| &weights[..columns]);
    for block in (0..wide).step_by(LANES) {
        let [of_a, of_b, of_c, of_d] = four(x, wide).map(|x| lanes(x, block));
        for ((((row, &a), &b), &c), &d) in out.chunks_exact_mut(wide).zip(a).zip(b).zip(c).zip(d) {
            let mut sum = *lanes(row, block);
            add(&mut sum, a, of_a);
            add(&mut sum, b, of_b);
            add(&mut sum, c, of_c);
            add(&mut sum, d, of_d);
            row[block..block + LANES].copy_from_slice(&sum);
        }
    }
}

/// Sixteen numbers into one, always in the same order.
#[inline(always)]
fn fold(mut of: [f32; LANES], both: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for at in 0..half {
            of[at] = both(of[at], of[at + half]);
        }
        half /= 2;
    }
    of[0]
}

/// `Σ x_j y_j`, both filled up.
#[inline(always)]
pub(super) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (x, y) in x.chunks_exact(LANES).zip(y.chunks_exact(LANES)) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    fold(sums, |a, b| a + b)
}

/// The softmax of the first `seen` scores times `scale`, in place; zeros behind them.
#[inline(always)]
pub(super) fn softmax(scores: &mut [f32], seen: usize, scale: f32) {
    let columns = up(seen, LANES);
    scores[seen..].fill(f32::NEG_INFINITY);
    let mut tops = [f32::NEG_INFINITY; LANES];
    for scores in scores[..columns].chunks_exact_mut(LANES) {
        for (top, score) in tops.iter_mut().zip(scores) {
            *score *= scale;
            *top = if *score > *top { *score } else { *top };
        }
    }
    let top = fold(tops, |a, b| if b > a { b } else { a });
    let mut sums = [0.0_f32; LANES];
    for scores in scores[..columns].chunks_exact_mut(LANES) {
        for (sum, score) in sums.iter_mut().zip(scores) {
            // exp is 0 where nothing is seen.
            *score = exp(*score - top);
            *sum += *score;
        }
    }
    let inverse = 1.0 / fold(sums, |a, b| a + b);
    for score in &mut scores[..columns] {
        *score *= inverse;
    }
    scores[columns..].fill(0.0);
}
