//! `cl-bench data split`

use std::path::PathBuf;

use clap::Args;

use super::{Divided, divide, existing, not_written};
use crate::cli::{DataRoot, ExperimentArgs};
use crate::components::Catalogue;
use crate::error::Error;
use crate::out;

/// Arguments of `data split`.
#[derive(Args, Debug, Clone)]
pub(crate) struct SplitArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The folder for train.txt, valid.txt and test.txt
    out: PathBuf,
    #[command(flatten)]
    root: DataRoot,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
}

/// Writes the parts of an experiment's split as LightGCN text, with the ids of the data.
pub(super) fn split(args: &SplitArgs, catalogue: &impl Catalogue) -> Result<(), Error> {
    let Divided { loaded, split } = divide(&args.experiment, &args.root, catalogue)?;
    cl_data::write_split(&args.out, &split, existing(args.overwrite)).map_err(not_written)?;
    if loaded.report.kept != loaded.report.read {
        out::note(format_args!("note: {}", loaded.report));
    }
    for note in &split.notes {
        out::note(format_args!("note: {note}"));
    }
    out::line(args.out.display())
}
