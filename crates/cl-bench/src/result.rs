//! The files of the run folder.

use std::fmt::Write;

use cl_core::StreamKey;
use cl_data::{Ids, Split};
use cl_eval::{GroupMetrics, Score};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use crate::backend::TrainBackend;
use crate::commands::run::{LoadedSplit, TrainingFacts};
use crate::config::{Experiment, SampledConfig, Select};
use crate::error::Error;
use crate::evaluate::{Evaluation, representation};
use crate::folder::RunFolder;
use crate::ranker::{Embeddings, Ranker};

/// What the result says about the experiment.
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) experiment_hash: String,
    pub(crate) protocol_hash: String,
    /// `None` for a model that is not trained.
    pub(crate) select: Option<Select>,
    pub(crate) backend: String,
    pub(crate) mask_history: bool,
    pub(crate) score: Score,
    /// What held-out items were ranked among, if not all.
    pub(crate) sampled: Option<SampledConfig>,
    /// The sentence that all outputs carry.
    pub(crate) watermark: Option<String>,
}

impl Facts {
    pub(crate) fn of<B: TrainBackend>(experiment: &Experiment<B>) -> Self {
        let select = experiment.training.as_ref().map(|training| training.train.select);
        Self {
            name: experiment.name.clone(),
            seed: experiment.seed,
            experiment_hash: experiment.hash.clone(),
            protocol_hash: experiment.protocol_hash.clone(),
            select,
            backend: experiment.device.backend.clone(),
            mask_history: experiment.evaluate.mask_history,
            score: experiment.evaluate.score,
            sampled: experiment.evaluate.sampled.clone(),
            watermark: experiment.evaluate.watermark(select),
        }
    }
}

/// Seconds of the whole run.
pub(crate) struct Seconds {
    pub(crate) load: f64,
    pub(crate) evaluate: f64,
    pub(crate) total: f64,
}

/// All that a run found.
pub(crate) struct Outcome<'a> {
    pub(crate) facts: Facts,
    pub(crate) loaded: &'a LoadedSplit,
    pub(crate) ranker: &'a dyn Ranker,
    /// Metrics on the validation part.
    pub(crate) valid: Vec<(String, f64)>,
    pub(crate) evaluation: Evaluation,
    pub(crate) training: Option<TrainingFacts>,
    pub(crate) seconds: Seconds,
    pub(crate) key: StreamKey,
}

/// Writes all files; `result.json` comes last and marks the run as finished.
pub(crate) fn write(folder: &RunFolder, outcome: &Outcome<'_>) -> Result<(), Error> {
    let Outcome { loaded: LoadedSplit { split, .. }, evaluation, facts, .. } = outcome;
    // That of a run cut short, which has gone on: it must not stand beside other files than its own.
    let earlier = folder.file("result.json");
    if earlier.exists() {
        std::fs::remove_file(&earlier).map_err(Error::io("cannot remove", earlier))?;
    }
    folder.write("users.tsv", ids(&split.users).as_bytes())?;
    folder.write("items.tsv", ids(&split.items).as_bytes())?;
    folder.write("topk.tsv", topk(evaluation, split).as_bytes())?;
    folder.write("per_user.tsv", per_user(evaluation, split, facts.watermark.as_deref()).as_bytes())?;
    let embeddings = outcome.ranker.embeddings();
    if let Some(embeddings) = &embeddings {
        folder.write("embeddings.safetensors", &safetensors(embeddings, facts.watermark.as_deref())?)?;
    }
    let result = result(outcome, embeddings.as_ref());
    let text = serde_json::to_string_pretty(&result).map_err(|error| Error::other(error.to_string()))?;
    folder.write("result.json", format!("{text}\n").as_bytes())
}

fn ids(ids: &Ids) -> String {
    let mut text = String::new();
    for row in 0..ids.len() {
        let _ = writeln!(text, "{row}\t{}", ids.external(row));
    }
    text
}

fn topk(evaluation: &Evaluation, split: &Split) -> String {
    let rankings = &evaluation.rankings;
    let mut text = String::new();
    for (row, &user) in rankings.users.iter().enumerate() {
        let user = split.users.external(user as usize);
        let scores = &rankings.scores[row * rankings.cutoff..];
        for (place, (&item, score)) in rankings.of(row).iter().zip(scores).enumerate() {
            let item = split.items.external(item as usize);
            let _ = writeln!(text, "{user}\t{item}\t{}\t{score}", place + 1);
        }
    }
    text
}

fn per_user(evaluation: &Evaluation, split: &Split, watermark: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(watermark) = watermark {
        let _ = writeln!(text, "# {watermark}");
    }
    text.push_str("user");
    for (name, _) in &evaluation.per_user.columns {
        let _ = write!(text, "\t{name}");
    }
    text.push('\n');
    for (row, &user) in evaluation.per_user.users.iter().enumerate() {
        let _ = write!(text, "{}", split.users.external(user as usize));
        for (_, values) in &evaluation.per_user.columns {
            let _ = write!(text, "\t{}", values[row]);
        }
        text.push('\n');
    }
    text
}

