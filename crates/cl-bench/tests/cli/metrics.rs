//! The metrics of a run again, by plain loops over its `topk.tsv` and the test part that `data split` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::common::{program, result, succeed};
use super::{ITEM_KNN, XSIMGCL, finished, rows};

type Items = BTreeMap<String, BTreeSet<String>>;

/// `user item item …` lines.
fn read_part(path: &Path) -> Items {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let mut words = line.split_whitespace().map(String::from);
        (words.next().unwrap(), words.collect())
    };
    text.lines().map(line).collect()
}

/// All metrics of one user at a cut-off: `relevant` are the held-out items, `ranked` the list.
fn metrics(ranked: &[String], relevant: &BTreeSet<String>, cutoff: usize) -> [(&'static str, f64); 6] {
    let ranks: Vec<usize> =
        (1..=cutoff.min(ranked.len())).filter(|&rank| relevant.contains(&ranked[rank - 1])).collect();
    let possible = cutoff.min(relevant.len());
    let discount = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
    let hits = ranks.len() as f64;
    [
        ("recall", hits / relevant.len() as f64),
        (
            "ndcg",
            ranks.iter().map(|&rank| discount(rank)).sum::<f64>() / (1..=possible).map(discount).sum::<f64>(),
        ),
        ("hit_rate", hits.min(1.0)),
        ("mrr", ranks.first().map_or(0.0, |&rank| 1.0 / rank as f64)),
        ("precision", hits / cutoff as f64),
        (
            "map",
            ranks.iter().enumerate().map(|(before, &rank)| (before + 1) as f64 / rank as f64).sum::<f64>()
                / possible as f64,
        ),
    ]
}

fn check(experiment: &str, cutoffs: [usize; 2]) {
    let (place, file) = finished(experiment);
    succeed(program().args(["data", "split"]).arg(&file).arg(place.path("parts")));
    let [train, valid, test] =
        ["train", "valid", "test"].map(|part| read_part(&place.path(&format!("parts/{part}.txt"))));
    let run = place.path("out");
    let result = result(&run);
    let mut ranked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut last: Option<(String, f64)> = None;
    for row in rows(&run.join("topk.tsv")) {
        let [user, item, rank, score] = row.try_into().unwrap();
        let list = ranked.entry(user.clone()).or_default();
        list.push(item.clone());
        assert_eq!(rank, list.len().to_string(), "ranks count from 1 without a gap");
        let score: f64 = score.parse().unwrap();
        if let Some((before, higher)) = last.take()
            && before == user
        {
            assert!(higher >= score, "user {user}, rank {rank}");
        }
        let known = |part: &Items| part.get(&user).is_some_and(|items| items.contains(&item));
        assert!(!known(&train) && !known(&valid), "user {user} has item {item} already");
        last = Some((user, score));
    }
    assert_eq!(ranked.keys().collect::<Vec<_>>(), test.keys().collect::<Vec<_>>());

    let per_user = rows(&run.join("per_user.tsv"));
    for cutoff in cutoffs {
        let mut sums = BTreeMap::new();
        for row in &per_user[1..] {
            let user = &row[0];
            for (name, value) in metrics(&ranked[user], &test[user], cutoff) {
                let name = format!("{name}@{cutoff}");
                let at = per_user[0].iter().position(|column| *column == name).unwrap();
                let told: f64 = row[at].parse().unwrap();
                assert!((told - value).abs() <= 1e-6, "{name} of user {user}: {told}, expected {value}");
                *sums.entry(name).or_insert(0.0) += value;
            }
        }
        assert_eq!(per_user.len() - 1, test.len());
        for (name, sum) in sums {
            let told = result["test"][&name].as_f64().unwrap();
            let mean = sum / test.len() as f64;
            assert!((told - mean).abs() <= 1e-6, "{name}: {told}, expected {mean}");
        }
        check_catalogue(&result, &ranked, &train, cutoff);
    }
    assert!(
        result["test"]["recall@20"].as_f64().unwrap() > 0.05,
        "nothing was found, so nothing was compared"
    );
}

/// Coverage: share of the catalogue that is recommended to anybody. Average popularity: mean training count.
fn check_catalogue(result: &Value, ranked: &BTreeMap<String, Vec<String>>, train: &Items, cutoff: usize) {
    let shown: Vec<&String> = ranked.values().flat_map(|list| list.iter().take(cutoff)).collect();
    let distinct: BTreeSet<_> = shown.iter().collect();
    let coverage = distinct.len() as f64 / result["data"]["items"].as_f64().unwrap();
    let count = |item: &String| train.values().filter(|items| items.contains(item)).count() as f64;
    let popularity = shown.iter().map(|item| count(item)).sum::<f64>() / shown.len() as f64;
    for (name, value) in [("coverage", coverage), ("average_popularity", popularity)] {
        let told = result["catalogue"][format!("{name}@{cutoff}")].as_f64().unwrap();
        assert!((told - value).abs() <= 1e-6 * value, "{name}@{cutoff}: {told}, expected {value}");
    }
}

#[test]
fn metrics_of_a_trained_model_follow_from_its_top_items() {
    check(XSIMGCL, [5, 20]);
}

#[test]
fn metrics_of_a_baseline_follow_from_its_top_items() {
    check(ITEM_KNN, [10, 20]);
}
