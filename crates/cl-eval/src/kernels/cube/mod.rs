//! Ranking on GPU backends of CubeCL: score tile → mask → top-K in one kernel, for f32 tables and raw scores. The rest
//! takes the portable body.
//!
//! The device keeps the best of each share of the items; the host joins the shares, a few hundred numbers a user.

mod top_k;

use burn::tensor::{DType, Int, Tensor, TensorData, TensorPrimitive};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};
use cl_data::UserItems;

use crate::rank::{NO_ITEM, Rankings, check};
use crate::rank_backend::{RankBackend, check_tables, portable_top_k};
use crate::score::Score;
use crate::select::{better_first, undefined};

/// Users that are ranked at a time; their lists come back together.
const USERS: usize = 16_384;

/// The masked items of each row: where they begin, and they, ascending and each once.
fn merge(rows: &[u32], masks: &[&UserItems]) -> (Vec<u32>, Vec<u32>) {
    let (mut offsets, mut items) = (vec![0], Vec::new());
    for &row in rows {
        let begin = items.len();
        for mask in masks {
            items.extend_from_slice(mask.of(row as usize));
        }
        let mut of_row = items.split_off(begin);
        of_row.sort_unstable();
        of_row.dedup();
        items.append(&mut of_row);
        offsets.push(items.len() as u32);
    }
    (offsets, items)
}

/// Longest lists: one unit keeps each in order, and moves half of it for each item that it takes in.
const MOST: usize = 256;

impl<R, F, I, BT> RankBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    fn top_k(
        users: CubeTensor<R>,
        items: CubeTensor<R>,
        rows: &[u32],
        masks: &[&UserItems],
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        let [n, m, dim] = check_tables::<Self>(&users, &items);
        let floats = users.dtype == DType::F32 && items.dtype == DType::F32;
        if !floats || score != Score::Raw || m == 0 || dim == 0 || cutoff > MOST {
            return portable_top_k::<Self>(users, items, rows, masks, cutoff, score);
        }
        if let Some(row) = rows.iter().find(|&&row| row as usize >= n) {
            panic!("row {row} is to be ranked, and the user table has {n} rows");
        }
        check(rows, masks, m, cutoff);
        let mut rankings = Rankings::empty(rows, cutoff);
        let lists = rankings.items.chunks_mut(USERS * cutoff).zip(rankings.scores.chunks_mut(USERS * cutoff));
        let users = Tensor::<Self, 2>::from_primitive(TensorPrimitive::Float(users));
        for (rows, (places, kept)) in rows.chunks(USERS).zip(lists) {
            let ids: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
            let ids = Tensor::<Self, 1, Int>::from_data(TensorData::new(ids, [rows.len()]), &users.device());
            let block = users.clone().select(0, ids).into_primitive().tensor(); // [rows, dim]
            let (offsets, masked) = merge(rows, masks);
            let found = top_k::top_k(block, items.clone(), &offsets, &masked, cutoff);
            let lists = places.chunks_mut(cutoff).zip(kept.chunks_mut(cutoff));
            for ((row, &user), (places, kept)) in rows.iter().enumerate().zip(lists) {
                if let Some(item) = found.undefined(row) {
                    undefined(user, item);
                }
                let mut best: Vec<(f32, u32)> = found.of(row).filter(|&(_, item)| item != NO_ITEM).collect();
                best.sort_unstable_by(better_first);
                for (place, (score, item)) in best.into_iter().take(cutoff).enumerate() {
                    (places[place], kept[place]) = (item, score);
                }
            }
        }
        rankings
    }
}
