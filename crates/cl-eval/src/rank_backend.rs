//! Ranking by dot product of embedding tables, on any Burn backend.

use crate::rank::{NO_ITEM, Rankings, check};
use crate::score::Score;
use crate::select::TopK;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor, TensorData, TensorMetadata, TensorPrimitive};
use cl_data::UserItems;

/// A backend that can rank items by dot product.
///
/// The default body is [`portable_top_k`], so that an empty impl is enough for a backend without a kernel.
pub trait RankBackend: Backend {
    /// The `cutoff` best items for each user of `rows`; see [`rank_embeddings`].
    fn top_k(
        users: FloatTensor<Self>,
        items: FloatTensor<Self>,
        rows: &[u32],
        masks: &[&UserItems],
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        portable_top_k::<Self>(users, items, rows, masks, cutoff, score)
    }
}

/// Ranking needs no gradient: the inner backend does it.
impl<B: RankBackend, C: CheckpointStrategy> RankBackend for Autodiff<B, C> {
    fn top_k(
        users: FloatTensor<Self>,
        items: FloatTensor<Self>,
        rows: &[u32],
        masks: &[&UserItems],
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        B::top_k(users.primitive, items.primitive, rows, masks, cutoff, score)
    }
}

/// Ranks all items for each user of `rows` by the dot product of their embeddings.
///
/// `rows` are rows of `users` and also the user ids for the `masks`; the user's items in any mask are left
/// out. Higher score first, smaller item id among equals. For cosine similarity, normalise the tables first.
/// `score` tells what becomes of the product before it is ranked.
///
/// # Shapes
///
/// `users: [n, dim]`, `items: [m, dim]` → lists of `cutoff` places for `rows.len()` users.
///
/// # Panics
///
/// If the dimensions differ, a row is not below n, `cutoff` is 0, a mask does not fit (see
/// [`rank`](crate::rank())), or a score is NaN.
///
/// # Cost
///
/// 2 · rows · m · dim operations in tiles; the `[rows, m]` scores are never stored.
#[must_use]
pub fn rank_embeddings<B: RankBackend>(
    users: Tensor<B, 2>,
    items: Tensor<B, 2>,
    rows: &[u32],
    masks: &[&UserItems],
    cutoff: usize,
    score: Score,
) -> Rankings {
    let (users, items) = (users.into_primitive().tensor(), items.into_primitive().tensor());
    B::top_k(users, items, rows, masks, cutoff, score)
}

/// Users of a tile of the portable ranking.
const USERS: usize = 256;
/// Items of a tile of the portable ranking: 8 MiB of f32 scores are read back at a time.
const ITEMS: usize = 8192;

/// The body of [`RankBackend::top_k`] in plain Burn operations: tiles of a matrix product, read back, masked
/// and selected on the host. Every faster kernel is held to its answers.
///
/// # Panics
///
/// As [`rank_embeddings`]; also if the device fails.
#[must_use]
pub fn portable_top_k<B: Backend>(
    users: FloatTensor<B>,
    items: FloatTensor<B>,
    rows: &[u32],
    masks: &[&UserItems],
    cutoff: usize,
    score: Score,
) -> Rankings {
    let [n, m, _] = check_tables::<B>(&users, &items);
    if let Some(row) = rows.iter().find(|&&row| row as usize >= n) {
        panic!("row {row} is to be ranked, and the user table has {n} rows");
    }
    check(rows, masks, m, cutoff);
    let users = Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(users));
    let items = Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(items));

    let mut rankings = Rankings::empty(rows, cutoff);
    let blocks = rankings.items.chunks_mut(USERS * cutoff).zip(rankings.scores.chunks_mut(USERS * cutoff));
    for (rows, (places, kept)) in rows.chunks(USERS).zip(blocks) {
        let ids: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
        let ids = Tensor::<B, 1, Int>::from_data(TensorData::new(ids, [rows.len()]), &users.device());
        let block = users.clone().select(0, ids); // [rows, dim]
        let mut top: Vec<TopK> = rows.iter().map(|_| TopK::new(cutoff, m)).collect();
        for first in (0..m).step_by(ITEMS) {
            let width = ITEMS.min(m - first);
            let tile = items.clone().narrow(0, first, width).transpose(); // [dim, width]
            let mut scores = to_host(block.clone().matmul(tile)); // [rows, width]
            score.apply(&mut scores);
            for ((top, &user), scores) in top.iter_mut().zip(rows).zip(scores.chunks_exact_mut(width)) {
                for mask in masks {
                    let masked = mask.of(user as usize);
                    let start = masked.partition_point(|&item| (item as usize) < first);
                    for &item in masked[start..].iter().take_while(|&&item| (item as usize) < first + width) {
                        scores[item as usize - first] = f32::NEG_INFINITY;
                    }
                }
                top.offer(user, first as u32, scores);
            }
        }
        let lists = places.chunks_mut(cutoff).zip(kept.chunks_mut(cutoff));
        for (top, (places, kept)) in top.iter_mut().zip(lists) {
            top.finish(NO_ITEM, places, kept);
        }
    }
    rankings
}

fn to_host<B: Backend>(scores: Tensor<B, 2>) -> Vec<f32> {
    let scores = scores.into_data().convert::<f32>();
    scores.into_vec().unwrap_or_else(|error| panic!("scores could not be read back as f32: {error:?}"))
}

/// `[n, m, dim]` of the two tables.
#[track_caller]
pub(crate) fn check_tables<B: Backend>(users: &FloatTensor<B>, items: &FloatTensor<B>) -> [usize; 3] {
    let (users, items) = (users.shape(), items.shape());
    let two = users.num_dims() == 2 && items.num_dims() == 2;
    assert!(two, "embedding tables are [rows, dim], got users {users:?} and items {items:?}");
    assert_eq!(
        users[1], items[1],
        "embeddings of users {users:?} and items {items:?} differ in their dimension"
    );
    [users[0], items[0], users[1]]
}
