//! The ranking kernels: the lists of a plain sort where products are exact, the portable body's where they are rounded, and
//! what must be refused.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;

use burn::tensor::Tensor;
use cl_core::StreamKey;
use cl_core::rng::below;
use cl_data::UserItems;
use cl_eval::{NO_ITEM, RankBackend, Rankings, Score, portable_top_k, rank_embeddings};
use common::{on_each_backend, random, tensor};

/// Numbers of U{−2, …, 2}: products are exact in any order of summation, and ties are everywhere.
fn whole(key: StreamKey, count: usize) -> Vec<f64> {
    (0..count).map(|at| f64::from(below(key.words(at as u32, 0)[0], 5)) - 2.0).collect()
}

/// `count` pairs of random users and items.
fn mask(key: StreamKey, users: usize, items: usize, count: usize) -> UserItems {
    let pair = |at: usize| {
        let words = key.words(at as u32, 0);
        (below(words[0], users as u32), below(words[1], items as u32))
    };
    UserItems::from_pairs(users, (0..count).map(pair))
}

/// Sizes around those of tiles, blocks and shares.
const SIZES: [(usize, usize, usize); 7] =
    [(1, 1, 1), (3, 70, 3), (64, 64, 16), (65, 129, 17), (130, 1500, 64), (7, 9000, 5), (300, 511, 70)];

fn lists_are_those_of_a_full_sort<B: RankBackend>(backend: &str) {
    for (n, m, dim) in SIZES {
        let key = StreamKey::root(5).at(n as u64).at(m as u64);
        let (users, items) = (whole(key.child("users"), n * dim), whole(key.child("items"), m * dim));
        let masks = [mask(key.child("one"), n, m, 2 * n), mask(key.child("two"), n, m, n * m / 3)];
        let rows: Vec<u32> = (0..n as u32).rev().step_by(1 + n / 200).collect();
        for cutoff in [1, 20, 101] {
            for masks in [&[][..], &[&masks[0]], &[&masks[0], &masks[1]]] {
                let tables = (tensor::<B, 2>(&users, [n, dim]), tensor::<B, 2>(&items, [m, dim]));
                let found = rank_embeddings(tables.0, tables.1, &rows, masks, cutoff, Score::Raw);
                for (row, &user) in rows.iter().enumerate() {
                    let of = |table: &[f64], at: usize| table[at * dim..(at + 1) * dim].to_vec();
                    let user_row = of(&users, user as usize);
                    let score = |item: u32| -> f64 {
                        user_row.iter().zip(of(&items, item as usize)).map(|(x, y)| x * y).sum()
                    };
                    let hidden = |item: u32| masks.iter().any(|mask| mask.contains(user as usize, item));
                    let mut order: Vec<(f64, u32)> =
                        (0..m as u32).filter(|&item| !hidden(item)).map(|item| (score(item), item)).collect();
                    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                    order.truncate(cutoff);
                    let name = format!("{backend}: {n} × {m} × {dim}, {cutoff}, user {user}");
                    assert_eq!(found.of(row), order.iter().map(|x| x.1).collect::<Vec<_>>(), "{name}");
                    let scores = &found.scores[row * cutoff..(row + 1) * cutoff];
                    let expected =
                        order.iter().map(|x| x.0 as f32).chain(std::iter::repeat(f32::NEG_INFINITY));
                    assert!(expected.zip(scores).all(|(x, y)| x == *y), "{name}: {scores:?}");
                    assert!(
                        found.items[row * cutoff + order.len()..(row + 1) * cutoff]
                            .iter()
                            .all(|&x| x == NO_ITEM)
                    );
                }
            }
        }
    }
}

/// Rounded products differ in the last bits from one order of summation to another, and so may neighbours in a list.
fn rounded_scores_are_the_portable_bodys<B: RankBackend>(backend: &str) {
    for (n, m, dim) in [(130, 1500, 64), (65, 700, 7)] {
        let key = StreamKey::root(6).at(n as u64);
        let table =
            |name: &str, rows: usize| tensor::<B, 2>(&random(key.child(name), rows * dim), [rows, dim]);
        let (users, items) = (table("users", n), table("items", m));
        let masked = mask(key.child("mask"), n, m, 5 * n);
        let rows: Vec<u32> = (0..n as u32).collect();
        let primitive = |table: &Tensor<B, 2>| table.clone().into_primitive().tensor();
        for score in [Score::Raw, Score::Sigmoid] {
            let found = rank_embeddings(users.clone(), items.clone(), &rows, &[&masked], 50, score);
            let (a, b) = (primitive(&users), primitive(&items));
            let expected = portable_top_k::<B>(a, b, &rows, &[&masked], 50, score);
            let near = |x: f32, y: f32| (x - y).abs() <= 1e-5 * y.abs().max(1.0);
            let mut moved = 0;
            for place in 0..found.items.len() {
                let (x, y) = (found.scores[place], expected.scores[place]);
                assert!(near(x, y), "{backend}: score {x} for {y} at place {place}");
                moved += usize::from(found.items[place] != expected.items[place]);
            }
            assert!(moved * 100 <= found.items.len(), "{backend}: {moved} of {} places", found.items.len());
        }
    }
}

fn rank_one<B: RankBackend>(user: f64, items: &[f64], cutoff: usize) -> Rankings {
    let items_of = tensor::<B, 2>(items, [items.len(), 1]);
    rank_embeddings(tensor::<B, 2>(&[user], [1, 1]), items_of, &[0], &[], cutoff, Score::Raw)
}

fn zeros_are_equal_and_infinities_have_ranks<B: RankBackend>(backend: &str) {
    let found = rank_one::<B>(1.0, &[-0.0, 0.0, -1.0, -0.0], 3);
    assert_eq!(found.of(0), [0, 1, 3], "{backend}");
    let infinite = f64::INFINITY;
    let found = rank_one::<B>(1.0, &[3.0, -infinite, infinite, -3.4e38, infinite], 5);
    assert_eq!(found.of(0), [2, 4, 0, 3], "{backend}: −∞ is never in a list");
}

fn nan_is_refused_unless_it_is_masked<B: RankBackend>(backend: &str) {
    let items = tensor::<B, 2>(&[1.0, f64::NAN, 2.0], [3, 1]);
    let users = tensor::<B, 2>(&[1.0, 1.0], [2, 1]);
    let rank =
        |masked: &UserItems| rank_embeddings(users.clone(), items.clone(), &[1], &[masked], 2, Score::Raw);
    let found = rank(&UserItems::from_pairs(2, [(1, 1)].into_iter()));
    assert_eq!(found.of(0), [2, 0], "{backend}");
    let none = UserItems::from_pairs(2, std::iter::empty());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rank(&none))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("the score of user 1 for item 1 is NaN"), "{backend}: {message}");
}

on_each_backend!(
    lists_are_those_of_a_full_sort,
    rounded_scores_are_the_portable_bodys,
    zeros_are_equal_and_infinities_have_ranks,
    nan_is_refused_unless_it_is_masked,
);
