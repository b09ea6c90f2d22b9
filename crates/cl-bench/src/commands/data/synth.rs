//! `cl-bench data synth`

use std::path::PathBuf;

use cl_data::{DataError, Existing, Interactions, RatioSplit, Source, SyntheticConfig, synthetic};
use clap::Args;

use super::{FormatName, existing, not_written};
use crate::error::Error;
use crate::out;

/// Arguments of `data synth`.
#[derive(Args, Debug, Clone)]
pub(crate) struct SynthArgs {
    /// The file to write (`.gz` is compressed); with --split the folder
    out: PathBuf,
    /// Number of users
    #[arg(long)]
    users: Option<usize>,
    /// Number of items
    #[arg(long)]
    items: Option<usize>,
    /// Number of interactions
    #[arg(long)]
    interactions: Option<usize>,
    /// Number of latent interests
    #[arg(long)]
    clusters: Option<usize>,
    /// Most interests of a user
    #[arg(long)]
    interests: Option<usize>,
    /// Exponent of the power law of user activity, in [0, 4]
    #[arg(long)]
    user_exponent: Option<f64>,
    /// Exponent of the power law of item popularity, in [0, 4]
    #[arg(long)]
    item_exponent: Option<f64>,
    /// Share of interactions that come from popularity alone, in [0, 1]
    #[arg(long)]
    noise: Option<f64>,
    /// Share of items that keep their place in the order of their interest, in [0, 1]
    #[arg(long)]
    order: Option<f64>,
    /// Seed
    #[arg(long, default_value_t = 2024)]
    seed: u64,
    /// Format; lightgcn and sequence are written user by user and need no memory for the interactions
    #[arg(long, value_enum, default_value = "lightgcn")]
    format: FormatName,
    /// Write train.txt, valid.txt and test.txt (70, 10 and 20 % of each user) into the folder OUT
    #[arg(long)]
    split: bool,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
}

/// Writes made-up data.
pub(super) fn synth(args: &SynthArgs) -> Result<(), Error> {
    let default = SyntheticConfig::default();
    let config = SyntheticConfig {
        users: args.users.unwrap_or(default.users),
        items: args.items.unwrap_or(default.items),
        interactions: args.interactions.unwrap_or(default.interactions),
        clusters: args.clusters.unwrap_or(default.clusters),
        interests: args.interests.unwrap_or(default.interests),
        user_exponent: args.user_exponent.unwrap_or(default.user_exponent),
        item_exponent: args.item_exponent.unwrap_or(default.item_exponent),
        noise: args.noise.unwrap_or(default.noise),
        order: args.order.unwrap_or(default.order),
    };
    // Said in the words of the command line.
    config.validate().map_err(|(field, why)| Error::other(format!("--{} {why}", field.replace('_', "-"))))?;
    let existing = existing(args.overwrite);
    let all = || synthetic::interactions(&config, args.seed);
    let written = match (args.split, args.format) {
        (true, FormatName::Lightgcn) => write_parts(args, all()?, existing),
        (true, _) => {
            return Err(Error::with_help(
                "--split writes LightGCN text, and another --format was asked for",
                "remove --format, or write one file and let [split] divide it",
            ));
        }
        (false, FormatName::Lightgcn | FormatName::Sequence) => {
            cl_data::write_stream(&args.out, synthetic::stream(&config, args.seed)?, existing)
        }
        (false, FormatName::Atomic) => cl_data::write_atomic(&args.out, &all()?, existing),
        (false, FormatName::Csv) => cl_data::write_csv(&args.out, &all()?, existing),
    };
    written.map_err(not_written)?;
    out::line(args.out.display())
}

fn write_parts(args: &SynthArgs, data: Interactions, existing: Existing) -> Result<(), DataError> {
    let split = RatioSplit::default().split(&Source::Whole(data), args.seed)?;
    cl_data::write_split(&args.out, &split, existing)
}
