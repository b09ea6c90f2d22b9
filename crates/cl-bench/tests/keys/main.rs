//! No dead keys: every key of a resolved file changes what comes out, or stands on a list with the reason.
//!
//! Keys are not listed here. They are taken from `cl-bench show` on experiments that together use every component, and
//! from what the program says it expected when a table holds an unknown key, so that a new key, also an optional one,
//! cannot be forgotten. Other legal values are found the same way.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod experiments;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use common::{Place, message, program, repository, result, succeed, traces};
use experiments::experiments;
use toml::{Table, Value};

/// Keys that need not change anything, and why.
const INDIFFERENT: [(&str, &str); 7] = [
    ("name", "names the folder"),
    ("device.backend", "says where the same thing is computed"),
    ("device.threads", "the results do not depend on it: tests/threads.rs"),
    ("train.checkpoint_every", "the results do not depend on it: tests/resume.rs"),
    (
        "encoder ease.memory_limit_gib",
        "refuses data that is too large, and else changes nothing: tests/errors.rs",
    ),
    ("encoder bert4rec.type", "no other encoder is trained with masks, so it cannot be changed alone"),
    ("split files.type", "published parts fit no other split, so it cannot be changed alone"),
];

/// Keys that may have no effect in some experiment, because of its data or of how its training goes.
const IDLE: [(&str, &str); 9] = [
    ("data.duplicates", "where no pair stands twice, or the split divides distinct pairs"),
    ("data.k_core.user", "where everybody has more"),
    ("data.synthetic.order", "where the split does not look at times"),
    ("split leave_one_out.unseen", "where nothing is unseen"),
    ("split ratio.unseen", "where nothing is unseen"),
    ("train.patience", "where the metric rose at every evaluation"),
    ("contrast nt_xent.sides", "where sequences are contrasted, which have no sides"),
    ("contrast nt_xent.unique", "where sequences are contrasted, of which a batch has each once"),
    ("contrast info_nce.unique", "likewise"),
];

/// Values to try for keys whose other values cannot be guessed from their type.
const OTHERS: [(&str, &[&str]); 15] = [
    ("data.path", &["'other'", "'other.csv'"]),
    ("data.separator", &["','"]),
    ("data.columns.user", &["'person'"]),
    ("data.columns.item", &["'thing'"]),
    ("data.columns.rating", &["'stars'"]),
    ("data.columns.time", &["'clock'"]),
    ("train.select_by", &["'ndcg@10'", "'mrr@10'", "'recall@10'"]),
    ("train.patience", &["1"]),
    ("evaluate.sampled.file", &["'other_sample.txt'"]),
    ("data.k_core.user", &["9"]),
    ("data.k_core.item", &["9"]),
    ("data.min_rating", &["3.0"]),
    ("projection linear.dim", &["4"]),
    // Its share of eight events is one event at least.
    ("views substitute.rate", &["0.5"]),
    ("views one_of.of", &["[{ type = 'crop', keep = 0.3 }, { type = 'mask', rate = 0.5 }]"]),
];

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
        "sampled",
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

/// The tables of a resolved file, as `--set` writes them and as they are told apart.
fn tables(resolved: &Table) -> BTreeSet<(String, String)> {
    let above = |key: &Key| {
        let (path, name) = (key.path.rsplit_once('.')?.0, key.name.rsplit_once('.')?.0);
        Some((path.to_string(), name.to_string()))
    };
    let mut tables: BTreeSet<_> = keys(resolved).iter().filter_map(above).collect();
    // A table without a value of its own, only with tables within.
    let outer: Vec<_> = tables
        .iter()
        .filter_map(|(path, name)| {
            Some((path.split_once('.')?.0.to_string(), name.split_once('.')?.0.to_string()))
        })
        .collect();
    tables.extend(outer);
    tables
}

/// A key in the experiments that have it, by number.
type Places = Vec<(usize, Key)>;

