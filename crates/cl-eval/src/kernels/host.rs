//! Ranking by dot product on host memory: score tile → mask → top-K, never users × items.

use crate::rank::{NO_ITEM, Rankings, check};
use crate::score::Score;
use crate::select::TopK;
use cl_data::UserItems;
use rayon::prelude::*;

/// Users of a block: 64 rows of 64 numbers are 16 KiB and stay in the first-level cache.
const BLOCK: usize = 64;

/// Items of a tile: the scores of a block fill 126 KiB, a part of the second-level cache. A multiple of 24
/// (whole micro-kernels) and no multiple of 512 (columns of a tile would fall on the same cache lines).
const TILE: usize = 504;

/// Ranks all items by dot product, or what `score` makes of it, for each user of `rows`.
///
/// `users` is `[n, dim]` and `items` is `[m, dim]`, both row after row; `rows` are rows of `users`, and user
/// ids for the `masks`, whose items never enter a list. Ties go to the smaller item id.
///
/// A user's scores do not depend on the number of threads nor on who else is ranked: every product is
/// computed in a full block of users on one thread.
///
/// # Panics
///
/// If a length is not a multiple of `dim`, if a row is not below `n`, if `dim` or `cutoff` is 0, if a mask
/// does not fit (see [`rank`](crate::rank())), or if a score is NaN.
///
/// # Cost
///
/// 2 · rows · m · dim operations; memory for one copy of `items` and, a thread, 64 × (504 + 2·cutoff + dim)
/// numbers.
#[must_use]
pub fn top_k(
    users: &[f32],
    items: &[f32],
    dim: usize,
    rows: &[u32],
    masks: &[&UserItems],
    cutoff: usize,
    score: Score,
) -> Rankings {
    assert!(dim > 0, "embeddings need a dimension of at least 1, got 0");
    for (name, table) in [("users", users), ("items", items)] {
        assert!(table.len().is_multiple_of(dim), "{name}: {} numbers are no rows of {dim}", table.len());
    }
    let (n, m) = (users.len() / dim, items.len() / dim);
    if let Some(row) = rows.iter().find(|&&row| row as usize >= n) {
        panic!("row {row} is to be ranked, and the user table has {n} rows");
    }
    check(rows, masks, m, cutoff);

    let tiles = transposed_tiles(items, dim);
    let mut rankings = Rankings::empty(rows, cutoff);
    let places = rankings.items.par_chunks_mut(BLOCK * cutoff);
    let kept = rankings.scores.par_chunks_mut(BLOCK * cutoff);
    rows.par_chunks(BLOCK).zip(places).zip(kept).for_each_init(
        || Block::new(dim, masks.len(), cutoff, m),
        |block, ((rows, places), kept)| {
            block.gather(users, dim, rows);
            for (tile, packed) in tiles.chunks(TILE * dim).enumerate() {
                let first = tile * TILE;
                let width = TILE.min(m - first);
                block.multiply(packed, dim, width);
                score.apply(&mut block.scores);
                block.mask(rows, masks, first, width);
                for (row, &user) in rows.iter().enumerate() {
                    let scores = &block.scores[row * TILE..row * TILE + width];
                    block.top[row].offer(user, first as u32, scores);
                }
            }
            let lists = places.chunks_mut(cutoff).zip(kept.chunks_mut(cutoff));
            for (top, (places, kept)) in block.top.iter_mut().zip(lists) {
                top.finish(NO_ITEM, places, kept);
            }
        },
    );
    rankings
}

/// The item table cut into tiles of `[dim, TILE]`, so that the product reads consecutive items. The last tile
/// is filled up with zeros.
fn transposed_tiles(items: &[f32], dim: usize) -> Vec<f32> {
    let count = (items.len() / dim).div_ceil(TILE);
    let mut tiles = vec![0f32; count * TILE * dim];
    let rows = items.par_chunks(TILE * dim);
    tiles.par_chunks_mut(TILE * dim).zip(rows).for_each(|(tile, rows)| {
        for (item, row) in rows.chunks_exact(dim).enumerate() {
            for (k, &value) in row.iter().enumerate() {
                tile[k * TILE + item] = value;
            }
        }
    });
    tiles
}

/// What one thread needs to rank a block of users.
struct Block {
    /// `[BLOCK, dim]`; rows without a user are zero or left over, and their scores are not read.
    users: Vec<f32>,
    /// `[BLOCK, TILE]`
    scores: Vec<f32>,
    /// `[BLOCK, masks]`: how far each user's row of each mask has been used up.
    cursors: Vec<usize>,
    top: Vec<TopK>,
}

impl Block {
    fn new(dim: usize, masks: usize, cutoff: usize, items: usize) -> Self {
        Self {
            users: vec![0.0; BLOCK * dim],
            scores: vec![0.0; BLOCK * TILE],
            cursors: vec![0; BLOCK * masks],
            top: (0..BLOCK).map(|_| TopK::new(cutoff, items)).collect(),
        }
    }

    fn gather(&mut self, users: &[f32], dim: usize, rows: &[u32]) {
        for (place, &row) in self.users.chunks_exact_mut(dim).zip(rows) {
            place.copy_from_slice(&users[row as usize * dim..(row as usize + 1) * dim]);
        }
        self.cursors.fill(0);
    }

