//! Laws that hold for every table, mask and cut-off.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Tensor, TensorData};
use cl_data::UserItems;
use cl_eval::baseline::{EaseConfig, ItemKnnConfig};
use cl_eval::{
    Metric, RankBackend, Rankings, Score, Scorer, evaluate, portable_top_k, rank, rank_embeddings,
};
use proptest::prelude::*;

const USERS: usize = 5;

/// Scores straight from a table.
#[derive(Debug, Clone)]
struct Table {
    items: usize,
    scores: Vec<f32>,
}

impl Scorer for Table {
    fn items(&self) -> usize {
        self.items
    }
    fn score(&self, user: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.scores[user * self.items..][..self.items]);
    }
}

/// Few different values, so that nearly every score has a tie.
fn tables() -> impl Strategy<Value = Table> {
    (1..120usize).prop_flat_map(|items| {
        let score = prop_oneof![(-2..3i8).prop_map(f32::from), Just(-0.0)];
        let scores = proptest::collection::vec(score, USERS * items);
        scores.prop_map(move |scores| Table { items, scores })
    })
}

fn lists(items: usize) -> impl Strategy<Value = UserItems> {
    let pair = (0..USERS as u32, 0..items as u32);
    proptest::collection::vec(pair, 0..60).prop_map(|pairs| UserItems::from_pairs(USERS, pairs.into_iter()))
}

fn tables_with_two_lists() -> impl Strategy<Value = (Table, UserItems, UserItems)> {
    tables().prop_flat_map(|table| {
        (lists(table.items), lists(table.items)).prop_map(move |(a, b)| (table.clone(), a, b))
    })
}

fn all_users() -> Vec<u32> {
    (0..USERS as u32).collect()
}

/// Whole-number embeddings, whose products are exact in any order of summation.
fn embeddings<B: RankBackend>(rows: usize, dim: usize, seed: &[i8]) -> Tensor<B, 2> {
    let numbers: Vec<f32> = (0..rows * dim).map(|i| f32::from(seed[(i * 7 + i / 5) % seed.len()])).collect();
    Tensor::from_data(TensorData::new(numbers, [rows, dim]), &Default::default())
}

