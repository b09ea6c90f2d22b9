//! Ranking on burn-flex tensors: borrows their storage.

use crate::kernels::host;
use crate::rank::Rankings;
use crate::rank_backend::{RankBackend, check_tables, portable_top_k};
use crate::score::Score;
use burn_flex::{Flex, FlexTensor};
use cl_data::UserItems;

impl RankBackend for Flex {
    fn top_k(
        users: FlexTensor,
        items: FlexTensor,
        rows: &[u32],
        masks: &[&UserItems],
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        let [_, _, dim] = check_tables::<Self>(&users, &items);
        let (users, items) = (users.to_contiguous(), items.to_contiguous());
        match (users.as_slice::<f32>(), items.as_slice::<f32>()) {
            (Some(u), Some(i)) => host::top_k(u, i, dim, rows, masks, cutoff, score),
            // Tables of another precision.
            _ => portable_top_k::<Self>(users, items, rows, masks, cutoff, score),
        }
    }
}
