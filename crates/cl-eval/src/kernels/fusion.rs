//! Ranking under Fusion: what is in its queue is done, and the backend below ranks.

use burn::tensor::ops::FloatTensor;
use burn_fusion::{Fusion, FusionBackend};
use cl_data::UserItems;

use crate::rank::Rankings;
use crate::rank_backend::RankBackend;
use crate::score::Score;

impl<B: FusionBackend + RankBackend> RankBackend for Fusion<B> {
    fn top_k(
        users: FloatTensor<Self>,
        items: FloatTensor<Self>,
        rows: &[u32],
        masks: &[&UserItems],
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        let [users, items] =
            [users, items].map(|table| table.client.clone().resolve_tensor_float::<B>(table));
        B::top_k(users, items, rows, masks, cutoff, score)
    }
}
