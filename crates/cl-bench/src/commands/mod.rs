//! What each command does.

pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod list;
pub(crate) mod run;
pub(crate) mod show;

use toml::Spanned;
use toml::de::DeValue;

use crate::config::{DeviceConfig, Text};
use crate::error::Error;

/// The `[device]` table alone: the backend must be known before the rest can be read.
fn device(text: &Text) -> Result<DeviceConfig, Error> {
    let read = || {
        let mut root = text.parse()?;
        let Some(value) = root.get_mut().remove("device") else { return Ok(DeviceConfig::default()) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => DeviceConfig::read(Spanned::new(span, table)),
            // Told again, at its place, when the whole file is read.
            _ => Ok(DeviceConfig::default()),
        }
    };
    read().map_err(|problem| Error::in_file(text, problem))
}

/// Uses so many threads from here on; 0 = one for each core.
fn use_threads(threads: usize) -> Result<(), Error> {
    // The limit of device.threads; far more would take minutes to start.
    if threads > 1024 {
        return Err(Error::other(format!("--threads must be at most 1024, got {threads}")));
    }
    // This thread is one of them: a step goes back and forth between Burn's operations and kernels many times, and
    // handing over to a sleeping thread each time costs more than some kernels.
    let built = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global();
    built.map_err(|error| Error::other(format!("cannot start {threads} threads: {error}")))
}