fn safetensors(embeddings: &Embeddings, watermark: Option<&str>) -> Result<Vec<u8>, Error> {
    let bytes = |table: &[f32]| table.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let tables = [("user", bytes(&embeddings.users)), ("item", bytes(&embeddings.items))];
    let views = tables.iter().map(|(name, table)| {
        let shape = vec![table.len() / 4 / embeddings.dim, embeddings.dim];
        TensorView::new(Dtype::F32, shape, table).map(|view| (*name, view))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|error| Error::other(error.to_string()))?;
    let note = watermark.map(|note| [("watermark".to_string(), note.to_string())].into_iter().collect());
    safetensors::serialize(views, note).map_err(|error| Error::other(error.to_string()))
}

fn metrics(metrics: &[(String, f64)]) -> Value {
    Value::Object(metrics.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
}

fn groups(groups: &[GroupMetrics]) -> Value {
    let group = |group: &GroupMetrics| {
        let mut values = Map::new();
        values.insert("users".into(), json!(group.users));
        values.insert("pairs".into(), json!(group.pairs));
        values.extend(group.metrics.iter().map(|(name, value)| (name.clone(), json!(value))));
        (group.group.clone(), Value::Object(values))
    };
    Value::Object(groups.iter().map(group).collect())
}

/// The content of `result.json`.
fn result(outcome: &Outcome<'_>, embeddings: Option<&Embeddings>) -> Value {
    let Outcome { facts, loaded, evaluation, training, seconds, key, .. } = outcome;
    let split = &loaded.split;
    let select = facts.select.map_or("none", Select::name);
    let slices: Map<_, _> =
        evaluation.slices.iter().map(|(name, slice)| (name.to_string(), groups(slice))).collect();
    let mut seconds_json =
        json!({ "load": seconds.load, "evaluate": seconds.evaluate, "total": seconds.total });
    if let Some(training) = training {
        seconds_json["train_step_median"] = json!(median(&training.timing.steps));
        seconds_json["epoch_median"] = json!(median(&training.timing.epochs));
    }
    let mut result = json!({
        "name": facts.name,
        "seed": facts.seed,
        "experiment_hash": facts.experiment_hash,
        "protocol_hash": facts.protocol_hash,
        "selected_on": select,
        "best_epoch": training.as_ref().map(|training| training.best_epoch),
        "refitted": training.as_ref().is_some_and(|training| training.refit.is_some()),
        "steps": training.as_ref().map(|training| training.steps),
        "last_loss": training.as_ref().map(|training| training.last_loss),
        "cut_short": training.as_ref().is_some_and(|training| training.cut_short),
        "refit": training.as_ref().and_then(|training| training.refit.as_ref()).map(|refit| {
            json!({ "epochs": refit.epochs, "steps": refit.steps, "last_loss": refit.last_loss })
        }),
        "data": {
            "users": split.users.len(),
            "items": split.items.len(),
            "train": split.train.len(),
            "validation": split.validation.len(),
            "test": split.test.len(),
            "unseen_users": split.unseen_users,
            "unseen_items": split.unseen_items,
            "filters": loaded.filters,
        },
        "history_masked": facts.mask_history,
        "score": facts.score,
        "sampled": facts.sampled,
        "valid": metrics(&outcome.valid),
        "test": metrics(&evaluation.metrics),
        "slices": slices,
        "catalogue": metrics(&evaluation.catalogue),
        "representation": embeddings.map_or(json!({}), |embeddings| {
            let found = representation(embeddings, split, *key);
            json!({
                "alignment": found.alignment,
                "uniformity_user": found.uniformity_user.map(|found| found.value),
                "uniformity_user_rows": found.uniformity_user.map(|found| found.rows),
                "uniformity_item": found.uniformity_item.map(|found| found.value),
                "uniformity_item_rows": found.uniformity_item.map(|found| found.rows),
                "effective_rank_user": found.effective_rank_user,
                "effective_rank_item": found.effective_rank_item,
            })
        }),
        "seconds": seconds_json,
        "peak_rss_bytes": peak_rss_bytes(),
        "threads": rayon::current_num_threads(),
        "backend": facts.backend,
        // No backend that is here adds in an order of its own (docs/design.md); for one that does, why.
        "nondeterminism": null,
        "notes": loaded.notes,
    });
    if let Some(watermark) = facts.watermark.as_deref() {
        result["watermark"] = json!(watermark);
    }
    result
}

/// The median; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// The largest resident size of this process so far, as Linux counts it; `None` elsewhere.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
