//! What the program says: results on standard output, notes on standard error.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use crate::error::Error;

/// Writes a text and a line end to standard output. A reader that has gone (`cl-bench list | head -1`) is no error.
pub(crate) fn line(text: impl Display) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::other(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error. Nobody need be there to read it: a training goes on.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
