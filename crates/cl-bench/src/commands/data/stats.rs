//! `cl-bench data stats`

use std::path::PathBuf;

use cl_data::{
    Columns, DataConfig, FilesSplit, FilterReport, Interactions, Loaded, Source, Split, Stats, Unseen,
};
use clap::Args;
use serde_json::{Value, json};

use super::{Divided, FormatName, divide};
use crate::cli::{DataRoot, ExperimentArgs};
use crate::components::Catalogue;
use crate::error::Error;
use crate::out;

/// Arguments of `data stats`.
#[derive(Args, Debug, Clone)]
pub(crate) struct StatsArgs {
    /// An experiment (a file ending in .toml), or a data file or folder, from here or from the data folder
    path: PathBuf,
    /// Format of a data file or folder [default: lightgcn]
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Columns of a CSV file: --columns user=user_id,item=asin,rating=stars,time=at
    #[arg(long, value_name = "COLUMN=NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// The first line of a CSV file is data; --columns names columns by number then: user=1,item=2
    #[arg(long)]
    no_header: bool,
    /// Separator of a CSV file [default: a tab for .tsv and .txt, else a comma]
    #[arg(long, value_name = "CHARACTER")]
    separator: Option<char>,
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
    let (loaded, split) = if is_experiment {
        refuse_data_options(args)?;
        let file = ExperimentArgs { file: args.path.clone(), overrides: args.overrides.clone() };
        let Divided { loaded, split } = divide(&file, &args.root, catalogue)?;
        (loaded, Some(split))
    } else {
        // What a shell completes is a path from here.
        let root = if args.path.exists() { PathBuf::new() } else { args.root.path() };
        let loaded = cl_data::load(&data_config(args)?, &root, 0)?;
        if let Source::Parts { .. } = loaded.source {
            // Refuses a pair that stands in two parts, as a run would: it would count twice here.
            FilesSplit { validation: 0.0, unseen: Unseen::Keep }.split(&loaded.source, 0)?;
        }
        (loaded, None)
    };
    let Loaded { source, report } = loaded;
    let sources: Vec<&Interactions> = source.parts().collect();
    let stats = Stats::of_parts(&sources);
    if args.json {
        out::line(as_json(&stats, &report, split.as_ref()))
    } else {
        out::line(as_text(&stats, &report, split.as_ref()))
    }
}

/// An experiment says in its `[data]` what these options say for a plain file.
fn refuse_data_options(args: &StatsArgs) -> Result<(), Error> {
    let given = [
        ("--format", "data.format", args.format.is_some()),
        ("--columns", "data.columns", !args.columns.is_empty()),
        ("--no-header", "data.header", args.no_header),
        ("--separator", "data.separator", args.separator.is_some()),
    ];
    match given.into_iter().find(|(.., given)| *given) {
        Some((option, key, _)) => Err(Error::with_help(
            format!("{option} belongs to a data file, and `{}` is an experiment", args.path.display()),
            format!("remove it; the experiment says it under {key}, and --set {key}=… says otherwise"),
        )),
        None => Ok(()),
    }
}

/// The `[data]` table that a plain file and its options amount to.
fn data_config(args: &StatsArgs) -> Result<DataConfig, Error> {
    if let Some(line) = args.overrides.first() {
        return Err(Error::with_help(
            format!("--set {line} belongs to an experiment file, and `{}` is none", args.path.display()),
            "give a file that ends in .toml",
        ));
    }
    let format = args.format.unwrap_or(FormatName::Lightgcn);
    if format != FormatName::Csv {
        let given = [
            ("--columns", !args.columns.is_empty()),
            ("--no-header", args.no_header),
            ("--separator", args.separator.is_some()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Error::with_help(
                format!("{option} belongs to CSV files, and the format is {}", format.name()),
                format!("add --format csv, or remove {option}"),
            ));
        }
    }
    Ok(DataConfig {
        path: Some(args.path.clone()),
        format: format.into(),
        header: !args.no_header,
        columns: columns(&args.columns, args.no_header)?,
        separator: args.separator,
        ..DataConfig::default()
    })
}

fn columns(given: &[String], by_number: bool) -> Result<Columns, Error> {
    let mut columns = if by_number { Columns::numbered() } else { Columns::default() };
    for entry in given {
        match entry.split_once('=').map(|(column, name)| (column.trim(), name.to_string())) {
            Some(("user", name)) => columns.user = name,
            Some(("item", name)) => columns.item = name,
            Some(("rating", name)) => columns.rating = Some(name),
            Some(("time", name)) => columns.time = Some(name),
            _ => {
                return Err(Error::with_help(
                    format!("--columns: found `{entry}`, expected user=…, item=…, rating=… or time=…"),
                    "write for example --columns user=user_id,item=asin, with names from the file's first line",
                ));
            }
        }
    }
    Ok(columns)
}

fn as_text(stats: &Stats, report: &FilterReport, split: Option<&Split>) -> String {
    let mut text = stats.to_string();
    if report.kept != report.read {
        text.push_str(&format!("\n\n{report}"));
    }
    let Some(split) = split else { return text };
    let counts = [
        ("train", split.train.len()),
        ("validation", split.validation.len()),
        ("test", split.test.len()),
        ("unseen users", split.unseen_users),
        ("unseen items", split.unseen_items),
    ];
    text.push('\n');
    for (name, count) in counts {
        text.push_str(&format!("\n{name:<12} {count:>12}"));
    }
    for note in &split.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    text
}

fn as_json(stats: &Stats, report: &FilterReport, split: Option<&Split>) -> Value {
    let split = split.map(|split| {
        json!({
            "train": split.train.len(),
            "validation": split.validation.len(),
            "test": split.test.len(),
            "unseen_users": split.unseen_users,
            "unseen_items": split.unseen_items,
            "notes": split.notes,
        })
    });
    json!({ "stats": stats, "filters": report, "split": split })
}
