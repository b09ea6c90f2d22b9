//! `cl-bench data`: look at data, make it up, divide it.

mod split;
mod stats;
mod synth;

use cl_data::{DataConfig, Existing, Format, Split};
use clap::{Subcommand, ValueEnum};

use super::run::load_split;
use crate::backend::{OnBackend, TrainBackend, on_backend};
use crate::cli::{DataRoot, ExperimentArgs};
use crate::components::Catalogue;
use crate::config::{Experiment, Text};
use crate::error::Error;

/// The commands about data.
#[derive(Subcommand, Debug, Clone)]
pub(crate) enum DataCommand {
    /// Users, items, interactions, density, degrees, Gini
    Stats(stats::StatsArgs),
    /// Write made-up data
    Synth(synth::SynthArgs),
    /// Write the parts of an experiment's split
    Split(split::SplitArgs),
}

/// Does one of them.
pub(crate) fn data(command: &DataCommand, catalogue: &impl Catalogue) -> Result<(), Error> {
    match command {
        DataCommand::Stats(args) => stats::stats(args, catalogue),
        DataCommand::Synth(args) => synth::synth(args),
        DataCommand::Split(args) => split::split(args, catalogue),
    }
}

/// A format, as the command line spells it.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum FormatName {
    Lightgcn,
    Atomic,
    Csv,
    Sequence,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Lightgcn => Self::Lightgcn,
            FormatName::Atomic => Self::Atomic,
            FormatName::Csv => Self::Csv,
            FormatName::Sequence => Self::Sequence,
        }
    }
}

fn existing(overwrite: bool) -> Existing {
    if overwrite { Existing::Replace } else { Existing::Refuse }
}

/// The data of an experiment file: its table, its seed, its parts, and what a reader should know of them.
struct Divided {
    data: DataConfig,
    seed: u64,
    split: Split,
    notes: Vec<String>,
}

fn divide(args: &ExperimentArgs, root: &DataRoot, catalogue: &impl Catalogue) -> Result<Divided, Error> {
    struct Load<'a, C>(&'a Text, &'a DataRoot, &'a C);
    impl<C: Catalogue> OnBackend for Load<'_, C> {
        type Output = Result<Divided, Error>;
        fn run<B: TrainBackend>(self, _device: B::Device) -> Self::Output {
            let experiment = Experiment::<B>::read(self.0, &self.2.components())?;
            let (split, notes, _) = load_split(&experiment, &self.1.path())?;
            Ok(Divided { data: experiment.data, seed: experiment.seed, split, notes })
        }
    }
    let text = Text::read(&args.file, &args.overrides)?;
    // Data is the same on every backend; this one is always there.
    on_backend("flex", Load(&text, root, catalogue)).unwrap_or_else(|| unreachable!("flex is always there"))
}
