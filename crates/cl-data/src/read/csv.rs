//! Values between commas, tabs or another separator; fields may stand in double quotes (RFC 4180).
//!
//! The first line names the columns; in a file without such a line they are called 1, 2, …. Empty lines are skipped.
//! Spaces belong to ids, but not to ratings and times.

mod header;
mod place;
mod quotes;

use csv::{ReaderBuilder, StringRecord};

use self::header::Header;
use self::place::{Place, record_start};
use super::text::Text;
use super::{Event, Sink, Token, number};
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
