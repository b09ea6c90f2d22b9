//! Popularity ranking on published data sets: an evaluator that does not reproduce these digits is wrong.
//!
//! The data are not part of the project. Set CL_DATA to a folder with `graph/<name>/{train,test}.txt` in
//! LightGCN's text format (`user item item …` a line); without it the tests say so and pass.
#![allow(clippy::unwrap_used)]

use cl_data::UserItems;
use cl_eval::baseline::NeighboursOf::{Candidate, History};
use cl_eval::baseline::Similarity::{Cosine, Jaccard};
use cl_eval::baseline::{EaseConfig, ItemKnnConfig, NeighboursOf, PopularityConfig, Similarity};
use cl_eval::{
    ItemGroups, Metric, Rankings, Scorer, UserGroups, by_item_group, by_user_group, catalogue, evaluate,
    gini, rank,
};
use std::path::{Path, PathBuf};
use std::time::Instant;

struct Data {
    train: UserItems,
    test: UserItems,
    items: usize,
}

fn data(name: &str) -> Option<Data> {
    let Some(folder) = std::env::var_os("CL_DATA") else {
        println!("skipped: CL_DATA is not set");
        return None;
    };
    let folder = PathBuf::from(folder).join("graph").join(name);
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return None;
    }
    let (train, test) = (pairs(&folder.join("train.txt")), pairs(&folder.join("test.txt")));
    let all = || train.iter().chain(&test);
    let users = all().map(|pair| pair.0).max().unwrap() as usize + 1;
    let items = all().map(|pair| pair.1).max().unwrap() as usize + 1;
    let lists = |pairs: &[(u32, u32)]| UserItems::from_pairs(users, pairs.iter().copied());
    Some(Data { train: lists(&train), test: lists(&test), items })
}

fn pairs(path: &Path) -> Vec<(u32, u32)> {
    let text = std::fs::read_to_string(path).unwrap();
    let row =
        |line: &str| -> Vec<u32> { line.split_whitespace().map(|word| word.parse().unwrap()).collect() };
    let rows = text.lines().map(row);
    rows.flat_map(|row| row[1..].iter().map(|&item| (row[0], item)).collect::<Vec<_>>()).collect()
}

impl Data {
    fn tested_users(&self) -> Vec<u32> {
        (0..self.test.users() as u32).filter(|&user| !self.test.of(user as usize).is_empty()).collect()
    }

    fn rank(&self, scorer: &dyn Scorer) -> Rankings {
        rank(scorer, &self.tested_users(), &[&self.train], 20)
    }

    fn mean(&self, scorer: &dyn Scorer, metrics: &[Metric]) -> Vec<f64> {
        let result = evaluate(&self.rank(scorer), &self.test, metrics, &[20]);
        result.mean().into_iter().map(|(_, value)| value).collect()
    }
}

/// Recall@20, NDCG@20, Precision@20 and the share of users with a hit, to five digits.
fn popularity(name: &str, expected: [f64; 4]) {
    let Some(data) = data(name) else { return };
    let popularity = PopularityConfig::default().fit(&data.train, data.items).unwrap();
    let metrics = [Metric::Recall, Metric::Ndcg, Metric::Precision, Metric::HitRate];
    let digits = |values: &[f64]| values.iter().map(|value| format!("{value:.5}")).collect::<Vec<_>>();
    assert_eq!(digits(&data.mean(&popularity, &metrics)), digits(&expected), "{name}");
}

#[test]
fn popularity_on_lastfm() {
    popularity("lastfm", [0.03670, 0.02106, 0.00939, 0.17008]);
}

#[test]
fn popularity_on_ml_1m() {
    popularity("ml-1m", [0.11608, 0.11760, 0.07782, 0.64879]);
}

#[test]
fn popularity_on_gowalla() {
    popularity("gowalla", [0.04163, 0.03169, 0.01388, 0.20383]);
}

#[test]
fn popularity_on_yelp2018() {
    popularity("yelp2018", [0.01245, 0.01011, 0.00525, 0.08311]);
}

