//! The files of a run folder, with the names and keys that other programs rely on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::common::{Place, result, succeed};
use super::{ITEM_KNN, XSIMGCL, finished, rows};

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Every path of keys in a table, `a/b`.
fn has(value: &Value, path: &str) -> bool {
    path.split('/').try_fold(value, |value, key| value.get(key)).is_some()
}

/// The keys of `result.json` that must exist, for any model.
const KEYS: &str = "name seed experiment_hash protocol_hash selected_on best_epoch data/users data/items data/train \
    data/validation data/test data/unseen_users data/unseen_items valid test slices/item_popularity/tail80 \
    slices/item_popularity/mid15 slices/item_popularity/head5 slices/user_degree/q1 slices/user_degree/q2 \
    slices/user_degree/q3 slices/user_degree/q4 catalogue/coverage@20 catalogue/tail_share@20 catalogue/gini@20 \
    catalogue/average_popularity@20 representation seconds/load seconds/evaluate seconds/total peak_rss_bytes \
    threads backend valid/recall@20 valid/ndcg@20 test/recall@20 test/ndcg@20 \
    slices/item_popularity/tail80/recall@20 slices/user_degree/q1/recall@20";

/// Those of a trained model besides.
const KEYS_OF_TRAINED: &str = "representation/alignment representation/uniformity_user \
    representation/uniformity_item representation/effective_rank_item seconds/train_step_median \
    seconds/epoch_median";

