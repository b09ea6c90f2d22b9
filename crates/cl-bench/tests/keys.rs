//! No dead keys: every key of a resolved file changes what comes out, or stands on a list with the reason.
//!
//! Keys are not listed here. They are taken from `cl-bench show` on experiments that together use every component, and
//! from what the program says it expected when a table holds an unknown key, so that a new key, also an optional one,
//! cannot be forgotten. Other legal values are found the same way.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use common::{Place, message, program, random, result, succeed, traces};
use toml::{Table, Value};

/// Keys that may change nothing, and why.
const INDIFFERENT: [(&str, &str); 5] = [
    ("name", "names the folder"),
    ("device.backend", "says where the same thing is computed"),
    ("device.threads", "the results do not depend on it: tests/threads.rs"),
    ("train.checkpoint_every", "the results do not depend on it: tests/resume.rs"),
    (
        "encoder ease.memory_limit_gib",
        "refuses data that is too large, and else changes nothing: tests/errors.rs",
    ),
];

/// Values to try for keys whose other values cannot be guessed from their type.
const OTHERS: [(&str, &[&str]); 12] = [
    ("data.path", &["'other'", "'other.csv'"]),
    ("data.separator", &["','"]),
    ("data.columns.user", &["'person'"]),
    ("data.columns.item", &["'thing'"]),
    ("data.columns.rating", &["'stars'"]),
    ("data.columns.time", &["'clock'"]),
    ("train.select_by", &["'ndcg@10'", "'mrr@10'", "'recall@10'"]),
    ("train.patience", &["1"]),
    ("data.k_core.user", &["9"]),
    ("data.k_core.item", &["9"]),
    ("data.min_rating", &["4.0"]),
    ("projection linear.dim", &["4"]),
];

const SYNTHETIC: &str = "[data]\nsynthetic = { users = 120, items = 90, interactions = 1500 }\n";
const TRAIN: &str = "[train]\nepochs = 5\nbatch_size = 300\n";