/// The keys of all experiments, by name. Fails if the program knows a key, or a component, that no experiment has.
fn all_keys(
    experiments: &[(&str, PathBuf)],
    components: &BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, Places> {
    let mut found: BTreeMap<String, Places> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (at, (_, file)) in experiments.iter().enumerate() {
        let shown = String::from_utf8(succeed(program().arg("show").arg(file)).stdout).unwrap();
        let resolved: Table = shown.parse().unwrap();
        for (path, name) in tables(&resolved) {
            let keys = expected(file, &format!("{path}.zzz=1"));
            known.extend(keys.into_iter().map(|key| format!("{name}.{key}")));
        }
        for key in keys(&resolved) {
            found.entry(key.name.clone()).or_default().push((at, key));
        }
        let said = program().arg("show").arg(file).args(["--set", "zzz=1"]).output().unwrap().stderr;
        let said = String::from_utf8(said).unwrap();
        let (_, tables) = said.split_once("there are: ").unwrap_or_else(|| panic!("{said}"));
        known.extend(tables.split(',').map(|table| table.trim().to_string()));
    }
    for key in &known {
        let is = |name: &String| {
            let rest = name.strip_prefix(key.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', ' ']))
        };
        assert!(found.keys().any(is), "no experiment of this test sets `{key}`");
    }
    for (slot, names) in components {
        for name in names {
            let used = found.contains_key(&format!("{slot} {name}.type"));
            assert!(used, "no experiment of this test uses {slot} `{name}`");
        }
    }
    found
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
    let mut keys = all_keys(&experiments, &components);
    let documentation = fs::read_to_string(repository().join("docs/experiment-file.md")).unwrap();
    for name in keys.keys() {
        let key = name.rsplit('.').next().unwrap().split('[').next().unwrap();
        assert!(
            documentation.contains(&format!("`{key}`")),
            "docs/experiment-file.md says nothing of `{name}`"
        );
    }
    for (key, _) in INDIFFERENT {
        assert!(keys.remove(key).is_some(), "`{key}` is on the list and in no file");
    }
    let before: Vec<Outcome> = experiments
        .iter()
        .map(|(name, file)| run(&place, file, None, "before").unwrap_or_else(|| panic!("{name} is refused")))
        .collect();

    // One experiment in which a key has an effect is enough; the long version looks at all of them.
    let everywhere = std::env::var_os("CL_HEAVY").is_some_and(|heavy| heavy == "1");
    let look = |name: &str, places: &Places, out: &str| {
        let mut told = Vec::new();
        let mut alive = false;
        for (at, key) in places {
            if alive && !everywhere {
                break;
            }
            let (experiment, file) = &experiments[*at];
            let verdict = verdict(&place, file, &before[*at], key, &components, out);
            told.push((format!("{name} = {} in {experiment}: {verdict:?}", key.value), verdict));
            alive |= told.last().is_some_and(|(_, verdict)| *verdict == Verdict::Alive);
        }
        let idle = IDLE.iter().any(|(key, _)| *key == name);
        told.retain(|(_, verdict)| !alive || everywhere && !idle && matches!(verdict, Verdict::Dead(_)));
        told.into_iter().map(|(told, _)| told).collect::<Vec<_>>()
    };
    let number = keys.len();
    let (queue, dead) = (Mutex::new(keys.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (queue, dead, look) = (&queue, &dead, &look);
            scope.spawn(move || {
                loop {
                    let Some((name, places)) = queue.lock().unwrap().next() else { break };
                    let told = look(&name, &places, &format!("run-{worker}"));
                    dead.lock().unwrap().extend(told);
                }
            });
        }
    });
    println!("{number} keys, looked at in {} experiment", if everywhere { "every" } else { "at least one" });
    let dead = dead.into_inner().unwrap();
    assert!(dead.is_empty(), "keys that change nothing:\n{}", dead.join("\n"));
}
