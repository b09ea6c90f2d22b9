//! Whatever can rank the catalogue for users.

use burn::tensor::Tensor;
use cl_core::source::Past;
use cl_data::UserItems;
use cl_eval::{
    RankBackend, Rankings, Score, Scorer, rank, rank_among, rank_embeddings, rank_embeddings_among,
};

/// Ranks the catalogue.
pub trait Ranker {
    /// The best items of each user of whom so much is known, masked ones left out.
    fn rank(&self, past: Past, users: &[u32], masks: &[&UserItems], cutoff: usize, score: Score) -> Rankings;

    /// The best of each user's candidates alone.
    fn rank_among(
        &self,
        past: Past,
        users: &[u32],
        candidates: &UserItems,
        cutoff: usize,
        score: Score,
    ) -> Rankings;

    /// The embeddings behind it, if there are any, as the test part is ranked.
    fn embeddings(&self) -> Option<Embeddings> {
        None
    }
}

/// Embeddings in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// `[users, dim]`, row-major.
    pub users: Vec<f32>,
    /// `[items, dim]`, row-major.
    pub items: Vec<f32>,
    /// Width of a row.
    pub dim: usize,
}

/// Ranks by the dot product of embeddings.
pub struct ByEmbeddings<B: RankBackend> {
    /// `[users, dim]`
    pub users: Tensor<B, 2>,
    /// `[items, dim]`
    pub items: Tensor<B, 2>,
    /// The users as they are when the test part is ranked, if that is not the same.
    pub tested: Option<Tensor<B, 2>>,
}

impl<B: RankBackend> ByEmbeddings<B> {
    fn users(&self, past: Past) -> &Tensor<B, 2> {
        match past {
            Past::Train => &self.users,
            Past::TrainAndValidation => self.tested.as_ref().unwrap_or(&self.users),
        }
    }
}

impl<B: RankBackend> Ranker for ByEmbeddings<B> {
    fn rank(&self, past: Past, users: &[u32], masks: &[&UserItems], cutoff: usize, score: Score) -> Rankings {
        rank_embeddings(self.users(past).clone(), self.items.clone(), users, masks, cutoff, score)
    }

    fn rank_among(
        &self,
        past: Past,
        users: &[u32],
        candidates: &UserItems,
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        let [user_table, item_table] = [self.users(past), &self.items].map(host);
        let dim = self.items.dims()[1];
        rank_embeddings_among([&user_table, &item_table], dim, users, candidates, cutoff, score)
    }

    fn embeddings(&self) -> Option<Embeddings> {
        let users = self.users(Past::TrainAndValidation);
        Some(Embeddings { users: host(users), items: host(&self.items), dim: self.items.dims()[1] })
    }
}

/// The numbers of a table in host memory.
fn host<B: RankBackend>(table: &Tensor<B, 2>) -> Vec<f32> {
    let data = table.clone().into_data().convert::<f32>();
    data.into_vec::<f32>().unwrap_or_else(|_| unreachable!("converted to f32"))
}

/// Ranks by a scorer.
pub struct ByScores(pub Box<dyn Scorer>);

impl Ranker for ByScores {
    fn rank(
        &self,
        _past: Past,
        users: &[u32],
        masks: &[&UserItems],
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        rank(&score.of(&*self.0), users, masks, cutoff)
    }

    fn rank_among(
        &self,
        _past: Past,
        users: &[u32],
        candidates: &UserItems,
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        rank_among(&score.of(&*self.0), users, candidates, cutoff)
    }
}
