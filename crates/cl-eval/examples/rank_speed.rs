//! Seconds to rank, evaluate and slice at the shape of yelp2018 (31,668 users, 38,048 items, 64 numbers,
//! cut-off 20).
//!
//! `cargo run --release -p cl-eval --example rank_speed [THREADS] [USERS ITEMS DIM CUTOFF]`

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use cl_data::UserItems;
use cl_eval::{ItemGroups, Metric, Score, by_item_group, catalogue, evaluate, rank_embeddings};
use std::time::Instant;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let number = |place: usize, default: usize| numbers.get(place).copied().unwrap_or(default);
    let (threads, users, items) = (number(0, 1), number(1, 31_668), number(2, 38_048));
    let (dim, cutoff) = (number(3, 64), number(4, 20));
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(|| measure(users, items, dim, cutoff)),
        Err(error) => eprintln!("no pool of {threads} threads: {error}"),
    }
}

fn measure(users: usize, items: usize, dim: usize, cutoff: usize) {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    // 39 training and 10 held-out items a user; small ids are popular, as squares of uniform numbers.
    let mut draw = |count: usize| {
        let mut pairs = Vec::with_capacity(users * count);
        for user in 0..users as u32 {
            pairs.extend((0..count).map(|_| (user, (next().powi(2) * items as f32) as u32)));
        }
        UserItems::from_pairs(users, pairs.iter().copied())
    };
    let (train, test) = (draw(39), draw(10));
    let mut table = |rows: usize| {
        let numbers: Vec<f32> = (0..rows * dim).map(|_| next() - 0.5).collect();
        Tensor::<Flex, 2>::from_data(TensorData::new(numbers, [rows, dim]), &Default::default())
    };
    let (user_table, item_table) = (table(users), table(items));
    let rows: Vec<u32> = (0..users as u32).collect();

    println!(
        "{users} users, {items} items, {dim} numbers, cut-off {cutoff}, {} threads",
        rayon::current_num_threads()
    );
    for _ in 0..3 {
        let start = Instant::now();
        let rankings =
            rank_embeddings(user_table.clone(), item_table.clone(), &rows, &[&train], cutoff, Score::Raw);
        let ranked = start.elapsed();
        let counts = train.item_counts(items);
        let recall = evaluate(&rankings, &test, &Metric::ALL, &[cutoff.div_ceil(2), cutoff]).mean()[1].1;
        let evaluated = start.elapsed();
        let groups =
            by_item_group(&rankings, &test, &ItemGroups::popularity(&counts), &Metric::ALL, &[cutoff]);
        let measures = catalogue(&rankings, &counts, &[cutoff]);
        println!(
            "rank {:.3} s, evaluate {:.3} s, {} slices and {} catalogue measures {:.3} s (recall {recall:.5})",
            ranked.as_secs_f64(),
            (evaluated - ranked).as_secs_f64(),
            groups.len(),
            measures.len(),
            (start.elapsed() - evaluated).as_secs_f64()
        );
    }
}
