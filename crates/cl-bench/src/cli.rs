//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::components::Catalogue;
use crate::error::Error;

#[derive(Parser)]
#[command(
    name = "cl-bench",
    version,
    about = "Contrastive recommenders from one TOML file: train, rank, report"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an experiment and leave a run folder
    Run(commands::run::RunArgs),
    /// Print the resolved experiment: every default written out
    Show(ExperimentArgs),
    /// List components, one line each
    List {
        /// Only this slot
        slot: Option<String>,
    },
    /// Look at data, make it up, or divide it
    #[command(subcommand)]
    Data(commands::data::DataCommand),
    /// Time steps and print one JSON line
    Bench(commands::bench::BenchArgs),
}

/// An experiment file, and what is set over it.
#[derive(Args, Debug, Clone)]
pub(crate) struct ExperimentArgs {
    /// The experiment
    pub(crate) file: PathBuf,
    /// Set a key over the file's: --set contrast.temperature=0.1
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// Where data is looked for.
#[derive(Args, Debug, Clone)]
pub(crate) struct DataRoot {
    /// Folder that data paths are relative to [default: $CL_DATA, else ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl DataRoot {
    /// The folder.
    pub(crate) fn path(&self) -> PathBuf {
        let from_environment = || std::env::var_os("CL_DATA").map(PathBuf::from);
        self.data.clone().or_else(from_environment).unwrap_or_else(|| "data".into())
    }
}

/// Runs the program with the components of a catalogue.
///
/// Exit codes: 0 done, 1 a mistake that was told, 2 arguments that are not understood.
pub fn main(catalogue: &impl Catalogue) -> ExitCode {
    main_with(std::env::args_os(), catalogue)
}

/// The same with the arguments given, the name of the program first: for programs that take only some of theirs from the
/// command line. Threads are set up once in a process, so a second call in it fails.
pub fn main_with(arguments: impl IntoIterator<Item = OsString>, catalogue: &impl Catalogue) -> ExitCode {
    // Colours and box drawing only for a person.
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let _ = miette::set_hook(Box::new(move |_| {
        let theme = if terminal { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::none() };
        Box::new(miette::GraphicalReportHandler::new_themed(theme).with_width(110).without_cause_chain())
    }));
    let done = match Cli::parse_from(arguments).command {
        Command::Run(args) => commands::run::run(&args, catalogue),
        Command::Show(args) => commands::show::show(&args, catalogue),
        Command::List { slot } => commands::list::list(slot.as_deref(), catalogue),
        Command::Data(command) => commands::data::data(&command, catalogue),
        Command::Bench(args) => commands::bench::bench(&args, catalogue),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error);
            ExitCode::FAILURE
        }
    }
}

/// Tells an error on standard error.
pub(crate) fn report(error: Error) {
    eprintln!("{:?}", miette::Report::new(error));
}
