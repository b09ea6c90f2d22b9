//! Everything that can be wrong with a person's data, files or configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What a `validate` function found: the field, and why its value is refused.
pub type Invalid = (&'static str, String);

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as it was opened.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1: in characters; in bytes where the file is not UTF-8.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// The same (user, item) pair in two places where it may stand in one only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// External id of the user.
    pub user: String,
    /// External id of the item.
    pub item: String,
    /// Part of the first occurrence.
    pub first_part: &'static str,
    /// Part of the second occurrence.
    pub second_part: &'static str,
    /// Where the first occurrence stands, if the data came from a file.
    pub first: Option<Location>,
    /// Where the second occurrence stands, if the data came from a file.
    pub second: Option<Location>,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(second) = &self.second {
            write!(f, "{second}: ")?;
        }
        let Self { user, item, first_part, second_part, .. } = self;
        write!(f, "found user `{user}` with item `{item}` in the {second_part} part, ")?;
        if first_part == second_part {
            write!(f, "where this pair stands already")?;
        } else {
            write!(f, "expected a pair that is not in the {first_part} part")?;
        }
        match &self.first {
            Some(first) => write!(f, " (first at {first})"),
            None => Ok(()),
        }
    }
}

/// What was wrong with a file, a folder, a data set or a configuration, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Something at one place of a text file is not what the format has there.
    #[error("{location}: found {found}, expected {expected}{}", help_text(.help))]
    Broken {
        /// Where.
        location: Location,
        /// What stands there.
        found: String,
        /// What the format has there.
        expected: String,
        /// What to do, or empty.
        help: String,
    },
    /// A file or folder that does not exist.
    #[error("{}: no such file or folder{}", path.display(), help_text(.help))]
    NotFound {
        /// The path that was tried.
        path: PathBuf,
        /// What to do.
        help: String,
    },
    /// A folder in which the expected files are missing or ambiguous.
    #[error("{}: found {found}, expected {expected}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The files that are there.
        found: String,
        /// The names that were looked for.
        expected: String,
    },
    /// The operating system refused to read, or a gzip stream is damaged.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system refused to write.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that would have been overwritten.
    #[error("{}: exists already and is not overwritten; choose another name or ask to replace it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An id that the chosen text format cannot hold.
    #[error("{}: the {what} id {id:?} {why}; rename it in the data that is read, for example \
             with _ for white space", path.display())]
    Unwritable {
        /// The file that was to be written.
        path: PathBuf,
        /// `user` or `item`.
        what: &'static str,
        /// The external id.
        id: String,
        /// What is in the way.
        why: &'static str,
    },
    /// More distinct ids than a row number can tell apart.
    #[error("found {found} distinct {what} ids, expected at most {}", crate::MAX_ROWS)]
    TooManyIds {
        /// `user` or `item`.
        what: &'static str,
        /// How many there are (at least).
        found: usize,
    },
    /// A value of a configuration that cannot be used.
    #[error("{table}.{field}: {why}")]
    Config {
        /// The table of the configuration: `data` or `split`.
        table: &'static str,
        /// The field.
        field: &'static str,
        /// Why, with the value that was found.
        why: String,
    },
    /// A pair that occurs twice where only one occurrence is allowed.
    #[error("{0}; {1}")]
    Repeated(Box<Overlap>, &'static str),
    /// Pairs of held-out users or items without any training pair, where the split forbids them.
    #[error(
        "{users} users and {items} items of the held-out parts have no training pair, the first: {examples}; \
         write unseen = \"keep\" to count them in or unseen = \"drop\" to remove their pairs"
    )]
    Unseen {
        /// How many distinct users.
        users: usize,
        /// How many distinct items.
        items: usize,
        /// The first few pairs, with their places if known.
        examples: String,
    },
    /// A rating filter on data without ratings.
    #[error(
        "data.min_rating: found {0}, but the data has no ratings; remove min_rating or name the rating column"
    )]
    NoRatings(f32),
    /// A filter after which nothing is left.
    #[error("{filter} removed all {events} interactions; use a weaker filter")]
    NothingLeft {
        /// The filter, with its value.
        filter: String,
        /// How many interactions it was given.
        events: usize,
    },
    /// A split that does not fit the shape or the columns of the data.
    #[error("the {split} split needs {needs}, but {found}; {help}")]
    Unfit {
        /// Name of the split.
        split: &'static str,
        /// What it needs.
        needs: &'static str,
        /// What the data is.
        found: &'static str,
        /// What to write instead.
        help: &'static str,
    },
}

fn help_text(help: &str) -> String {
    if help.is_empty() { String::new() } else { format!("; {help}") }
}

impl DataError {
    pub(crate) fn config(table: &'static str, (field, why): Invalid) -> Self {
        Self::Config { table, field, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_small_enough_to_return_by_value() {
        assert!(size_of::<DataError>() <= 128, "{} bytes", size_of::<DataError>());
    }

    #[test]
    fn too_many_ids_names_the_limit() {
        let message = DataError::TooManyIds { what: "item", found: 4_294_967_295 }.to_string();
        assert_eq!(message, "found 4294967295 distinct item ids, expected at most 4294967294");
    }
}
