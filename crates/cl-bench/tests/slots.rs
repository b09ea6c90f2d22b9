//! The slots are free: every filling of them trains, or is refused in one sentence; and none knows another by name.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use cl_bench::config::Text;
use cl_bench::{
    Clock, Components, Embeddings, Experiment, History, Kind, OnBackend, Progress, Selection, Session,
    TrainBackend, Trainable, on_backend,
};
use cl_core::contrast::{Contrast, KeyKind, Pair};
use cl_core::registry::Registry;
use cl_core::source::Pairing;
use cl_core::{Schedule, StreamKey};
use cl_data::{Split, SyntheticConfig};
use common::repository;

// ---- The matrix ---------------------------------------------------------------------------------------------------

/// The slots that the matrix runs over, as tables of an experiment.
const SLOTS: [&str; 6] = ["encoder", "views", "contrast", "negatives", "objective", "projection"];

/// What a cell's components are told besides their names, so that a step is short; what is looked at does not depend on it.
const SMALL: [(&str, &str); 8] = [
    ("light_gcn", "dim = 16\n"),
    ("sas_rec", "dim = 24\n"),
    ("gru4rec", "dim = 24\nhidden = 24\n"),
    ("bert4rec", "dim = 24\nheads = 1\n"),
    // Two batches do not fit.
    ("queue", "size = 100\n"),
    ("cross_batch_memory", "size = 100\n"),
    ("gbce", "negatives_per_positive = 2\n"),
    ("sampled_softmax", "negatives_per_positive = 2\n"),
];

fn names<T: ?Sized>(registry: &Registry<T>) -> Vec<&'static str> {
    registry.list().map(|(name, _)| name).collect()
}

