//! Values between commas, tabs or another separator; fields may stand in double quotes (RFC 4180).
//!
//! The first line names the columns; in a file without such a line they are called 1, 2, …. Empty lines are skipped.
//! Spaces belong to ids, but not to ratings and times.

use std::ops::Range;

use csv::{ReaderBuilder, StringRecord};

use super::atomic::quoted;
use super::quotes::{self, Fault};
use super::text::Text;
use super::{Event, Sink, Token, number};
use crate::ids::{Kind, kind};
use crate::{Columns, DataError};

pub(super) fn scan(
    text: &Text,
    columns: &Columns,
    separator: Option<char>,
    header: bool,
    sink: &mut impl Sink,
) -> Result<(), DataError> {
    let separator = separator.map_or_else(|| by_ending(text), |separator| separator as u8);
    // A header is read like any other line, so that its fields have places too. Lengths are checked here and not by
    // the reader, because a wrong quote is often the reason of a wrong length and the better thing to say.
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.content().as_bytes());
    let mut record = StringRecord::new();
    let mut starts = Vec::new();
    let mut known = None;
    loop {
        let start = record_start(text, reader.position().byte() as usize);
        let more = reader.read_record(&mut record).map_err(|error| {
            text.broken(start, format!("a record that cannot be read ({error})"), "separated values", "")
        })?;
        if !more {
            return Ok(());
        }
        let place = Place::new(text, start..reader.position().byte() as usize, separator, &mut starts)?;
        let Header { fields, user, item, rating, time } = match known {
            Some(known) => known,
            None if header => {
                known = Some(Header::named(text, &record, &place, columns)?);
                continue;
            }
            None => *known.insert(Header::numbered(text, &record, &place, columns)?),
        };
        if record.len() != fields {
            let found = format!("{} fields", record.len());
            let first = if header { "the header" } else { "the first line" };
            return Err(text.broken(start, found, format!("{fields} fields, as in {first}"), ""));
        }
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

/// The number of columns, and the positions of those that are read.
#[derive(Clone, Copy)]
struct Header {
    fields: usize,
    user: usize,
    item: usize,
    rating: Option<usize>,
    time: Option<usize>,
}

impl Header {
    fn named(
        text: &Text,
        record: &StringRecord,
        place: &Place<'_>,
        columns: &Columns,
    ) -> Result<Self, DataError> {
        let names: Vec<&str> = record.iter().collect();
        let find = |wanted: &str| {
            let mut found = (0..names.len()).filter(|&at| names[at] == wanted);
            let Some(first) = found.next() else {
                let help = if names.iter().any(|name| matches!(kind(name), Kind::Integer(_))) {
                    "write data.header = false if this line is data, else name the columns in data.columns"
                } else {
                    "name the columns in data.columns, and the separator in data.separator if it is wrong"
                };
                let found = format!("the columns {}", quoted(&names));
                return Err(text.broken(
                    place.start,
                    found,
                    format!("a column `{wanted}` in the header"),
                    help,
                ));
            };
            match found.next() {
                Some(second) => {
                    let found = format!("a second column `{wanted}`");
                    Err(text.broken(place.of(record, second), found, "each column once", ""))
                }
                None => Ok(first),
            }
        };
        Self::of(names.len(), columns, find)
    }

    /// Without a header the first record says how many columns there are.
    fn numbered(
        text: &Text,
        record: &StringRecord,
        place: &Place<'_>,
        columns: &Columns,
    ) -> Result<Self, DataError> {
        let fields = record.len();
        let find = |wanted: &str| {
            match kind(wanted) {
            Kind::Integer(number) if (1..=fields as u64).contains(&number) => Ok(number as usize - 1),
            _ => Err(text.broken(
                place.start,
                format!("{fields} fields"),
                format!("a column {wanted}"),
                "number the columns in data.columns from 1, and name the separator in data.separator if it is wrong",
            )),
        }
        };
        Self::of(fields, columns, find)
    }

    fn of(
        fields: usize,
        columns: &Columns,
        find: impl Fn(&str) -> Result<usize, DataError>,
    ) -> Result<Self, DataError> {
        Ok(Self {
            fields,
            user: find(&columns.user)?,
            item: find(&columns.item)?,
            rating: columns.rating.as_deref().map(&find).transpose()?,
            time: columns.time.as_deref().map(&find).transpose()?,
        })
    }
}

/// Where the fields of one record stand in the file.
struct Place<'a> {
    start: usize,
    /// The start of each field in the record, if there are quotes in it.
    starts: Option<&'a [usize]>,
}

impl<'a> Place<'a> {
    /// Finds the fields of the record in `range` of the file, and refuses what quotes leave open.
    fn new(
        text: &Text,
        range: Range<usize>,
        separator: u8,
        starts: &'a mut Vec<usize>,
    ) -> Result<Self, DataError> {
        let start = range.start;
        let raw = text.content().as_bytes().get(range).unwrap_or_default();
        if !raw.contains(&b'"') {
            return Ok(Self { start, starts: None });
        }
        quotes::field_starts(raw, separator, starts).map_err(|fault| wrong_quotes(text, start, fault))?;
        Ok(Self { start, starts: Some(starts) })
    }

    fn of(&self, record: &StringRecord, index: usize) -> usize {
        let offset = match self.starts {
            Some(starts) => starts.get(index).copied(),
            // Without quotes, fields lie in the record as in the file, less one separator each.
            None => record.range(index).map(|range| range.start + index),
        };
        self.start + offset.unwrap_or(0)
    }
}

/// The first byte of the record, past line ends that still belong to the one before and past empty lines.
fn record_start(text: &Text, start: usize) -> usize {
    let bytes = &text.content().as_bytes()[start..];
    start + bytes.iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count()
}

fn wrong_quotes(text: &Text, start: usize, fault: Fault) -> DataError {
    match fault {
        Fault::Unclosed { opened } => text.broken(
            start + opened,
            "a quote that is never closed",
            "a second quote at the end of the field",
            "close it, or put the field in quotes and write a quote that belongs to it twice",
        ),
        Fault::After { opened, at } => {
            let at = start + at;
            let found = text.content()[at..].chars().next().unwrap_or_default();
            let opened = text.location(start + opened);
            text.broken(
                at,
                format!(
                    "`{found}` after the closing quote of the field that begins in line {}, column {}",
                    opened.line, opened.column
                ),
                "a separator or the end of the line",
                "write a quote that belongs to a quoted field twice",
            )
        }
    }
}
