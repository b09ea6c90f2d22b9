//! The crate alone in a program that has its own model: rank, compare, look at the tail.

use burn_flex::Flex;
use cl_data::UserItems;
use cl_eval::{ItemGroups, Metric, Score, by_item_group, catalogue, evaluate, rank_embeddings};

type Table = burn::tensor::Tensor<Flex, 2>;

fn main() {
    // Two groups of users and items; each user has one item of the own group in training and one held out.
    let train = UserItems::from_pairs(4, [(0, 0), (1, 1), (2, 2), (3, 3)].into_iter());
    let test = UserItems::from_pairs(4, [(0, 1), (1, 0), (2, 3), (3, 1)].into_iter());
    let embeddings = Table::from_data([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], &Default::default());

    let rankings = rank_embeddings(embeddings.clone(), embeddings, &[0, 1, 2, 3], &[&train], 2, Score::Raw);
    let result = evaluate(&rankings, &test, &[Metric::Recall, Metric::Ndcg], &[1, 2]);
    println!("{:?}", result.mean());
    println!("{:?}", catalogue(&rankings, &train.item_counts(4), &[2]));
    let groups = ItemGroups::popularity(&train.item_counts(4));
    println!("{:?}", by_item_group(&rankings, &test, &groups, &[Metric::Recall], &[2]));
}
