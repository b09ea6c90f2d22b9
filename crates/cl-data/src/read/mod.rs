//! Readers: text in, [`Interactions`] out, with the exact place of everything that is refused.

mod atomic;
mod candidates;
mod column;
mod csv;
mod folder;
mod lightgcn;
mod number;
mod sequence;
mod table;
mod text;
mod words;

use std::path::Path;

pub use self::candidates::read_candidates;

use self::folder::Found;
use self::table::Table;
use self::text::Text;
use crate::{Columns, DataConfig, DataError, Format, Interactions, Location, PartFiles, Source};

/// A format together with its options.
///
/// All readers accept gzip (known by its first two bytes), `\n` and `\r\n` line ends and a UTF-8 byte order mark. The
/// whole file is held in memory while it is read; time is linear in its size.
///
/// A column of ids is integer if every id in all files read together is a canonical integer, else text ([`Ids`]).
///
/// [`Ids`]: crate::Ids
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    format: Format,
    columns: Columns,
    separator: Option<char>,
    header: bool,
}

impl Reader {
    /// A reader of `format` with default options.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, columns: Columns::default(), separator: None, header: true }
    }

    /// A reader of CSV with the given column names and separator (`None`: by the ending of the file's name).
    #[must_use]
    pub fn csv(columns: Columns, separator: Option<char>) -> Self {
        Self { format: Format::Csv, columns, separator, header: true }
    }

    /// The same reader for CSV whose first line is data; columns are then named by number, see [`Columns::numbered`].
    #[must_use]
    pub fn without_header(self) -> Self {
        Self { header: false, ..self }
    }

    pub(crate) fn from_config(config: &DataConfig) -> Self {
        Self {
            format: config.format,
            columns: config.columns.clone(),
            separator: config.separator,
            header: config.header,
        }
    }

    /// Reads one file.
    ///
    /// # Errors
    ///
    /// A missing or unreadable file, and whatever in it is not the format.
    pub fn read(&self, file: &Path) -> Result<Interactions, DataError> {
        let mut parts = self.read_together(&[file])?;
        Ok(parts.swap_remove(0))
    }

    /// Reads the published parts of one data set into one id space.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_parts(
        &self,
        train: &Path,
        validation: Option<&Path>,
        test: &Path,
    ) -> Result<Source, DataError> {
        let files: Vec<&Path> = [Some(train), validation, Some(test)].into_iter().flatten().collect();
        let mut parts = self.read_together(&files)?.into_iter();
        let mut next = || parts.next().expect("as many parts as files");
        let files = PartFiles {
            reader: self.clone(),
            train: train.to_path_buf(),
            validation: validation.map(Path::to_path_buf),
            test: test.to_path_buf(),
        };
        Ok(Source::Parts {
            train: next(),
            validation: validation.map(|_| next()),
            test: next(),
            files: Some(files),
        })
    }

    /// Reads a file, or a folder that holds either `train` and `test` (and perhaps `valid` or `validation`) files, or
    /// one single file of the format. Endings: `.txt` for `lightgcn` and `sequence`, `.inter` for `atomic` (also as
    /// `NAME.train.inter`), `.csv`, `.tsv` or `.txt` for `csv`; each also with `.gz` after it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); and a folder without such files or with two candidates for one part.
    pub fn read_path(&self, path: &Path) -> Result<Source, DataError> {
        match folder::find(path, self.format)? {
            Found::Whole(file) => Ok(Source::Whole(self.read(&file)?)),
            Found::Parts { train, validation, test } => self.read_parts(&train, validation.as_deref(), &test),
        }
    }

    fn read_together(&self, files: &[&Path]) -> Result<Vec<Interactions>, DataError> {
        let has_header = match self.format {
            Format::Lightgcn | Format::Sequence => false,
            Format::Atomic => true,
            Format::Csv => self.header,
        };
        let mut table = Table::default();
        for file in files {
            let text = Text::read(file)?;
            self.scan(&text, &mut table.part(&text))?;
            table.end_part(&text, has_header)?;
        }
        table.finish()
    }

    fn scan(&self, text: &Text, sink: &mut impl Sink) -> Result<(), DataError> {
        match self.format {
            Format::Lightgcn => lightgcn::scan(text, sink),
            Format::Sequence => sequence::scan(text, sink),
            Format::Atomic => atomic::scan(text, sink),
            Format::Csv => csv::scan(text, &self.columns, self.separator, self.header, sink),
        }
    }

    /// Where the `nth` (from 0) event of a pair stands in a file: reads the file again, so that events need not carry
    /// their places while all is well.
    pub(crate) fn locate(&self, file: &Path, user: &str, item: &str, nth: usize) -> Option<Location> {
        struct Seek<'a> {
            user: &'a str,
            item: &'a str,
            left: usize,
            at: Option<usize>,
        }
        impl Sink for Seek<'_> {
            fn event(&mut self, event: Event<'_>) {
                if self.at.is_none() && event.user.text == self.user && event.item.text == self.item {
                    if self.left == 0 {
                        self.at = Some(event.item.at);
                    }
                    self.left = self.left.saturating_sub(1);
                }
            }
        }
        let text = Text::read(file).ok()?;
        let mut seek = Seek { user, item, left: nth, at: None };
        self.scan(&text, &mut seek).ok()?;
        seek.at.map(|at| text.location(at))
    }
}

/// A piece of a file and the byte at which it starts.
#[derive(Debug, Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    at: usize,
}

struct Event<'t> {
    user: Token<'t>,
    item: Token<'t>,
    rating: Option<f32>,
    time: Option<i64>,
}

/// Takes what a scanner finds. Scanners check the form of a file, sinks make something of its content.
trait Sink {
    fn event(&mut self, event: Event<'_>);

    /// A user that a line names, with or without items after it.
    fn user(&mut self, _user: Token<'_>) {}
}