    /// `scores[b, i] = Σ_k users[b, k] · packed[k, i]` for all rows of the block and the first `width` items.
    fn multiply(&mut self, packed: &[f32], dim: usize, width: usize) {
        assert!(
            packed.len() == TILE * dim && width <= TILE,
            "a tile of {} numbers, {width} items",
            packed.len()
        );
        let (row, one) = (TILE as isize, 1);
        // SAFETY: the destination is `[BLOCK, width]` with row stride TILE in a buffer of BLOCK · TILE
        // numbers, the left side is `[BLOCK, dim]` with row stride dim in a buffer of BLOCK · dim, the right
        // side is `[dim, width]` with row stride TILE in a buffer of dim · TILE (asserted above, width ≤
        // TILE); the buffers are distinct.
        unsafe {
            gemm::gemm(
                BLOCK,
                width,
                dim,
                self.scores.as_mut_ptr(),
                one,
                row,
                false,
                self.users.as_ptr(),
                one,
                dim as isize,
                packed.as_ptr(),
                one,
                row,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }

    /// Withdraws the masked items of the tile. Rows of a mask are ascending, so each is walked once over all
    /// tiles.
    fn mask(&mut self, rows: &[u32], masks: &[&UserItems], first: usize, width: usize) {
        for (row, &user) in rows.iter().enumerate() {
            let scores = &mut self.scores[row * TILE..row * TILE + width];
            let cursors = &mut self.cursors[row * masks.len()..(row + 1) * masks.len()];
            for (mask, cursor) in masks.iter().zip(cursors) {
                let masked = &mask.of(user as usize)[*cursor..];
                let here = masked.iter().take_while(|&&item| (item as usize) < first + width);
                for &item in here {
                    scores[item as usize - first] = f32::NEG_INFINITY;
                    *cursor += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores by a plain loop, sorted whole.
    fn plain(
        users: &[f32],
        items: &[f32],
        dim: usize,
        user: u32,
        mask: &UserItems,
        cutoff: usize,
    ) -> Vec<u32> {
        let row = &users[user as usize * dim..][..dim];
        let dot = |item: u32| -> f32 { (0..dim).map(|k| row[k] * items[item as usize * dim + k]).sum() };
        let allowed = (0..(items.len() / dim) as u32).filter(|&item| !mask.contains(user as usize, item));
        let mut order: Vec<u32> = allowed.collect();
        order.sort_by(|&a, &b| dot(b).partial_cmp(&dot(a)).unwrap().then(a.cmp(&b)));
        order.truncate(cutoff);
        order
    }

    /// Small whole numbers: products are exact in any order of summation, and ties are everywhere.
    fn table(rows: usize, dim: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as f32 % 5.0 - 2.0 + 0.0
        };
        (0..rows * dim).map(|_| next()).collect()
    }

    #[test]
    fn equals_a_full_sort_over_several_tiles_and_blocks() {
        let (n, m, dim) = (150, 1200, 3);
        let (users, items) = (table(n, dim, 1), table(m, dim, 2));
        let pairs =
            (0..n as u32).flat_map(|user| (0..40).map(move |k| (user, (user * 31 + k * 37) % m as u32)));
        let mask = UserItems::from_pairs(n, pairs);
        let rows: Vec<u32> = (0..n as u32).rev().collect();
        let rankings = top_k(&users, &items, dim, &rows, &[&mask], 30, Score::Raw);
        for (row, &user) in rows.iter().enumerate() {
            assert_eq!(rankings.of(row), plain(&users, &items, dim, user, &mask, 30), "user {user}");
        }
    }

    #[test]
    fn a_user_alone_gets_the_bits_of_the_crowd() {
        let (n, m, dim) = (70, 700, 17);
        let noisy =
            |table: Vec<f32>| table.iter().enumerate().map(|(i, x)| x + (i as f32).sin()).collect::<Vec<_>>();
        let (users, items) = (noisy(table(n, dim, 3)), noisy(table(m, dim, 4)));
        let all: Vec<u32> = (0..n as u32).collect();
        let crowd = top_k(&users, &items, dim, &all, &[], 5, Score::Raw);
        for user in [0usize, 63, 64, 69] {
            let alone = top_k(&users, &items, dim, &[user as u32], &[], 5, Score::Raw);
            assert_eq!(alone.scores, crowd.scores[user * 5..user * 5 + 5]);
            assert_eq!(alone.items, crowd.items[user * 5..user * 5 + 5]);
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let (users, items): (Vec<f32>, Vec<f32>) =
            ((0..3000).map(|i| (i as f32).sin()).collect(), (0..9000).map(|i| (i as f32).cos()).collect());
        let rows: Vec<u32> = (0..300).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| top_k(&users, &items, 10, &rows, &[], 7, Score::Raw))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    #[should_panic(expected = "the score of user 1 for item 2 is NaN")]
    fn nan_embeddings_are_refused() {
        let _ = top_k(&[1.0, 1.0], &[0.0, 1.0, f32::NAN], 1, &[1], &[], 1, Score::Raw);
    }

    #[test]
    #[should_panic(expected = "row 2 is to be ranked, and the user table has 2 rows")]
    fn rows_beyond_the_table_are_refused() {
        let _ = top_k(&[1.0, 1.0], &[0.0], 1, &[2], &[], 1, Score::Raw);
    }
}