/// Experiments that together use every component and every key.
fn experiments(place: &Place) -> Vec<(&'static str, PathBuf)> {
    files(place);
    let texts = [
        (
            "sgl",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'light_gcn'\ndim = 8\nlayers = 2\n\
                 [objective]\nl2 = 1e-2\n[views]\ntype = 'edge_dropout'\n[contrast]\ntype = 'info_nce'\nunique = false\n\
                 temperature = {{ from = 0.5, to = 0.1, over = 3.0, shape = 'cosine' }}\n\
                 [optimizer]\nlr = 0.05\nweight_decay = 1e-3\n\
                 [evaluate]\nslices = ['user_degree', 'item_popularity', 'item_deciles']\n{TRAIN}"
            ),
        ),
        (
            "walks",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\nby = 'global'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [objective]\ntype = 'alignment_uniformity'\nl2 = 1e-2\n[views]\ntype = 'random_walk'\nmode = 'walk'\n\
                 length = 2\n[contrast]\ntype = 'nt_xent'\nunique = false\n[projection]\ntype = 'linear'\ndim = 8\n\
                 [optimizer]\ntype = 'adam_w'\nlr = 0.01\n{TRAIN}"
            ),
        ),
        (
            "layers",
            format!(
                "{SYNTHETIC}[split]\ntype = 'global_time'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [objective]\ntype = 'none'\nl2 = 1e-2\n[views]\ntype = 'random_walk'\n[contrast]\ntype = 'info_nce'\n\
                 [negatives]\ntype = 'all_nodes'\n[projection]\ntype = 'mlp'\ndim = 8\nhidden = 8\n\
                 [optimizer]\ntype = 'sgd'\nlr = 0.5\nmomentum = 0.5\nweight_decay = 1e-3\n{TRAIN}"
            ),
        ),
        (
            "nodes",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [views]\ntype = 'node_dropout'\n[contrast]\ntype = 'alignment_uniformity'\nunique = false\n{TRAIN}"
            ),
        ),
        (
            "mf",
            format!(
                "[data]\npath = 'one'\n[split]\ntype = 'files'\n[encoder]\ntype = 'matrix_factorization'\ndim = 8\n\
                 [views]\ntype = 'embedding_noise'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        (
            "csv",
            format!(
                "[data]\npath = 'one.csv'\nformat = 'csv'\nseparator = ';'\nmin_rating = 2.0\n\
                 columns = {{ rating = 'rating', time = 'time' }}\nk_core = {{ user = 4, item = 4 }}\n\
                 [split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [views]\ntype = 'cross_layer'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        ("popularity", format!("{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'popularity'\n")),
        (
            "neighbours",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'item_knn'\nneighbours = 9\nshrink = 2.0\n"
            ),
        ),
        (
            "ease",
            format!("{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'ease'\nregularization = 50.0\n"),
        ),
    ];
    texts
        .into_iter()
        .map(|(name, text)| (name, place.file(&format!("{name}.toml"), &format!("name = '{name}'\n{text}"))))
        .collect()
}

/// Data folders and files in which every key of `[data]` has something to choose: two folders, each in two formats that
/// hold different pairs; two CSV files that can be read with two separators, with two columns for each use.
fn files(place: &Place) {
    let number = |stream: &str, n: u64, below: u32| random(stream, n, below);
    for name in ["one", "other"] {
        for (stream, ending) in [("text", "txt"), ("atomic", "inter")] {
            let [mut train, mut test] = [String::new(), String::new()];
            if ending == "inter" {
                [&mut train, &mut test].into_iter().for_each(|text| text.push_str("user_id:token\titem_id:token\n"));
            }
            for user in 0..80_u64 {
                let mut items: Vec<u32> =
                    (0..14).map(|n| number(&format!("{name} {stream}"), user * 14 + n, 60)).collect();
                items.sort_unstable();
                items.dedup();
                // Items 60 and above are in the test part alone.
                let held_out = [items.pop().unwrap(), items.remove(0), 60 + user as u32 % 7];
                for (text, items) in [(&mut train, &items[..]), (&mut test, &held_out[..])] {
                    match ending {
                        "txt" => {
                            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                            text.push_str(&format!("{user} {}\n", items.join(" ")));
                        }
                        _ => items.iter().for_each(|item| text.push_str(&format!("{user}\t{item}\n"))),
                    }
                }
            }
            let prefix = if ending == "inter" { "x." } else { "" };
            place.file(&format!("{name}/{prefix}train.{ending}"), &train);
            place.file(&format!("{name}/{prefix}test.{ending}"), &test);
        }
        // Between semicolons stands one table, between commas another.
        let columns = "user;person;item;thing;rating;stars;time;clock";
        let mut csv = format!("{columns};x,{},y\n", columns.replace(';', ","));
        for line in 0..1400 {
            let field =
                |column: &str, below: u32| number(&format!("{name} {column}"), line, below).to_string();
            let fields = |side: &str| {
                [
                    ("user", 70),
                    ("person", 70),
                    ("item", 50),
                    ("thing", 50),
                    ("rating", 5),
                    ("stars", 5),
                    ("time", 999),
                    ("clock", 999),
                ]
                .map(|(column, below)| field(&format!("{side} {column}"), below))
            };
            csv.push_str(&format!("{};x,{},y\n", fields("left").join(";"), fields("right").join(",")));
        }
        place.file(&format!("{name}.csv"), &csv);
    }
}

/// One value of an experiment that a person may set.
#[derive(Debug, Clone)]
struct Key {
    /// As `--set` takes it.
    path: String,
    /// Told apart by component: `encoder light_gcn.dim`, `data.path`.
    name: String,
    value: Value,
    /// For an element of a list of numbers, which one.
    element: Option<usize>,
}

/// The values of a resolved file; tables within are gone through.
fn keys(resolved: &Table) -> Vec<Key> {
    fn add(path: &str, name: &str, table: &Table, keys: &mut Vec<Key>) {
        for (key, value) in table {
            let (path, name) = (format!("{path}.{key}"), format!("{name}.{key}"));
            let numbers = |list: &Vec<Value>| list.iter().all(|value| value.is_integer() || value.is_float());
            match value {
                Value::Table(table) => add(&path, &name, table, keys),
                Value::Array(list) if numbers(list) => keys.extend((0..list.len()).map(|element| Key {
                    path: path.clone(),
                    name: format!("{name}[{element}]"),
                    value: value.clone(),
                    element: Some(element),
                })),
                value => keys.push(Key { path, name, value: value.clone(), element: None }),
            }
        }
    }
    let mut keys = Vec::new();
    for (key, value) in resolved {
        match value {
            Value::Table(table) => {
                let component =
                    table.get("type").map_or(String::new(), |name| format!(" {}", name.as_str().unwrap()));
                add(key, &format!("{key}{component}"), table, &mut keys);
            }
            value => {
                keys.push(Key { path: key.clone(), name: key.clone(), value: value.clone(), element: None })
            }
        }
    }
    keys
}

/// The words in backticks after "expected" or "there are" in what the program says about `KEY=VALUE`.
fn expected(file: &Path, set: &str) -> Vec<String> {
    let output = program().arg("show").arg(file).args(["--set", set]).output().unwrap();
    let said = message(&output);
    let rest = said.split_once("expected").or(said.split_once("there are")).map_or("", |(_, rest)| rest);
    rest.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

/// Other values of a key, as TOML, the most promising first.
fn others(file: &Path, key: &Key, components: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let known = OTHERS.iter().find(|(name, _)| [&key.path, &key.name].contains(&&name.to_string()));
    if let Some((_, values)) = known {
        return values.iter().map(ToString::to_string).collect();
    }
    let number = |value: &Value| -> Vec<Value> {
        match value {
            Value::Integer(n) => [n + 1, n - 1, 2 * n, n / 2].map(Value::Integer).to_vec(),
            Value::Float(x) => [x * 1.5, x * 0.5, x + 0.1, x - 0.1].map(Value::Float).to_vec(),
            _ => Vec::new(),
        }
    };
    match &key.value {
        Value::Boolean(value) => vec![(!value).to_string()],
        // Another component, with its defaults: the whole table is another.
        Value::String(name) if key.path.ends_with(".type") => {
            let slot = key.path.strip_suffix(".type").unwrap();
            let others = components[slot].iter().filter(|other| *other != name);
            others.map(|other| format!("{{ type = '{other}' }}")).collect()
        }
        Value::String(value) => {
            let variants = expected(file, &format!("{}='?'", key.path));
            variants
                .into_iter()
                .filter(|variant| variant != value)
                .map(|variant| format!("'{variant}'"))
                .collect()
        }
        Value::Array(list) => match key.element {
            Some(element) => number(&list[element])
                .into_iter()
                .map(|other| {
                    let mut list = list.clone();
                    list[element] = other;
                    Value::Array(list).to_string()
                })
                .collect(),
            None => vec![Value::Array(list[..list.len() - 1].to_vec()).to_string()],
        },
        value => number(value).iter().map(ToString::to_string).collect(),
    }
}

type Outcome = BTreeMap<String, Vec<u8>>;

/// What a run leaves, without the echo of its own settings.
fn outcome(run: &Path) -> Outcome {
    let mut traces = traces(run);
    traces.remove("resolved.toml");
    let mut result = result(run);
    for key in [
        "name",
        "seed",
        "experiment_hash",
        "protocol_hash",
        "selected_on",
        "history_masked",
        "refitted",
        "backend",
    ] {
        result.as_object_mut().unwrap().remove(key).unwrap_or_else(|| panic!("result.json has no `{key}`"));
    }
    traces.insert("result.json".into(), result.to_string().into_bytes());
    // The tensors alone: the header may carry the watermark.
    if let Some(bytes) = traces.get_mut("embeddings.safetensors") {
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        *bytes = bytes.split_off(8 + header);
    }
    traces
}

/// Runs an experiment with a key set; `None` if the value is refused.
fn run(place: &Place, file: &Path, set: Option<&str>, out: &str) -> Option<Outcome> {
    let mut command = place.run(file, out);
    command.args(["--quiet", "--overwrite", "--threads", "1"]);
    if let Some(set) = set {
        command.args(["--set", set]);
    }
    let output = command.output().unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{set:?}: {}", String::from_utf8_lossy(&output.stderr));
    let outcome = (code == Some(0)).then(|| outcome(&place.path(out)));
    let _ = fs::remove_dir_all(place.path(out));
    outcome
}

/// What became of a key in an experiment.
#[derive(Debug, PartialEq)]
enum Verdict {
    Alive,
    /// These legal values changed nothing.
    Dead(Vec<String>),
    NoOtherValue(Vec<String>),
}

fn verdict(
    place: &Place,
    file: &Path,
    before: &Outcome,
    key: &Key,
    components: &BTreeMap<String, Vec<String>>,
    out: &str,
) -> Verdict {
    let (mut same, mut refused) = (Vec::new(), Vec::new());
    for other in others(file, key, components) {
        let path = key.path.strip_suffix(".type").unwrap_or(&key.path);
        match run(place, file, Some(&format!("{path}={other}")), out) {
            Some(after) if after != *before => return Verdict::Alive,
            Some(_) => same.push(other),
            None => refused.push(other),
        }
    }
    if same.is_empty() { Verdict::NoOtherValue(refused) } else { Verdict::Dead(same) }
}

#[test]
fn every_key_changes_what_comes_out() {
    let place = Place::new();
    let experiments = experiments(&place);
    let mut components: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(succeed(program().arg("list")).stdout).unwrap().lines() {
        let mut words = line.split_whitespace().map(str::to_string);
        components.entry(words.next().unwrap()).or_default().push(words.next().unwrap());
    }

    // The keys of each experiment, and whatever the program would take besides.
    let mut found: Vec<(usize, Key)> = Vec::new();
    let mut known = BTreeSet::new();
    for (at, (_, file)) in experiments.iter().enumerate() {
        let shown = String::from_utf8(succeed(program().arg("show").arg(file)).stdout).unwrap();
        let resolved: Table = shown.parse().unwrap();
        let of_file = keys(&resolved);
        let mut tables: BTreeSet<(String, String)> = of_file
            .iter()
            .filter_map(|key| {
                let (path, _) = key.path.rsplit_once('.')?;
                let (name, _) = key.name.rsplit_once('.')?;
                Some((path.to_string(), name.to_string()))
            })
            .collect();
        // Tables in which every key is optional and none is set have no key to be found by.
        tables.extend(
            tables
                .clone()
                .iter()
                .filter_map(|(path, _)| path.split_once('.').map(|(table, _)| (table.into(), table.into()))),
        );
        for (path, name) in tables {
            let name = if path.contains('.') || !resolved[&path].as_table().unwrap().contains_key("type") {
                name
            } else {
                format!("{path} {}", resolved[&path]["type"].as_str().unwrap())
            };
            known.extend(
                expected(file, &format!("{path}.zzz=1")).into_iter().map(|key| format!("{name}.{key}")),
            );
        }
        known.extend(expected(file, "zzz=1"));
        found.extend(of_file.into_iter().map(|key| (at, key)));
    }

    // A key is tried in one experiment after another until it has an effect.
    let mut tasks: BTreeMap<String, Vec<(usize, Key)>> = BTreeMap::new();
    for (at, key) in found {
        tasks.entry(key.name.clone()).or_default().push((at, key));
    }
    for key in &known {
        let part = |name: &String| {
            name == key
                || name.starts_with(&format!("{key}."))
                || name.starts_with(&format!("{key}["))
                || name.starts_with(&format!("{key} "))
        };
        let table = tasks.keys().any(|name| name.split([' ', '.']).next() == Some(key));
        assert!(table || tasks.keys().any(part), "no experiment of this test sets `{key}`");
    }
    for (slot, names) in &components {
        for name in names {
            let used = tasks.contains_key(&format!("{slot} {name}.type"));
            assert!(used, "no experiment of this test uses {slot} `{name}`");
        }
    }
    for (key, _) in INDIFFERENT {
        assert!(tasks.remove(key).is_some(), "`{key}` is on the list and in no file");
    }

    let before: Vec<Outcome> = experiments
        .iter()
        .map(|(name, file)| run(&place, file, None, "before").unwrap_or_else(|| panic!("{name} is refused")))
        .collect();
    let keys = tasks.len();
    let queue = Mutex::new(tasks.into_iter().collect::<VecDeque<_>>());
    let (failures, inert) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (queue, failures, inert, experiments, before, components, place) =
                (&queue, &failures, &inert, &experiments, &before, &components, &place);
            scope.spawn(move || {
                loop {
                    let Some((name, places)) = queue.lock().unwrap().pop_front() else { break };
                    let mut dead = Vec::new();
                    let alive = places.iter().any(|(at, key)| {
                        let (experiment, file) = &experiments[*at];
                        let out = format!("run-{worker}");
                        let verdict = verdict(place, file, &before[*at], key, components, &out);
                        if verdict != Verdict::Alive {
                            dead.push(format!("{name} in {experiment} (= {}): {verdict:?}", key.value));
                        }
                        verdict == Verdict::Alive
                    });
                    if alive {
                        inert.lock().unwrap().extend(dead)
                    } else {
                        failures.lock().unwrap().push(dead)
                    }
                }
            });
        }
    });
    let (failures, inert) = (failures.into_inner().unwrap(), inert.into_inner().unwrap());
    println!("{keys} keys");
    inert.iter().for_each(|key| println!("without effect in one experiment, with effect in another: {key}"));
    assert!(failures.is_empty(), "keys that change nothing:\n{}", failures.concat().join("\n"));
}
