//! Values between commas, tabs or another separator, with a header line; fields may stand in double quotes (RFC 4180).

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::atomic::quoted;
use super::text::Text;
use super::{Event, Sink, Token, number};
use crate::{Columns, DataError};

pub(super) fn scan(
    text: &Text,
    columns: &Columns,
    separator: Option<char>,
    sink: &mut impl Sink,
) -> Result<(), DataError> {
    let separator = separator.map_or_else(|| by_ending(text), |separator| separator as u8);
    // The header is read like any other line, so that its fields have places too.
    let mut reader =
        ReaderBuilder::new().delimiter(separator).has_headers(false).from_reader(text.content().as_bytes());
    let mut record = StringRecord::new();
    let mut header = None;
    loop {
        let start = reader.position().byte() as usize;
        if !reader.read_record(&mut record).map_err(|error| refused(text, start, &error))? {
            return Ok(());
        }
        let place = Place::new(text, start, reader.position().byte() as usize, separator);
        let Some(Header { user, item, rating, time }) = header else {
            header = Some(Header::read(text, &record, &place, columns)?);
            continue;
        };
        let field = |index: usize| Token { text: &record[index], at: place.of(&record, index) };
        sink.event(Event {
            user: number::id(text, field(user), "a user")?,
            item: number::id(text, field(item), "an item")?,
            rating: rating.map(|at| number::rating(text, field(at))).transpose()?,
            time: time.map(|at| number::time(text, field(at))).transpose()?,
        });
    }
}

/// A tab for `.tsv` and `.txt`, else a comma; a `.gz` at the end does not count.
fn by_ending(text: &Text) -> u8 {
    let name = text.file().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if name.ends_with(".tsv") || name.ends_with(".txt") { b'\t' } else { b',' }
}

/// Positions of the columns that are read.
#[derive(Clone, Copy)]
struct Header {
    user: usize,
    item: usize,
    rating: Option<usize>,
    time: Option<usize>,
}

impl Header {
    fn read(
        text: &Text,
        record: &StringRecord,
        place: &Place<'_>,
        columns: &Columns,
    ) -> Result<Self, DataError> {
        let names: Vec<&str> = record.iter().collect();
        let find = |wanted: &str| {
            let mut found = (0..names.len()).filter(|&at| names[at] == wanted);
            let Some(first) = found.next() else {
                let help =
                    "name the columns in data.columns, and the separator in data.separator if it is wrong";
                let found = format!("the columns {}", quoted(&names));
                return Err(text.broken(0, found, format!("a column `{wanted}` in the header"), help));
            };
            match found.next() {
                Some(second) => {
                    let found = format!("a second column `{wanted}`");
                    Err(text.broken(place.of(record, second), found, "each column once", ""))
                }
                None => Ok(first),
            }
        };
        Ok(Self {
            user: find(&columns.user)?,
            item: find(&columns.item)?,
            rating: columns.rating.as_deref().map(find).transpose()?,
            time: columns.time.as_deref().map(find).transpose()?,
        })
    }
}

/// Where one record stands in the file.
struct Place<'t> {
    start: usize,
    raw: &'t str,
    has_quotes: bool,
    separator: u8,
}

impl<'t> Place<'t> {
    fn new(text: &'t Text, start: usize, end: usize, separator: u8) -> Self {
        let start = record_start(text, start);
        let raw = text.content().get(start..end).unwrap_or("");
        Self { start, raw, has_quotes: raw.as_bytes().contains(&b'"'), separator }
    }

    fn of(&self, record: &StringRecord, index: usize) -> usize {
        if !self.has_quotes {
            // Without quotes, fields lie in the record as in the file, less one separator each.
            return self.start + record.range(index).map_or(0, |range| range.start) + index;
        }
        let mut inside = false;
        let mut left = index;
        for (at, &byte) in self.raw.as_bytes().iter().enumerate() {
            if left == 0 {
                return self.start + at;
            }
            inside ^= byte == b'"';
            left -= usize::from(byte == self.separator && !inside);
        }
        self.start + self.raw.len()
    }
}

/// The first byte of the record, past line ends that still belong to the one before and past empty lines.
fn record_start(text: &Text, start: usize) -> usize {
    let bytes = &text.content().as_bytes()[start..];
    start + bytes.iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count()
}

fn refused(text: &Text, start: usize, error: &csv::Error) -> DataError {
    let at = record_start(text, start);
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            text.broken(at, format!("{len} fields"), format!("{expected_len} fields, as in the header"), "")
        }
        _ => text.broken(at, format!("a record that cannot be read ({error})"), "separated values", ""),
    }
}
