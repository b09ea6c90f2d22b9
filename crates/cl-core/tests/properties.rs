//! What holds of the losses for any input.
#![allow(clippy::unwrap_used)]

mod common;

use burn::backend::Flex;
use burn::tensor::Tensor;
use cl_core::StreamKey;
use cl_core::contrast::{Reduction, Similarity, info_nce, normalize_rows, uniformity};
use cl_core::diagnostics::{self, Table};
use cl_core::rng::permutation;
use common::{random, tensor, values};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// Two tables of n rows of width d.
fn views(seed: u64, n: usize, dim: usize) -> [Vec<f64>; 2] {
    ["a", "b"].map(|name| random(StreamKey::root(seed).child(name), n * dim))
}

fn loss([a, b]: &[Vec<f64>; 2], dim: usize, similarity: Similarity, temperature: f64) -> f64 {
    let rows = |data: &[f64]| -> Tensor<Flex, 2> { tensor(data, [data.len() / dim, dim]) };
    values(info_nce(rows(a), rows(b), similarity, temperature, Reduction::Mean))[0]
}

/// An orthogonal matrix: random columns made orthonormal one after another (Gram & Schmidt).
fn rotation(seed: u64, dim: usize) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for attempt in 0.. {
        let mut row = random(StreamKey::root(seed).child("rotation").at(attempt), dim);
        for other in &basis {
            let along: f64 = row.iter().zip(other).map(|(x, y)| x * y).sum();
            row.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
        }
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        // A row that lies in the space of the others is drawn again.
        if length > 1e-3 {
            basis.push(row.iter().map(|x| x / length).collect());
        }
        if basis.len() == dim {
            break;
        }
    }
    basis
}

fn rotated(rows: &[f64], rotation: &[Vec<f64>]) -> Vec<f64> {
    rows.chunks(rotation.len())
        .flat_map(|row| {
            rotation.iter().map(move |axis| axis.iter().zip(row).map(|(a, x)| a * x).sum::<f64>())
        })
        .collect()
}

fn permuted(rows: &[f64], dim: usize, order: &[u32]) -> Vec<f64> {
    order.iter().flat_map(|&row| rows[row as usize * dim..][..dim].iter().copied()).collect()
}

fn similarities() -> impl Strategy<Value = Similarity> {
    prop_oneof![Just(Similarity::Cosine), Just(Similarity::Dot)]
}

fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("regressions");
    ProptestConfig {
        cases: 128,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// The positive is one of the terms of its own denominator.
    #[test]
    fn info_nce_is_not_negative_and_bounded(
        seed: u64, n in 1_usize..80, dim in 1_usize..20, similarity in similarities(), temperature in 0.05..2.0_f64,
    ) {
        let found = loss(&views(seed, n, dim), dim, similarity, temperature);
        // Logits are at most dim / τ in size, which f32 rounds to about 1e-7 of that.
        let rounding = 1e-6 * dim as f64 / temperature;
        prop_assert!(found >= -rounding, "{found}");
        if similarity == Similarity::Cosine {
            prop_assert!(found <= (n as f64).ln() + 2.0 / temperature + rounding, "{found}");
        }
    }

    /// Without differences between logits, every key is as likely as any other.
    #[test]
    fn info_nce_tends_to_log_n(seed: u64, n in 1_usize..80, dim in 1_usize..20, similarity in similarities()) {
        let tables = views(seed, n, dim);
        // |logit| ≤ dim / τ, and the loss lies within twice that of ln n.
        for temperature in [1e3, 1e5] {
            let found = loss(&tables, dim, similarity, temperature);
            let bound = 2.0 * dim as f64 / temperature + 1e-6 * (n as f64).ln().max(1.0);
            prop_assert!((found - (n as f64).ln()).abs() <= bound, "{found} at τ {temperature}");
        }
    }

    /// Pairs have no order.
    #[test]
    fn info_nce_does_not_see_the_order_of_pairs(
        seed: u64, n in 2_usize..80, dim in 1_usize..20, similarity in similarities(),
    ) {
        let tables = views(seed, n, dim);
        let order = permutation(StreamKey::root(seed).child("order"), n);
        let other = tables.each_ref().map(|table| permuted(table, dim, &order));
        let [one, two] = [&tables, &other].map(|tables| loss(tables, dim, similarity, 0.2));
        prop_assert!((one - two).abs() <= 1e-5 * one.abs().max(1.0), "{one} {two}");
    }

    /// Nor has space a direction.
    #[test]
    fn rotations_change_nothing(seed: u64, n in 2_usize..80, dim in 1_usize..20, similarity in similarities()) {
        let tables = views(seed, n, dim);
        let turn = rotation(seed, dim);
        let turned = tables.each_ref().map(|table| rotated(table, &turn));
        let [one, two] = [&tables, &turned].map(|tables| loss(tables, dim, similarity, 0.2));
        prop_assert!((one - two).abs() <= 1e-5 * one.abs().max(1.0), "{one} {two}");

        let spread = |rows: &[f64]| values(uniformity::<Flex>(normalize_rows(tensor(rows, [n, dim]))))[0];
        let (one, two) = (spread(&tables[0]), spread(&turned[0]));
        prop_assert!((one - two).abs() <= 1e-5 * one.abs().max(1.0), "uniformity {one} {two}");
        prop_assert!((-8.0 - 1e-5..=1e-5).contains(&one), "uniformity {one}");
        let narrow: Vec<f32> = tables[0].iter().map(|&x| x as f32).collect();
        let on_host = diagnostics::uniformity(Table::new(&narrow, dim), n, StreamKey::root(1)).unwrap();
        prop_assert!((one - on_host.value).abs() <= 1e-5 * one.abs().max(1.0), "{one} {on_host:?}");
    }

    /// The effective rank lies between 1 and the number of directions there are, and does not see rotations or scale.
    #[test]
    fn effective_rank_is_a_number_of_directions(seed: u64, n in 1_usize..30, dim in 1_usize..12) {
        let table = random(StreamKey::root(seed), n * dim);
        let rank = |rows: &[f64]| {
            let rows: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
            diagnostics::effective_rank(Table::new(&rows, dim)).unwrap()
        };
        let found = rank(&table);
        prop_assert!((1.0 - 1e-6..=n.min(dim) as f64 + 1e-5).contains(&found), "{found}");
        let turned = rank(&rotated(&table, &rotation(seed, dim)));
        prop_assert!((found - turned).abs() < 1e-3, "{found} {turned}");
        let scaled = rank(&table.iter().map(|x| 4.0 * x).collect::<Vec<_>>());
        prop_assert!((found - scaled).abs() < 1e-9, "{found} {scaled}");
    }
}
