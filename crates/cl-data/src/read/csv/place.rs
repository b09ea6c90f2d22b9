//! Places of records and fields in a file.

use std::ops::Range;

use csv::StringRecord;

use super::quotes::{self, Fault};
use crate::DataError;
use crate::read::text::Text;

/// Where the fields of one record stand in the file.
pub(super) struct Place<'a> {
    pub(super) start: usize,
    /// The start of each field in the record, if there are quotes in it.
    starts: Option<&'a [usize]>,
}

impl<'a> Place<'a> {
    /// Finds the fields of the record in `range` of the file, and refuses what quotes leave open.
    pub(super) fn new(
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

    /// The first byte of a field.
    pub(super) fn of(&self, record: &StringRecord, index: usize) -> usize {
        let offset = match self.starts {
            Some(starts) => starts.get(index).copied(),
            // Without quotes, fields lie in the record as in the file, less one separator each.
            None => record.range(index).map(|range| range.start + index),
        };
        self.start + offset.unwrap_or(0)
    }
}

/// The first byte of the record, past line ends that still belong to the one before and past empty lines.
pub(super) fn record_start(text: &Text, start: usize) -> usize {
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
