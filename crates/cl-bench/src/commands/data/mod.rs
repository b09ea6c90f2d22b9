//! `cl-bench data`: look at data, make it up, divide it.

mod split;
mod stats;
mod synth;

use cl_data::{DataError, Existing, Format, Loaded, Split};
use clap::{Subcommand, ValueEnum};

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

impl FormatName {
    /// The word in files and on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Lightgcn => "lightgcn",
            Self::Atomic => "atomic",
            Self::Csv => "csv",
            Self::Sequence => "sequence",
        }
    }
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

/// What the library calls "ask to replace it" has a name here.
fn not_written(error: DataError) -> Error {
    match error {
        DataError::Exists { path } => Error::with_help(
            format!("`{}` is there already and is not overwritten", path.display()),
            "--overwrite replaces it, another OUT leaves it alone",
        ),
        error => error.into(),
    }
}

/// The data of an experiment file, and its parts.
struct Divided {
    loaded: Loaded,
    split: Split,
}

/// Loads and divides. What a training needs of the parts is not asked here: they are to be looked at.
fn divide(args: &ExperimentArgs, root: &DataRoot, catalogue: &impl Catalogue) -> Result<Divided, Error> {
    struct Load<'a, C>(&'a Text, &'a DataRoot, &'a C);
    impl<C: Catalogue> OnBackend for Load<'_, C> {
        type Output = Result<Divided, Error>;
        fn run<B: TrainBackend>(self, _device: B::Device) -> Self::Output {
            let Experiment { data, split, seed, .. } = Experiment::<B>::read(self.0, &self.2.components())?;
            let loaded = cl_data::load(&data, &self.1.path(), seed)?;
            let split = split.split(&loaded.source, seed)?;
            Ok(Divided { loaded, split })
        }
    }
    let text = Text::read(&args.file, &args.overrides)?;
    // Data is the same on every backend; this one is always there.
    on_backend("flex", Load(&text, root, catalogue)).unwrap_or_else(|| unreachable!("flex is always there"))
}
