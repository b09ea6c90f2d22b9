//! What the program prints for others to read.

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
