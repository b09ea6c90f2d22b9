//! Data before it is split: one whole set, or parts that somebody published.

use std::path::PathBuf;

use crate::{Interactions, Location, Reader};

/// What a split starts from.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a program holds one or two of these, and boxes would stand in the way"
)]
pub enum Source {
    /// Published parts; all share one id space (the union of the ids that occur), so their dictionaries are equal.
    Parts {
        /// Training interactions.
        train: Interactions,
        /// Validation interactions, if they were published too.
        validation: Option<Interactions>,
        /// Test interactions.
        test: Interactions,
        /// The files they came from, so that errors can name lines; `None` for data made in memory.
        files: Option<PartFiles>,
    },
    /// One set, not yet divided.
    Whole(Interactions),
}

impl Source {
    /// All interactions, part by part.
    pub fn parts(&self) -> impl Iterator<Item = &Interactions> {
        let (first, second, third) = match self {
            Self::Whole(whole) => (whole, None, None),
            Self::Parts { train, validation, test, .. } => (train, validation.as_ref(), Some(test)),
        };
        std::iter::once(first).chain(second).chain(third)
    }

    pub(crate) fn parts_mut(&mut self) -> Vec<&mut Interactions> {
        match self {
            Self::Whole(whole) => vec![whole],
            Self::Parts { train, validation, test, .. } => {
                std::iter::once(train).chain(validation).chain([test]).collect()
            }
        }
    }
}

/// Name of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Training part.
    Train,
    /// Validation part.
    Validation,
    /// Test part.
    Test,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// The files of published parts, and how to read them again when an error has to name a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFiles {
    pub(crate) reader: Reader,
    pub(crate) train: PathBuf,
    pub(crate) validation: Option<PathBuf>,
    pub(crate) test: PathBuf,
}

impl PartFiles {
    /// Where the `nth` (from 0) event of a pair stands in the file of a part; a validation part without a file was cut
    /// from the training file. Reads the file again.
    #[must_use]
    pub fn locate(&self, part: Part, user: &str, item: &str, nth: usize) -> Option<Location> {
        let file = match part {
            Part::Train => &self.train,
            Part::Validation => self.validation.as_ref().unwrap_or(&self.train),
            Part::Test => &self.test,
        };
        self.reader.locate(file, user, item, nth)
    }
}
