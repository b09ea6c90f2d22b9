//! `cl-bench data`

use clap::Subcommand;

use crate::error::Error;

/// The commands about data.
#[derive(Subcommand, Debug, Clone)]
pub(crate) enum DataCommand {
    /// Users, items, interactions, density, degrees, Gini
    Stats,
}

/// Does one of them.
pub(crate) fn data(command: &DataCommand) -> Result<(), Error> {
    match command {
        DataCommand::Stats => Ok(()),
    }
}
