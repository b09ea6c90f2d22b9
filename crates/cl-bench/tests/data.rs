//! `cl-bench data`: what is made up, divided and counted agrees, whichever way it goes.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Place, fail, program, succeed};
use serde_json::Value;

const EXPERIMENT: &str = "name = 'small'\nseed = 5\n[data]\n\
    synthetic = { users = 120, items = 90, interactions = 1500 }\n[split]\ntype = 'ratio'\n[encoder]\n\
    type = 'popularity'\n";

const SIZE: [&str; 6] = ["--users", "120", "--items", "90", "--interactions", "1500"];

fn data(arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("data").args(arguments);
    command
}

fn synth(out: &Path, arguments: &[&str]) -> Command {
    let mut command = data(&["synth"]);
    command.arg(out).args(SIZE).args(["--seed", "5"]).args(arguments);
    command
}

fn stats(path: &Path, arguments: &[&str]) -> Value {
    let output = succeed(data(&["stats", "--json"]).arg(path).args(arguments));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_format_and_the_experiment_hold_the_same_data() {
    let place = Place::new();
    let of_experiment = stats(&place.file("my.toml", EXPERIMENT), &[]);
    assert_eq!(of_experiment["stats"]["interactions"], 1500);
    for (format, name) in
        [("lightgcn", "a.txt"), ("sequence", "b.txt.gz"), ("atomic", "c.inter"), ("csv", "d.csv")]
    {
        let path = place.path(name);
        succeed(&mut synth(&path, &["--format", format]));
        let of_file = stats(&path, &["--format", format]);
        assert_eq!(of_file["stats"], of_experiment["stats"], "{format}");
        assert_eq!(of_file["split"], Value::Null);
    }
    // Another seed, another noise: other data of the same size.
    for other in [["--seed", "6"], ["--noise", "0.9"], ["--item-exponent", "0"], ["--user-exponent", "1.5"]] {
        let path = place.path("other.txt");
        let mut command = data(&["synth", "--overwrite"]);
        if other[0] != "--seed" {
            command.args(["--seed", "5"]);
        }
        succeed(command.arg(&path).args(SIZE).args(other));
        let of_file = stats(&path, &[]);
        assert_eq!(of_file["stats"]["interactions"], 1500, "{other:?}");
        assert_ne!(of_file["stats"], of_experiment["stats"], "{other:?}");
    }
}

#[test]
fn stats_tell_figures_filters_and_parts() {
    let place = Place::new();
    // Users 1 and 2 have items a, b (a twice) and a: 3 pairs of 2 · 2; item a has 2, item b 1.
    let csv = place.file("x.csv", "who,what,stars\n1,a,5\n1,b,4\n1,a,3\n2,a,1\n");
    let columns = ["--format", "csv", "--columns", "user=who,item=what"];
    let told = stats(&csv, &columns);
    assert_eq!(told["stats"]["density"], 0.75);
    assert_eq!(told["stats"]["item_degree"]["max"], 2.0);
    // Items 1, 2: (−1·1 + 1·2) / (2 · 3) = 1/6
    assert!((told["stats"]["item_gini"].as_f64().unwrap() - 1.0 / 6.0).abs() < 1e-12);
    assert_eq!((&told["filters"]["read"], &told["filters"]["duplicates"]), (&4.into(), &1.into()));
    let text = succeed(data(&["stats"]).arg(&csv).args(columns)).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("interactions             3") && text.contains("4 interactions read, 3 kept"),
        "{text}"
    );

    let file = place.file("my.toml", EXPERIMENT);
    let split = &stats(&file, &["--set", "split.validation=0.2"])["split"];
    let [train, validation, test] = ["train", "validation", "test"].map(|part| split[part].as_u64().unwrap());
    assert_eq!(train + validation + test, 1500);
    assert!(validation.abs_diff(300) < 60 && test.abs_diff(300) < 60, "{split}");
    // An empty validation part is nothing to refuse here: nobody selects by it.
    assert_eq!(stats(&file, &["--set", "split.validation=0"])["split"]["validation"], 0);
    let text = String::from_utf8(succeed(data(&["stats"]).arg(&file)).stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("train ")), "{text}");
}