/// Every way to take one name of each list.
fn product(lists: &[Vec<&'static str>]) -> Vec<Vec<&'static str>> {
    lists.iter().fold(vec![vec![]], |cells, list| {
        let longer = |cell: Vec<&'static str>| list.iter().map(move |name| [&cell[..], &[*name]].concat());
        cells.into_iter().flat_map(longer).collect()
    })
}

/// Whether a cell that is not refused is trained too: every encoder, views, contrast and negatives with one objective and no
/// head, and every objective and head with one contrast.
fn is_trained(cell: &[&str]) -> bool {
    cell[4..] == ["bpr", "none"] || cell[2..4] == ["info_nce", "in_batch"]
}

/// Which of the two views a gradient may flow through.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Open {
    a: bool,
    b: bool,
}

const BOTH: Open = Open { a: true, b: true };
const NEITHER: Open = Open { a: false, b: false };

/// A contrast that stops the gradient through a view, and checks that the two views are two.
struct Gate<B: TrainBackend> {
    inner: Box<dyn Contrast<B>>,
    open: Open,
}

fn gate<B: TrainBackend>(rows: Tensor<B, 2>, open: bool) -> Tensor<B, 2> {
    if open { rows } else { rows.detach() }
}

impl<B: TrainBackend> Contrast<B> for Gate<B> {
    fn pairing(&self) -> Pairing {
        self.inner.pairing()
    }

    fn weight(&self) -> Schedule {
        self.inner.weight()
    }

    fn accepts(&self, keys: KeyKind) -> Result<(), String> {
        self.inner.accepts(keys)
    }

    fn loss(&self, pair: Pair<B>, epoch: f64) -> Tensor<B, 1> {
        let apart = (pair.anchors.clone() - pair.positives.clone()).abs().max();
        assert!(apart.into_data().iter::<f32>().all(|most| most > 0.0), "the two views are one");
        let pair = Pair {
            anchors: gate(pair.anchors, self.open.a),
            positives: gate(pair.positives, self.open.b),
            ids: pair.ids,
            keys: pair.keys.map(|keys| gate(keys, self.open.b)),
        };
        self.inner.loss(pair, epoch)
    }
}

/// The data and how a cell is trained on it.
struct Bed<B: TrainBackend> {
    split: Split,
    components: Components<B>,
    device: B::Device,
}

impl<B: TrainBackend> Bed<B> {
    fn read(&self, cell: &[&str]) -> Result<Experiment<B>, String> {
        let small = |name: &str| SMALL.iter().find(|(of, _)| *of == name).map_or("", |(_, keys)| keys);
        let table = |(slot, name): (&&str, &&str)| format!("[{slot}]\ntype = \"{name}\"\n{}", small(name));
        let tables: Vec<String> = SLOTS.iter().zip(cell).map(table).collect();
        // Plain descent: a parameter moves by its gradient, so that it is finite exactly where the gradient is.
        let text = format!(
            "name = \"cell\"\n[data]\nsynthetic = {{}}\n[split]\ntype = \"leave_one_out\"\n{}[optimizer]\ntype = \"sgd\"\n\
             [train]\nbatch_size = 256\nselect = \"last\"\n",
            tables.concat()
        );
        Experiment::read(&Text::new("cell.toml", &text, &[]), &self.components)
            .map_err(|error| error.to_string())
    }

    /// Whether a copy of the model encodes the keys.
    fn has_key_encoder(&self, cell: &[&str]) -> bool {
        let contrast = self.read(cell).unwrap().training.unwrap().contrast;
        contrast.is_some_and(|contrasting| contrasting.negatives.momentum().is_some())
    }

    /// The embeddings after three steps; after none for `None`.
    fn train(&self, cell: &[&str], open: Option<Open>) -> Embeddings {
        let experiment = self.read(cell).unwrap();
        let mut training = experiment.training.unwrap();
        let gated = training.contrast.take().map(|mut contrasting| {
            let open = open.unwrap_or(BOTH);
            contrasting.contrast = Box::new(Gate { inner: contrasting.contrast, open });
            contrasting
        });
        training.contrast = gated;
        let Some(model) = experiment.encoder.kind().trained() else { panic!("{cell:?} is not trained") };
        let trained = Trainable::train(
            model,
            Session {
                device: self.device.clone(),
                key: StreamKey::root(1),
                part: &self.split.train,
                order: History::of(&self.split),
                items: self.split.items.len(),
                selection: Selection::Validation(&self.split.validation),
                training,
                evaluate: &experiment.evaluate,
                among: None,
                folder: None,
                suffix: "",
                max_steps: Some(if open.is_some() { 3 } else { 0 }),
                clock: Clock::Wall,
                progress: Progress::new(true),
            },
        );
        let trained = trained.unwrap_or_else(|error| panic!("{cell:?}: {error}"));
        assert!(trained.last_loss.is_finite(), "{cell:?}");
        let embeddings = trained.ranker.embeddings().unwrap();
        for x in embeddings.users.iter().chain(&embeddings.items) {
            assert!(x.is_finite(), "{cell:?}: a gradient is not a finite number");
        }
        embeddings
    }
}

/// ‖x − y‖ / ‖y‖ over all embeddings.
fn distance(x: &Embeddings, y: &Embeddings) -> f64 {
    let pairs = || x.users.iter().zip(&y.users).chain(x.items.iter().zip(&y.items));
    let squares =
        |of: &dyn Fn(f64, f64) -> f64| pairs().map(|(&x, &y)| of(x.into(), y.into()).powi(2)).sum::<f64>();
    (squares(&|x, y| x - y) / squares(&|_, y| y)).sqrt()
}

/// The two components that a refusal names, as `(slot, name)`.
fn named(message: &str, cell: &[&str]) -> Vec<(&'static str, String)> {
    let told = SLOTS.into_iter().zip(cell).filter(|(slot, name)| {
        message.contains(&format!("{slot} `{name}`")) || message.contains(&format!("[{slot}]"))
    });
    told.map(|(slot, name)| (slot, name.to_string())).collect()
}

struct Matrix;

impl OnBackend for Matrix {
    type Output = ();

    fn run<B: TrainBackend>(self, device: B::Device) {
        let components = Components::<B>::builtin();
        let lists = [
            names(&components.encoder),
            [names(&components.views), names(&components.sequence_views)].concat(),
            names(&components.contrast),
            names(&components.negatives),
            names(&components.objective),
            names(&components.projection),
        ];
        let synthetic =
            SyntheticConfig { users: 60, items: 60, interactions: 700, ..SyntheticConfig::default() };
        let whole = cl_data::Source::Whole(cl_data::synthetic::interactions(&synthetic, 1).unwrap());
        let split = cl_data::LeaveOneOut::default().split(&whole, 1).unwrap();
        let bed = Bed { split, components, device };

        let mut trained = BTreeSet::new();
        let mut refused = BTreeSet::new();
        let (mut run, mut accepted, mut cells_refused, mut least) = (0, 0, Vec::new(), f64::INFINITY);
        for cell in product(&lists) {
            if let Err(message) = bed.read(&cell).map(|_| ()) {
                let pair = named(&message, &cell);
                assert_eq!(pair.len(), 2, "{cell:?} is refused without naming two slots: {message}");
                let sentences = message.matches(". ").count() + usize::from(message.contains('\n'));
                assert_eq!(sentences, 0, "{cell:?} is refused in more than one sentence: {message}");
                refused.insert(pair);
                cells_refused.push(cell);
                continue;
            }
            if !is_trained(&cell) {
                accepted += 1;
                continue;
            }
            // Without any gradient from the contrast: what the objective alone does, or nothing at all.
            let active = cell[4] != "none";
            let still = bed.train(&cell, if active { Some(NEITHER) } else { None });
            for open in [BOTH, Open { a: true, b: false }, Open { a: false, b: true }] {
                let moved = distance(&bed.train(&cell, Some(open)), &still);
                if bed.has_key_encoder(&cell) && !open.a {
                    // Keys of a momentum copy have no gradient.
                    assert!(moved == 0.0, "{cell:?}: a gradient flows into keys ({moved:e})");
                    continue;
                }
                assert!(moved > 1e-7, "{cell:?}: no gradient through {open:?} ({moved:e})");
                least = least.min(moved);
            }
            run += 1;
            trained.extend(SLOTS.into_iter().zip(cell));
        }
        println!(
            "{run} cells trained, {accepted} more are accepted, {} refused; the least movement through one view is {least:.1e}",
            cells_refused.len()
        );
        refused.iter().for_each(|pair| println!("refused: {pair:?}"));

        // Refusals are a matter of two components: whatever else a cell holds, the same two are refused.
        for cell in product(&lists) {
            let of =
                |(slot, name): &(&str, String)| cell[SLOTS.iter().position(|of| of == slot).unwrap()] == name;
            let expected = refused.iter().any(|pair| pair.iter().all(of));
            assert_eq!(cells_refused.contains(&cell), expected, "{cell:?}");
        }
        // Every component trains somewhere; encoders that need no training do so by themselves.
        for (slot, list) in SLOTS.into_iter().zip(&lists) {
            for &name in list {
                let text = format!(
                    "name = \"alone\"\n[data]\nsynthetic = {{}}\n[split]\ntype = \"ratio\"\n[encoder]\ntype = \"{name}\"\n"
                );
                let alone = || {
                    let text = Text::new("alone.toml", &text, &[]);
                    let experiment = Experiment::<B>::read(&text, &bed.components).unwrap();
                    let Kind::Untrained(model) = experiment.encoder.kind() else { return false };
                    model.fit(&bed.split).is_ok()
                };
                assert!(
                    trained.contains(&(slot, name)) || slot == "encoder" && alone(),
                    "{slot} `{name}` trains nowhere"
                );
            }
        }
    }
}

#[test]
fn every_filling_of_the_slots_trains_through_both_views_or_is_refused() {
    on_backend("flex", Matrix).unwrap();
}

// ---- Names --------------------------------------------------------------------------------------------------------

/// Slot and name of every component.
fn components() -> Vec<(String, String)> {
    struct List;
    impl OnBackend for List {
        type Output = Vec<(String, String)>;
        fn run<B: TrainBackend>(self, _device: B::Device) -> Self::Output {
            let list = Components::<B>::builtin().list();
            list.into_iter().map(|(slot, name, _)| (slot.to_string(), name.to_string())).collect()
        }
    }
    on_backend("flex", List).unwrap()
}

/// Rust files below a folder.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The code of a file: without comments, and without its tests, which stand at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// `edge_dropout` → `EdgeDropout`
fn type_name(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// The first thing in the code that is the component's name: as a string, as a module in a path, as a word (if it is no
/// English one), or as its configuration's type.
fn mention(code: &str, name: &str) -> Option<String> {
    let word = |needle: &str| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        code.match_indices(needle).any(|(at, _)| {
            let before = code[..at].chars().next_back().is_some_and(is_word);
            !before && !code[at + needle.len()..].starts_with(is_word)
        })
    };
    let literal =
        [format!("\"{name}\""), format!("\\\"{name}\\\""), format!("::{name}::"), format!("mod {name};")];
    let found = literal.iter().find(|needle| code.contains(*needle)).cloned();
    let config = format!("{}Config", type_name(name));
    let several_words = name.contains('_').then(|| [name.to_string(), type_name(name)]);
    found.or_else(|| several_words.into_iter().flatten().chain([config]).find(|needle| word(needle)))
}

/// Error messages that send the reader to another component.
const SENT_TO: [(&str, &[&str]); 4] = [
    ("mlp", &["linear"]),
    ("light_gcn", &["matrix_factorization"]),
    ("files", &["ratio", "leave_one_out", "global_time"]),
    ("global_time", &["ratio", "leave_one_out"]),
];

#[test]
fn no_component_is_named_in_the_loop_or_in_another_component() {
    let mut files = Vec::new();
    for entry in fs::read_dir(repository().join("crates")).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    let components = components();
    let names: BTreeSet<&str> = components.iter().map(|(_, name)| name.as_str()).collect();
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_string();
    // One component a file, the file named as its TOML name.
    for (slot, name) in &components {
        let of_name = files.iter().filter(|path| stem(path) == *name).count();
        let slots = components.iter().filter(|(_, other)| other == name).count();
        assert!(of_name >= slots, "{slot} `{name}` has no file of its own");
    }
    let looped = files.iter().filter(|path| path.starts_with(repository().join("crates/cl-bench/src/train")));
    let owned = files.iter().filter(|path| names.contains(stem(path).as_str()));
    let mut found = Vec::new();
    for path in looped.chain(owned) {
        let code = code(path);
        let sent_to = SENT_TO.iter().find(|(from, _)| *from == stem(path)).map_or(&[][..], |(_, to)| to);
        for name in names.iter().filter(|name| **name != stem(path) && !sent_to.contains(name)) {
            if let Some(mention) = mention(&code, name) {
                found.push(format!("{}: {mention}", path.strip_prefix(repository()).unwrap().display()));
            }
        }
    }
    assert!(found.is_empty(), "components are named in\n{}", found.join("\n"));
}

#[test]
fn a_name_in_code_is_found() {
    assert_eq!(mention("if kind == \"linear\" {", "linear").unwrap(), "\"linear\"");
    assert_eq!(mention("use super::bpr::check_l2;", "bpr").unwrap(), "::bpr::");
    assert_eq!(mention("let x = NoneConfig {};", "none").unwrap(), "NoneConfig");
    assert_eq!(mention("f(edge_dropout)", "edge_dropout").unwrap(), "edge_dropout");
    assert_eq!(mention("Box<EdgeDropout>", "edge_dropout").unwrap(), "EdgeDropout");
    assert_eq!(mention("let linear = None; edge_dropouts", "linear"), None);
    assert_eq!(mention("edge_dropouts, my_edge_dropout", "edge_dropout"), None);
}
