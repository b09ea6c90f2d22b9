//! Nothing leaks: what is tested on has no part in what is learnt, unless a file asks for that habit by name.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Place, heavy_data, log, random, repository, result, succeed};
use serde_json::Value;

/// Text in LightGCN's format: the items of each user.
fn lines(items_of: &[Vec<u32>]) -> String {
    let line = |(user, items): (usize, &Vec<u32>)| {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        format!("{user} {}\n", items.join(" "))
    };
    items_of.iter().enumerate().map(line).collect()
}

/// Every user's items of a training part, and of two test parts that share no item of a user with it or one another.
/// All ids are in the training part, so both folders have the same catalogue.
fn parts(users: u64, items: u32) -> [Vec<Vec<u32>>; 3] {
    let mut parts = [const { Vec::new() }; 3];
    for user in 0..users {
        let mut order: Vec<u32> = (0..items).collect();
        for at in (1..items).rev() {
            order.swap(at as usize, random("leak", user * u64::from(items) + u64::from(at), at + 1) as usize);
        }
        // The first users bring in every item.
        let own = user as u32 % items;
        order.retain(|&item| item != own);
        parts[0].push([vec![own], order[..9].to_vec()].concat());
        parts[1].push(order[9..13].to_vec());
        parts[2].push(order[13..18].to_vec());
    }
    parts
}

/// What a run on a data folder learnt, what it logged, and what it measured on the test part.
struct Run {
    embeddings: Vec<u8>,
    log: Vec<Value>,
    test: Value,
}

struct Bed {
    place: Place,
    file: PathBuf,
}

impl Bed {
    fn new() -> Self {
        let place = Place::new();
        let [train, one, other] = parts(100, 60);
        for (name, test) in [("one", one), ("other", other)] {
            place.file(&format!("{name}/train.txt"), &lines(&train));
            place.file(&format!("{name}/test.txt"), &lines(&test));
        }
        // A high learning rate, so that the best epoch is not the last and selection has something to decide.
        let text = "name = 'leak'\n[data]\npath = 'one'\n[split]\ntype = 'files'\nvalidation = 0.2\n\
                    [encoder]\ntype = 'light_gcn'\ndim = 8\nlayers = 2\n[views]\ntype = 'edge_dropout'\n\
                    [contrast]\ntype = 'info_nce'\n[optimizer]\nlr = 0.05\n\
                    [train]\nepochs = 12\nbatch_size = 128\npatience = 5\n";
        let file = place.file("leak.toml", text);
        Self { place, file }
    }

    fn run(&self, data: &str, sets: &[&str]) -> Run {
        let out = format!("{data}-{}", sets.join("-").replace(['=', '"'], "_"));
        let mut run = self.place.run(&self.file, &out);
        run.args(["--quiet", "--threads", "1", "--set", &format!("data.path={data}")]);
        sets.iter().for_each(|set| {
            run.args(["--set", set]);
        });
        succeed(&mut run);
        let out = self.place.path(&out);
        Run {
            embeddings: fs::read(out.join("embeddings.safetensors")).unwrap(),
            log: log(&out, "metrics.jsonl"),
            test: result(&out)["test"].clone(),
        }
    }

    fn pair(&self, sets: &[&str]) -> [Run; 2] {
        ["one", "other"].map(|data| self.run(data, sets))
    }
}

#[test]
fn another_test_file_changes_nothing_that_is_learnt() {
    let bed = Bed::new();
    let last = ["train.select=last", "train.patience=0"];
    for sets in [&[][..], &last, &["train.refit=true"], &["train.evaluate_every=3"]] {
        let [one, other] = bed.pair(sets);
        assert_ne!(one.test, other.test, "{sets:?}: the test files must differ to show anything");
        assert!(one.embeddings == other.embeddings, "{sets:?}: the embeddings differ");
        assert_eq!(one.log, other.log, "{sets:?}");
    }
}

/// The test above can fail: under `select = "test"` the same two files do leak.
#[test]
fn selecting_on_the_test_part_leaks_and_is_marked() {
    let bed = Bed::new();
    let [one, other] = bed.pair(&["train.select=test", "split.validation=0.0"]);
    assert_ne!(one.log, other.log);
    let marked = result(&bed.place.path("one-train.select_test-split.validation_0.0"));
    assert!(marked["watermark"].as_str().unwrap().contains("selected on the test part"));
    // The metadata of the file, read by any safetensors reader.
    assert!(String::from_utf8_lossy(&one.embeddings[..400]).contains("selected on the test part"));
}

#[test]
fn lastfm_with_another_test_file() {
    let Some(data) = heavy_data("lastfm_with_another_test_file") else { return };
    let place = Place::new();
    let [train, test] = ["train", "test"]
        .map(|part| fs::read_to_string(data.join(format!("graph/lastfm/{part}.txt"))).unwrap());
    // The same pairs without every second one: other numbers, and ids that are left out stay out of both folders.
    let thinned: String = test
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!(
                "{}\n",
                [&words[..1], &words[1..].iter().step_by(2).copied().collect::<Vec<_>>()].concat().join(" ")
            )
        })
        .collect();
    let mut seen: Vec<&str> = train.lines().flat_map(|line| line.split_whitespace().skip(1)).collect();
    seen.sort_unstable();
    seen.dedup();
    let known = |text: &str| -> String {
        let keep = |line: &str| {
            let mut words = line.split_whitespace();
            let user = words.next().unwrap().to_string();
            let items = words.filter(|item| seen.binary_search(item).is_ok()).map(str::to_string);
            std::iter::once(user).chain(items).collect::<Vec<_>>().join(" ") + "\n"
        };
        text.lines().map(keep).collect()
    };
    for (name, test) in [("one", known(&test)), ("other", known(&thinned))] {
        place.file(&format!("{name}/train.txt"), &train);
        place.file(&format!("{name}/test.txt"), &test);
    }
    let file = repository().join("experiments/quick/xsimgcl-lastfm.toml");
    let runs = ["one", "other"].map(|name| {
        let set = format!("data.path={name}");
        succeed(place.run(&file, &format!("run-{name}")).args([
            "--quiet",
            "--set",
            &set,
            "--set",
            "train.epochs=5",
        ]));
        let out = place.path(&format!("run-{name}"));
        (
            fs::read(out.join("embeddings.safetensors")).unwrap(),
            log(&out, "metrics.jsonl"),
            result(&out)["test"].clone(),
        )
    });
    assert!(runs[0].0 == runs[1].0 && runs[0].1 == runs[1].1, "the test file had a part in the training");
    println!("lastfm: test metrics {} and {}", runs[0].2, runs[1].2);
    assert_ne!(runs[0].2, runs[1].2);
}
