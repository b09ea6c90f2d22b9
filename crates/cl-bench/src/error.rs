//! What can go wrong for the person at the keyboard.

use std::path::PathBuf;

use cl_core::registry::Problem;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use crate::config::Text;

/// A mistake of the file, the data or the machine, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A mistake at a place of the experiment file.
    #[error("{}", .0.problem.message)]
    InFile(Box<InFile>),
    /// A mistake of the data.
    #[error(transparent)]
    Data(#[from] cl_data::DataError),
    /// A file or folder that could not be read or written.
    #[error("{what} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anything else, said in a sentence.
    #[error("{message}")]
    Other {
        /// What is wrong.
        message: String,
        /// What to do.
        help: Option<String>,
    },
}

/// The file a [`Problem`] is in.
#[derive(Debug)]
pub struct InFile {
    problem: Problem,
    source: NamedSource<String>,
}

impl Error {
    /// A problem in the text of an experiment.
    #[must_use]
    pub fn in_file(text: &Text, problem: Problem) -> Self {
        let (name, content, problem) = text.locate(problem);
        Self::InFile(Box::new(InFile {
            problem,
            source: NamedSource::new(name, content).with_language("TOML"),
        }))
    }

    /// A sentence.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other { message: message.into(), help: None }
    }

    /// A sentence, and what to do.
    pub fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Other { message: message.into(), help: Some(help.into()) }
    }

    /// For `map_err` on what the file system says.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

impl Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        match self {
            Self::InFile(at) => {
                at.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
            }
            Self::Other { help, .. } => {
                help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
            }
            _ => None,
        }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self {
            Self::InFile(at) => Some(&at.source),
            _ => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self {
            Self::InFile(at) => {
                let span = at.problem.span.clone();
                Some(Box::new(std::iter::once(LabeledSpan::underline(span))))
            }
            _ => None,
        }
    }
}
