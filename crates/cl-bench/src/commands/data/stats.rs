//! `cl-bench data stats`

use std::path::PathBuf;

use cl_data::{DataConfig, FilterReport, Interactions, Stats};
use clap::Args;
use serde_json::json;

use super::{FormatName, divide};
use crate::cli::{DataRoot, ExperimentArgs};
use crate::components::Catalogue;
use crate::error::Error;

/// Arguments of `data stats`.
#[derive(Args, Debug, Clone)]
pub(crate) struct StatsArgs {
    /// An experiment (a file ending in .toml), or a data file or folder
    path: PathBuf,
    /// Format of a data file or folder
    #[arg(long, value_enum, default_value = "lightgcn")]
    format: FormatName,
    /// Set a key of an experiment over the file's
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    root: DataRoot,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Prints statistics of a data set, and of the parts that an experiment makes of it.
pub(super) fn stats(args: &StatsArgs, catalogue: &impl Catalogue) -> Result<(), Error> {
    let is_experiment = args.path.extension().is_some_and(|extension| extension == "toml");
    let mut parts = None;
    let (config, seed) = if is_experiment {
        let file = ExperimentArgs { file: args.path.clone(), overrides: args.overrides.clone() };
        let divided = divide(&file, &args.root, catalogue)?;
        let (data, seed) = (divided.data.clone(), divided.seed);
        parts = Some(divided);
        (data, seed)
    } else if let Some(line) = args.overrides.first() {
        return Err(Error::with_help(
            format!("--set {line} belongs to an experiment file, and `{}` is none", args.path.display()),
            "give a file that ends in .toml",
        ));
    } else {
        (DataConfig { path: Some(args.path.clone()), format: args.format.into(), ..DataConfig::default() }, 0)
    };
    let loaded = cl_data::load(&config, &args.root.path(), seed)?;
    let sources: Vec<&Interactions> = loaded.source.parts().collect();
    let stats = Stats::of_parts(&sources);
    if args.json {
        print_json(&stats, &loaded.report, parts.as_ref());
        return Ok(());
    }
    println!("{stats}");
    if loaded.report.kept != loaded.report.read {
        println!("\n{}", loaded.report);
    }
    if let Some(divided) = parts {
        let split = &divided.split;
        println!("\ntrain        {:>12}", split.train.len());
        println!("validation   {:>12}", split.validation.len());
        println!("test         {:>12}", split.test.len());
        println!("unseen users {:>12}", split.unseen_users);
        println!("unseen items {:>12}", split.unseen_items);
        for note in &divided.notes {
            println!("note: {note}");
        }
    }
    Ok(())
}

fn print_json(stats: &Stats, report: &FilterReport, parts: Option<&super::Divided>) {
    let parts = parts.map(|divided| {
        let split = &divided.split;
        json!({
            "train": split.train.len(),
            "validation": split.validation.len(),
            "test": split.test.len(),
            "unseen_users": split.unseen_users,
            "unseen_items": split.unseen_items,
            "notes": divided.notes,
        })
    });
    println!("{}", json!({ "stats": stats, "filters": report, "split": parts }));
}