#[test]
fn a_run_leaves_all_its_files() {
    let (place, _) = finished(XSIMGCL);
    let run = place.path("out");
    for name in
        "experiment.toml resolved.toml metrics.jsonl result.json embeddings.safetensors users.tsv items.tsv \
                 topk.tsv per_user.tsv checkpoint"
            .split_whitespace()
    {
        assert!(run.join(name).exists(), "{name} is missing");
    }
    assert_eq!(fs::read_to_string(run.join("experiment.toml")).unwrap(), XSIMGCL);
    let result = json(&run.join("result.json"));
    for key in KEYS.split_whitespace().chain(KEYS_OF_TRAINED.split_whitespace()) {
        assert!(has(&result, key), "{key} is missing in {result:#}");
    }
    assert!(has(&result, "valid/recall@5") && has(&result, "test/map@5"));
    assert_eq!((&result["name"], &result["seed"]), (&"small".into(), &2024.into()));
    assert_eq!((&result["selected_on"], &result["backend"]), (&"validation".into(), &"flex".into()));
    assert!(result["nondeterminism"].is_null());

    let data = &result["data"];
    let total = ["train", "validation", "test"].map(|part| data[part].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(total, 1500);
    let count = |name: &str| rows(&run.join(name)).len() as u64;
    assert_eq!(count("users.tsv"), data["users"].as_u64().unwrap());
    assert_eq!(count("items.tsv"), data["items"].as_u64().unwrap());
    // Rows of the tables are rows of the dictionaries.
    for name in ["users.tsv", "items.tsv"] {
        assert!(rows(&run.join(name)).iter().enumerate().all(|(at, row)| row[0] == at.to_string()), "{name}");
    }
    let log: Vec<Value> = fs::read_to_string(run.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(log.iter().map(|line| line["epoch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    // What was selected is the best of the log, and `valid` are its metrics.
    let of = |line: &Value| line["valid"]["recall@20"].as_f64().unwrap();
    let best = log.iter().rev().max_by(|a, b| of(a).total_cmp(&of(b))).unwrap();
    assert_eq!(result["best_epoch"], best["epoch"]);
    assert_eq!(result["valid"], best["valid"]);
}

#[test]
fn a_model_that_is_not_trained_leaves_the_same_but_embeddings() {
    let (place, _) = finished(ITEM_KNN);
    let run = place.path("out");
    let result = json(&run.join("result.json"));
    for key in KEYS.split_whitespace() {
        assert!(has(&result, key), "{key} is missing in {result:#}");
    }
    for name in ["experiment.toml", "resolved.toml", "users.tsv", "items.tsv", "topk.tsv", "per_user.tsv"] {
        assert!(run.join(name).exists(), "{name} is missing");
    }
    assert!(!run.join("embeddings.safetensors").exists());
    assert_eq!((&result["selected_on"], &result["best_epoch"]), (&"none".into(), &Value::Null));
}

#[test]
fn resolved_is_what_show_shows_and_runs_to_the_same() {
    let (place, file) = finished(XSIMGCL);
    let resolved = fs::read_to_string(place.path("out").join("resolved.toml")).unwrap();
    let shown = succeed(super::common::program().arg("show").arg(&file)).stdout;
    let shown = String::from_utf8(shown).unwrap();
    let (hash, rest) = shown.split_once('\n').unwrap();
    assert_eq!(rest, resolved);
    let first = result(&place.path("out"));
    assert_eq!(format!("# hash {}", first["experiment_hash"].as_str().unwrap()), hash);
    succeed(place.run(&place.path("out/resolved.toml"), "again").arg("--quiet"));
    assert_eq!(result(&place.path("again")), first);
}

#[test]
fn what_was_set_stands_in_the_experiment_file_and_in_the_resolved_one() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    succeed(place.run(&file, "out").args([
        "--quiet",
        "--set",
        "train.epochs=1",
        "--set",
        "contrast.weight=0.3",
    ]));
    let typed = fs::read_to_string(place.path("out/experiment.toml")).unwrap();
    assert_eq!(typed, format!("{XSIMGCL}\n# --set train.epochs=1\n# --set contrast.weight=0.3"));
    let resolved: toml::Table = fs::read_to_string(place.path("out/resolved.toml")).unwrap().parse().unwrap();
    assert_eq!(resolved["train"]["epochs"].as_integer(), Some(1));
    assert_eq!(resolved["contrast"]["weight"].as_float(), Some(0.3));
}

#[test]
fn embeddings_are_those_that_were_ranked() {
    let (place, _) = finished(XSIMGCL);
    let run = place.path("out");
    let bytes = fs::read(run.join("embeddings.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let table = |name: &str, ids: &str| {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()[1]), (safetensors::Dtype::F32, 8));
        let values: Vec<f64> = tensor
            .data()
            .chunks_exact(4)
            .map(|x| f64::from(f32::from_le_bytes(x.try_into().unwrap())))
            .collect();
        let ids = rows(&run.join(ids));
        assert_eq!(tensor.shape()[0], ids.len());
        let row = |at: usize| values[8 * at..8 * (at + 1)].to_vec();
        ids.into_iter().enumerate().map(|(at, id)| (id[1].clone(), row(at))).collect::<BTreeMap<_, _>>()
    };
    let (users, items) = (table("user", "users.tsv"), table("item", "items.tsv"));
    for row in rows(&run.join("topk.tsv")) {
        let dot: f64 = users[&row[0]].iter().zip(&items[&row[1]]).map(|(u, i)| u * i).sum();
        let score: f64 = row[3].parse().unwrap();
        assert!((dot - score).abs() <= 1e-5 * dot.abs().max(1e-3), "{row:?}: {dot}");
    }
}

#[test]
fn a_run_selected_on_the_test_part_says_so_everywhere() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    let set = ["--set", "train.select=test", "--set", "split.validation=0"];
    let output = succeed(place.run(&file, "out").args(set));
    let run = place.path("out");
    let result = json(&run.join("result.json"));
    let watermark = result["watermark"].as_str().unwrap();
    assert!(watermark.contains("selected on the test part"), "{watermark}");
    assert_eq!((&result["selected_on"], &result["valid"]), (&"test".into(), &serde_json::json!({})));
    assert!(String::from_utf8(output.stdout).unwrap().contains(watermark));
    assert!(fs::read_to_string(run.join("per_user.tsv")).unwrap().starts_with(&format!("# {watermark}\n")));
    let bytes = fs::read(run.join("embeddings.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["watermark"], watermark);
    let (honest, _) = finished(XSIMGCL);
    assert!(json(&honest.path("out/result.json")).get("watermark").is_none());
}

#[test]
fn ids_of_the_data_come_back_in_every_output() {
    let place = Place::new();
    // Names that are no numbers, with a space, a comma in quotes and letters beyond ASCII.
    let (user, item) = (|n: usize| format!("käufer {n:02}"), |n: usize| format!("it,em-{n:02}"));
    let mut csv = String::from("who;what\n");
    for (at, items) in (0..40).map(|user| (user, (0..12).map(move |n| (user * 7 + n * n) % 30))) {
        let mut items: Vec<usize> = items.collect();
        items.sort_unstable();
        items.dedup();
        for one in items {
            csv.push_str(&format!("{};\"{}\"\n", user(at), item(one)));
        }
    }
    place.file("names/names.csv", &csv);
    let data = "path = 'names'\nformat = 'csv'\nseparator = ';'\ncolumns = { user = 'who', item = 'what' }";
    let text = XSIMGCL.replace("synthetic = { users = 120, items = 90, interactions = 1500 }", data);
    let file = place.file("my.toml", &text);
    succeed(place.run(&file, "out").arg("--quiet"));
    let run = place.path("out");
    let column =
        |name: &str, at: usize| rows(&run.join(name)).into_iter().map(move |mut row| row.swap_remove(at));
    let users: Vec<String> = column("users.tsv", 1).collect();
    let items: Vec<String> = column("items.tsv", 1).collect();
    assert_eq!(users, (0..40).map(user).collect::<Vec<_>>());
    assert_eq!(items.first().unwrap(), &item(0));
    assert!(items.is_sorted());
    let topk: Vec<String> = column("topk.tsv", 0).collect();
    assert!(!topk.is_empty() && topk.iter().all(|user| users.contains(user)));
    assert!(column("topk.tsv", 1).all(|item| items.contains(&item)));
    let per_user: Vec<String> = column("per_user.tsv", 0).collect();
    assert_eq!(per_user[0], "user");
    assert!(per_user.len() > 1 && per_user[1..].iter().all(|user| users.contains(user)));
}
