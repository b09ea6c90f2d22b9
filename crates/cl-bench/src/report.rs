//! A table worth reading at the end of a run.

use cl_data::Split;
use cl_eval::baseline::PopularityConfig;
use cl_eval::{Score, Scorer};
use comfy_table::{CellAlignment, Table, presets};

use crate::commands::run::LoadedSplit;
use crate::config::EvaluateConfig;
use crate::evaluate::{Evaluation, on_test};
use crate::ranker::ByScores;
use crate::result::Outcome;

/// What the data is, in a line.
pub(crate) fn data_line(split: &Split) -> String {
    format!(
        "{} users, {} items; {} training, {} validation, {} test interactions",
        split.users.len(),
        split.items.len(),
        split.train.len(),
        split.validation.len(),
        split.test.len()
    )
}

/// Metrics of the model and of the popularity ranking, with slices.
pub(crate) fn table(outcome: &Outcome<'_>, config: &EvaluateConfig) -> String {
    let popularity = popularity(outcome.loaded, config);
    let mut text = String::new();
    let facts = &outcome.facts;
    text.push_str(&format!("\n{} (seed {})\n", facts.name, facts.seed));
    if let Some(training) = &outcome.training {
        let select = facts.select.map_or("none", |select| select.name());
        text.push_str(&format!(
            "{} steps, epoch {} selected on {select}, {:.3} s a step\n",
            training.steps,
            training.best_epoch,
            crate::result::median(&training.timing.steps)
        ));
    }
    if outcome.training.as_ref().is_some_and(|training| training.cut_short) {
        text.push_str("NOTE: --max-steps ended the training early; --resume goes on\n");
    }
    if let Some(watermark) = &facts.watermark {
        text.push_str(&format!("NOTE: {watermark}\n"));
    }
    text.push_str(&metrics(&outcome.evaluation, popularity.as_ref(), config));
    text.push_str(&slices(&outcome.evaluation, popularity.as_ref(), config));
    text
}

/// The popularity ranking on the same data; `None` if it cannot be computed.
fn popularity(loaded: &LoadedSplit, config: &EvaluateConfig) -> Option<Evaluation> {
    let split = &loaded.split;
    let scorer = PopularityConfig::default().by_counts(&split.train_counts());
    let ranker = ByScores(Box::new(scorer) as Box<dyn Scorer>);
    // Counts above 16 would be equal under a sigmoid, which is for the scores of embeddings.
    let config = EvaluateConfig { score: Score::Raw, ..config.clone() };
    Some(on_test(&ranker, split, &config, loaded.among.as_ref()))
}

fn new_table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn value(values: &[(String, f64)], name: &str) -> String {
    values.iter().find(|(of, _)| of == name).map_or("–".into(), |(_, value)| format!("{value:.5}"))
}

fn metrics(evaluation: &Evaluation, popularity: Option<&Evaluation>, config: &EvaluateConfig) -> String {
    let mut header = vec!["test".to_string()];
    for cutoff in &config.cutoffs {
        header.push(format!("model @{cutoff}"));
        header.push(format!("popularity @{cutoff}"));
    }
    let mut table = new_table(header);
    let mut row = |name: &str, values: &dyn Fn(&Evaluation) -> Vec<(String, f64)>| {
        let mut cells = vec![name.to_string()];
        for cutoff in &config.cutoffs {
            let key = format!("{name}@{cutoff}");
            cells.push(value(&values(evaluation), &key));
            cells.push(popularity.map_or("–".into(), |popularity| value(&values(popularity), &key)));
        }
        table.add_row(cells);
    };
    for metric in &config.metrics {
        row(metric.name(), &|evaluation| evaluation.metrics.clone());
    }
    let catalogue = ["coverage", "tail_share", "gini", "average_popularity"];
    for name in catalogue.into_iter().filter(|_| !evaluation.catalogue.is_empty()) {
        row(name, &|evaluation| evaluation.catalogue.clone());
    }
    format!("{table}\n")
}

fn slices(evaluation: &Evaluation, popularity: Option<&Evaluation>, config: &EvaluateConfig) -> String {
    let Some(metric) = config.metrics.first() else { return String::new() };
    let name = format!("{}@{}", metric.name(), config.depth());
    let mut text = String::new();
    for (at, (slice, groups)) in evaluation.slices.iter().enumerate() {
        let models = ["model", "popularity"].map(|model| format!("{model} {name}"));
        let mut table =
            new_table([[*slice, "users", "test pairs"].map(String::from).to_vec(), models.to_vec()].concat());
        for (group, of) in groups.iter().enumerate() {
            let other = popularity
                .map_or("–".into(), |popularity| value(&popularity.slices[at].1[group].metrics, &name));
            table.add_row([
                of.group.clone(),
                of.users.to_string(),
                of.pairs.to_string(),
                value(&of.metrics, &name),
                other,
            ]);
        }
        text.push_str(&format!("{table}\n"));
    }
    text
}