/// Shares of the test pairs in the three popularity groups (per cent), the smallest count of the two upper
/// ones, and the Gini coefficient of the item counts.
fn groups(name: &str, shares: [&str; 3], from: [u32; 2], item_gini: &str) {
    let Some(data) = data(name) else { return };
    let counts = data.train.item_counts(data.items);
    let groups = ItemGroups::popularity(&counts);
    let smallest =
        |group: usize| (0..data.items).filter(|&i| groups.group_of(i) == group).map(|i| counts[i]).min();
    assert_eq!([smallest(1).unwrap(), smallest(2).unwrap()], from, "{name}");
    let wide: Vec<u64> = counts.iter().map(|&count| u64::from(count)).collect();
    assert_eq!(format!("{:.3}", gini(&wide)), item_gini, "{name}");

    let popularity = PopularityConfig::default().fit(&data.train, data.items).unwrap();
    let rankings = data.rank(&popularity);
    let result = evaluate(&rankings, &data.test, &[Metric::Recall], &[10, 20]);
    let sliced = by_item_group(&rankings, &data.test, &groups, &[Metric::Recall], &[10, 20]);
    let share = |pairs: usize| format!("{:.1}", 100.0 * pairs as f64 / data.test.len() as f64);
    assert_eq!([0, 1, 2].map(|group| share(sliced[group].pairs)), shares, "{name}");

    // The parts of the recall add up, for the ten groups as well.
    for groups in [groups, ItemGroups::deciles(&counts)] {
        let sliced = by_item_group(&rankings, &data.test, &groups, &[], &[10, 20]);
        for (column, (_, whole)) in result.mean().into_iter().enumerate() {
            let parts: f64 = sliced.iter().filter_map(|g| g.metrics.get(column)).map(|(_, part)| part).sum();
            assert!((parts - whole).abs() < 1e-12, "{name}: {parts} against {whole}");
        }
    }
    // The quartiles weigh up to the mean, and hold equally many users.
    let quartiles =
        by_user_group(&result, &data.test, &UserGroups::degree_quartiles(&data.train, &result.users));
    let weighed: f64 = quartiles.iter().map(|g| g.metrics[1].1 * g.users as f64).sum();
    assert!((weighed / result.users.len() as f64 - result.mean()[1].1).abs() < 1e-12);
    let sizes: Vec<usize> = quartiles.iter().map(|g| g.users).collect();
    assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
    println!("{name}: {:?}", catalogue(&rankings, &counts, &[20]));
}

#[test]
fn popularity_groups_are_the_published_ones() {
    groups("lastfm", ["40.9", "31.7", "27.4"], [12, 36], "0.544");
    groups("ml-1m", ["40.8", "34.3", "25.0"], [404, 900], "0.562");
    groups("gowalla", ["48.2", "21.9", "30.0"], [22, 53], "0.441");
    groups("yelp2018", ["48.7", "26.7", "24.6"], [41, 108], "0.532");
}

/// Recall@20 and NDCG@20 of the item models with their default settings, to four digits. The expected numbers
/// come from a dense program in numpy 2.4.6 (f64 similarities, weights and scores; scores rounded to f32;
/// stable sorts):
///
/// ```text
/// C = X.T @ X; M = C / sqrt(outer(diag(C), diag(C))) or C / (diag(C)[:, None] + diag(C)[None, :] - C); diagonal 0
/// N = the 100 largest of each row of M; history: X @ N, candidate: X @ N.T
/// P = inv(C + 500 I); B = -P / diag(P), diagonal 0; ease: X @ B
/// ```
fn item_models(name: &str, knn: [(Similarity, NeighboursOf, [f64; 2]); 4], ease: [f64; 2]) {
    let Some(data) = data(name) else { return };
    let check = |model: &str, fit: &dyn Fn() -> Box<dyn Scorer>, expected: [f64; 2]| {
        let start = Instant::now();
        let scorer = fit();
        let fitted = start.elapsed().as_secs_f64();
        let mean = data.mean(scorer.as_ref(), &[Metric::Recall, Metric::Ndcg]);
        let ranked = start.elapsed().as_secs_f64() - fitted;
        println!("{name} {model}: {mean:.5?}, fit {fitted:.2} s, rank {ranked:.2} s");
        let near = |(value, expected): (&f64, &f64)| (value - expected).abs() < 1e-4;
        assert!(mean.iter().zip(&expected).all(near), "{name} {model}: {mean:?}, expected {expected:?}");
    };
    for (similarity, neighbours_of, expected) in knn {
        let config = ItemKnnConfig { similarity, neighbours_of, ..Default::default() };
        let fit = || -> Box<dyn Scorer> { Box::new(config.fit(&data.train, data.items).unwrap()) };
        check(&format!("item_knn {similarity:?} {neighbours_of:?}"), &fit, expected);
    }
    check("ease", &|| Box::new(EaseConfig::default().fit(&data.train, data.items).unwrap()), ease);
}

#[test]
fn item_models_on_lastfm() {
    let knn = [
        (Cosine, History, [0.24466, 0.18601]),
        (Cosine, Candidate, [0.22664, 0.17307]),
        (Jaccard, History, [0.25339, 0.19015]),
        (Jaccard, Candidate, [0.25176, 0.18775]),
    ];
    item_models("lastfm", knn, [0.24326, 0.19128]);
}

#[test]
fn item_models_on_ml_1m() {
    let knn = [
        (Cosine, History, [0.18377, 0.18684]),
        (Cosine, Candidate, [0.22714, 0.22278]),
        (Jaccard, History, [0.17860, 0.17595]),
        (Jaccard, Candidate, [0.22283, 0.21786]),
    ];
    item_models("ml-1m", knn, [0.27591, 0.26603]);
}