#[test]
fn parts_that_were_written_are_read_as_the_same_split() {
    let place = Place::new();
    let file = place.file("my.toml", EXPERIMENT);
    succeed(data(&["split"]).arg(&file).arg(place.path("parts")));
    let files = "name = 'small'\n[data]\npath = 'parts'\n[split]\ntype = 'files'\nvalidation = 0\n[encoder]\n\
                 type = 'popularity'\n";
    let written = place.file("written.toml", files);
    succeed(place.run(&file, "one").arg("--quiet"));
    succeed(place.run(&written, "two").arg("--quiet"));
    for name in ["topk.tsv", "per_user.tsv", "users.tsv"] {
        let [one, two] = ["one", "two"].map(|run| fs::read_to_string(place.path(run).join(name)).unwrap());
        assert_eq!(one, two, "{name}");
    }
    // The folder of a split of `data synth` has the three parts too.
    succeed(&mut synth(&place.path("made"), &["--split"]));
    let made = stats(&place.path("made"), &[]);
    assert_eq!(made["stats"]["interactions"], 1500);
    assert!(["train.txt", "valid.txt", "test.txt"].iter().all(|name| place.path("made").join(name).exists()));
}

#[test]
fn what_is_there_stays_unless_overwritten() {
    let place = Place::new();
    let (kept, file) = (place.file("kept.txt", "dear"), place.file("my.toml", EXPERIMENT));
    place.file("parts/test.txt", "dear");
    let refused = |command: &mut Command| {
        let said = fail(command);
        assert!(said.contains("is there already and is not overwritten"), "{said}");
        assert!(said.contains("--overwrite replaces it"), "{said}");
    };
    refused(&mut synth(&kept, &[]));
    refused(&mut synth(&kept, &["--format", "csv"]));
    refused(&mut synth(&place.path("parts"), &["--split"]));
    refused(data(&["split"]).arg(&file).arg(place.path("parts")));
    assert_eq!(fs::read_to_string(&kept).unwrap(), "dear");
    assert_eq!(fs::read_to_string(place.path("parts/test.txt")).unwrap(), "dear");
    assert!(!place.path("parts/train.txt").exists());
    succeed(&mut synth(&kept, &["--overwrite"]));
    succeed(data(&["split", "--overwrite"]).arg(&file).arg(place.path("parts")));
    assert!(fs::read_to_string(&kept).unwrap().starts_with("0 "));
}

#[test]
fn wrong_words_get_one_sentence_each() {
    let place = Place::new();
    let (text, file) = (place.file("x.txt", "1 2\n"), place.file("my.toml", EXPERIMENT));
    let (text, file) = (text.to_str().unwrap(), file.to_str().unwrap());
    let cases: &[(&[&str], &str)] = &[
        (
            &["stats", text, "--set", "seed=1"],
            "--set seed=1 belongs to an experiment file, and `X` is none help: give a file that ends in .toml",
        ),
        (
            &["stats", file, "--format", "csv"],
            "--format belongs to a data file, and `X` is an experiment help: remove it; the experiment says it under \
             data.format, and --set data.format=… says otherwise",
        ),
        (
            &["stats", text, "--columns", "user=u"],
            "--columns belongs to CSV files, and the format is lightgcn help: add --format csv, or remove --columns",
        ),
        (
            &["stats", text, "--format", "csv", "--columns", "usr=u"],
            "--columns: found `usr=u`, expected user=…, item=…, rating=… or time=… help: write for example --columns \
             user=user_id,item=asin, with names from the file's first line",
        ),
        (&["synth", "out.txt", "--noise", "1.5"], "--noise must be in [0, 1], got 1.5"),
        (&["synth", "out.txt", "--user-exponent", "9"], "--user-exponent must be in [0, 4], got 9"),
        (&["synth", "out.txt", "--users", "0"], "--users must be between 1 and 4294967294, got 0"),
        (
            &["synth", "out", "--split", "--format", "csv"],
            "--split writes LightGCN text, and another --format was asked for help: remove --format, or write one file \
             and let [split] divide it",
        ),
    ];
    for (arguments, expected) in cases {
        // Long paths break lines in other places.
        let said = fail(&mut data(arguments)).replace(text, "X").replace(file, "X");
        assert_eq!(said, *expected, "{arguments:?}");
    }
    let code = |arguments: &[&str]| data(arguments).output().unwrap().status.code();
    assert_eq!(code(&["stats", text, "--format", "parquet"]), Some(2));
    assert_eq!(code(&["synth", "out.txt", "--users", "many"]), Some(2));
    assert_eq!(code(&[]), Some(2));
}
