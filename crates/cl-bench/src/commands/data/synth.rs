//! `cl-bench data synth`

use std::path::PathBuf;

use cl_data::{Existing, RatioSplit, Source, SyntheticConfig, synthetic};
use clap::Args;

use super::{FormatName, existing};
use crate::error::Error;

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
        noise: args.noise.unwrap_or(default.noise),
        order: args.order.unwrap_or(default.order),
        ..default
    };
    let existing = existing(args.overwrite);
    if args.split {
        return write_parts(args, &config, existing);
    }
    match args.format {
        FormatName::Lightgcn | FormatName::Sequence => {
            cl_data::write_stream(&args.out, synthetic::stream(&config, args.seed)?, existing)?;
        }
        FormatName::Atomic => {
            cl_data::write_atomic(&args.out, &synthetic::interactions(&config, args.seed)?, existing)?;
        }
        FormatName::Csv => {
            cl_data::write_csv(&args.out, &synthetic::interactions(&config, args.seed)?, existing)?;
        }
    }
    println!("{}", args.out.display());
    Ok(())
}

fn write_parts(args: &SynthArgs, config: &SyntheticConfig, existing: Existing) -> Result<(), Error> {
    if args.format != FormatName::Lightgcn {
        return Err(Error::with_help(
            "--split writes LightGCN text, and another --format was asked for",
            "remove --format, or write one file and let [split] divide it",
        ));
    }
    let source = Source::Whole(synthetic::interactions(config, args.seed)?);
    let split = RatioSplit::default().split(&source, args.seed)?;
    cl_data::write_split(&args.out, &split, existing)?;
    println!("{}", args.out.display());
    Ok(())
}