fn both<B: RankBackend>(
    users: Tensor<B, 2>,
    items: Tensor<B, 2>,
    masks: &[&UserItems],
    cutoff: usize,
) -> (Rankings, Rankings) {
    let (u, i) = (users.clone().into_primitive().tensor(), items.clone().into_primitive().tensor());
    let rows = all_users();
    // With saturated scores and with the scores themselves; the latter are returned.
    let of = |score| {
        let fast = rank_embeddings(users.clone(), items.clone(), &rows, masks, cutoff, score);
        (fast, portable_top_k::<B>(u.clone(), i.clone(), &rows, masks, cutoff, score))
    };
    let (fast, portable) = of(Score::Sigmoid);
    assert_eq!(fast, portable);
    of(Score::Raw)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..Default::default() })]

    #[test]
    fn top_k_is_the_head_of_a_full_sort(
        (table, train, validation) in tables_with_two_lists(),
        cutoff in 1..150usize,
    ) {
        let rankings = rank(&table, &all_users(), &[&train, &validation], cutoff);
        for user in 0..USERS {
            let score = |item: u32| table.scores[user * table.items + item as usize];
            let allowed = |item: &u32| !train.contains(user, *item) && !validation.contains(user, *item);
            let mut order: Vec<u32> = (0..table.items as u32).filter(allowed).collect();
            order.sort_by(|&a, &b| score(b).partial_cmp(&score(a)).unwrap().then(a.cmp(&b)));
            order.truncate(cutoff);
            prop_assert_eq!(rankings.of(user), &order[..]);
        }
    }

    #[test]
    fn metrics_stay_in_range_and_the_monotone_ones_rise(
        (table, train, truth) in tables_with_two_lists(),
    ) {
        // Some held-out items are masked: they stay in the denominators.
        let cutoffs: Vec<usize> = (1..=30).collect();
        let rankings = rank(&table, &all_users(), &[&train], 30);
        let result = evaluate(&rankings, &truth, &Metric::ALL, &cutoffs);
        for (name, values) in &result.columns {
            for value in values {
                prop_assert!((0.0..=1.0 + 1e-12).contains(value), "{} {}", name, value);
            }
        }
        for metric in [Metric::Recall, Metric::HitRate, Metric::Mrr] {
            for row in 0..result.users.len() {
                let at = |k: &usize| result.column(&format!("{}@{k}", metric.name())).unwrap()[row];
                let curve: Vec<f64> = cutoffs.iter().map(at).collect();
                prop_assert!(curve.is_sorted(), "{:?} {:?}", metric, curve);
            }
        }
    }

    #[test]
    fn flex_kernel_equals_the_portable_body(
        seed in proptest::collection::vec(-3..4i8, 1..40),
        (items, dim, cutoff) in (1..700usize, 1..9usize, 1..40usize),
        pairs in proptest::collection::vec((0..USERS as u32, 0..700u32), 0..80),
    ) {
        type B = burn_flex::Flex;
        let pairs = pairs.into_iter().map(|(user, item)| (user, item % items as u32));
        let mask = UserItems::from_pairs(USERS, pairs);
        let users = embeddings::<B>(USERS, dim, &seed);
        let table = embeddings::<B>(items, dim, &seed);
        let (fast, portable) = both(users.clone(), table.clone(), &[&mask], cutoff);
        prop_assert_eq!(&fast, &portable);
        // Views of other tables: a transposed one, and a slice of a larger one.
        let transposed = table.clone().transpose().mul_scalar(1.0).transpose();
        let sliced = Tensor::cat(vec![users.clone(), users], 0).narrow(0, USERS, USERS);
        prop_assert_eq!(&both(sliced, transposed, &[&mask], cutoff).0, &portable);
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_kernel_equals_the_portable_body() {
    type B = burn_ndarray::NdArray<f32>;
    let mask = UserItems::from_pairs(USERS, (0..USERS as u32).map(|user| (user, 3 * user)));
    let seed: Vec<i8> = (0..37).map(|i| (i * i % 7) as i8 - 3).collect();
    let (users, items) = (embeddings::<B>(USERS, 6, &seed), embeddings::<B>(600, 6, &seed));
    let (fast, portable) = both(users.clone(), items.clone(), &[&mask], 25);
    assert_eq!(fast, portable);
    assert_eq!(both(users, items.transpose().transpose(), &[&mask], 25).0, portable);
}

#[test]
fn autodiff_ranks_on_the_inner_backend() {
    type B = burn::backend::Autodiff<burn_flex::Flex>;
    let seed = [1, -2, 0, 3, 1, -1, 2];
    let (users, items) = (embeddings::<B>(USERS, 4, &seed), embeddings::<B>(90, 4, &seed));
    let (users, items) = (users.require_grad(), items.require_grad());
    let inner =
        rank_embeddings(users.clone().inner(), items.clone().inner(), &all_users(), &[], 10, Score::Raw);
    assert_eq!(rank_embeddings(users, items, &all_users(), &[], 10, Score::Raw), inner);
}

#[test]
#[should_panic(expected = "differ in their dimension")]
fn tables_of_different_dimensions_are_refused() {
    let (users, items) = (embeddings::<burn_flex::Flex>(2, 3, &[1]), embeddings(2, 4, &[1]));
    let _ = rank_embeddings(users, items, &[0], &[], 1, Score::Raw);
}

#[test]
fn threads_change_no_bit_of_a_baseline() {
    let pairs = (0..400u32).flat_map(|user| (0..9).map(move |k| (user, (user * 7919 + k * k * 131) % 300)));
    let train = UserItems::from_pairs(400, pairs);
    let users: Vec<u32> = (0..400).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let knn = ItemKnnConfig { neighbours: 7, ..Default::default() }.fit(&train, 300).unwrap();
            let ease = EaseConfig { regularization: 3.0, ..Default::default() }.fit(&train, 300).unwrap();
            (rank(&knn, &users, &[&train], 10), rank(&ease, &users, &[&train], 10))
        })
    };
    assert_eq!(with(1), with(3));
}
