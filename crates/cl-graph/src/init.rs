//! Initial embeddings, from the run's random streams.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use cl_core::StreamKey;
use cl_core::registry::{Check, ensure};
use cl_core::rng::unit;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bipartite::BipartiteGraph;

/// The law of the initial embeddings. With noise views it decides what ε means: Xavier rows of yelp2018 have length
/// 0.064, rows of N(0, 0.1) have 0.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// U(−b, b), `b = scale · √(6 / (rows + dim))`, users and items each by their own number of rows (Glorot & Bengio
    /// 2010; SGL, SimGCL, XSimGCL).
    #[default]
    XavierUniform,
    /// N(0, scale²); LightGCN-PyTorch 0.1, LightGCN's TensorFlow code 0.01.
    Normal,
}

impl Init {
    /// The scale that goes with the law if none is given.
    #[must_use]
    pub fn default_scale(self) -> f64 {
        match self {
            Self::XavierUniform => 1.0,
            Self::Normal => 0.1,
        }
    }

    /// A table `[nodes, dim]`, users first. O(nodes · dim).
    pub fn table<B: Backend>(
        self,
        graph: &BipartiteGraph,
        dim: usize,
        scale: f64,
        key: StreamKey,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        let (users, nodes) = (graph.users(), graph.nodes());
        let key = key.child("table");
        let bound = |rows: usize| (scale * (6.0 / (rows + dim) as f64).sqrt()) as f32;
        let (of_users, of_items) = (bound(users), bound(graph.items()));
        let mut table = vec![0.0_f32; nodes * dim];
        table.par_chunks_mut(dim).enumerate().for_each(|(row, out)| match self {
            Self::XavierUniform => {
                let bound = if row < users { of_users } else { of_items };
                for (block, out) in out.chunks_mut(4).enumerate() {
                    let words = key.words(row as u32, block as u32);
                    for (out, word) in out.iter_mut().zip(words) {
                        *out = (2.0 * unit(word) - 1.0) * bound;
                    }
                }
            }
            Self::Normal => {
                let mut rng = key.rng(row as u32);
                for out in out {
                    let drawn: f64 = StandardNormal.sample(&mut rng);
                    *out = (drawn * scale) as f32;
                }
            }
        });
        Tensor::from_data(TensorData::new(table, [nodes, dim]), device)
    }
}

/// The checks that embedding tables share.
pub(crate) fn check(dim: usize, init_scale: Option<f64>) -> Check {
    ensure((1..=4096).contains(&dim), "dim", || format!("must be from 1 to 4096, got {dim}"))?;
    ensure(init_scale.is_none_or(|scale| scale > 0.0 && scale.is_finite()), "init_scale", || {
        format!("must be more than 0, got {}", init_scale.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    fn values(init: Init, scale: f64) -> Vec<f32> {
        let graph = BipartiteGraph::new(&[0; 401], &[], 100);
        init.table::<Flex>(&graph, 20, scale, StreamKey::root(3), &Default::default())
            .into_data()
            .to_vec()
            .unwrap()
    }

    #[test]
    fn xavier_fills_its_interval_for_users_and_items() {
        let table = values(Init::XavierUniform, 1.0);
        let (users, items) = table.split_at(400 * 20);
        for (part, rows) in [(users, 400.0_f32), (items, 100.0)] {
            let bound = (6.0 / (rows + 20.0)).sqrt();
            let largest = part.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            assert!(largest <= bound && largest > 0.98 * bound, "{largest} {bound}");
        }
    }

    #[test]
    fn normal_has_its_deviation() {
        let table = values(Init::Normal, 0.1);
        let variance = table.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / table.len() as f64;
        // 10 000 draws: the deviation of the sample variance is 0.01 * sqrt(2 / 10 000) = 0.00014.
        assert!((variance - 0.01).abs() < 5.0 * 0.00014, "{variance}");
    }
}
