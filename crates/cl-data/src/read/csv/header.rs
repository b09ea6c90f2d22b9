//! Which columns of a file are read.

use csv::StringRecord;

use super::place::Place;
use crate::ids::{Kind, kind};
use crate::read::atomic::quoted;
use crate::read::text::Text;
use crate::{Columns, DataError};

const NAMES: &str = "name the columns in data.columns, and the separator in data.separator if it is wrong";
const HEADER_OR_NAMES: &str = "write data.header = false if this line is data; else name the columns in data.columns, \
                               and the separator in data.separator if it is wrong";
const NUMBERS: &str =
    "number the columns in data.columns from 1, and name the separator in data.separator if it is wrong";

/// The number of columns, and the positions of those that are read.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) fields: usize,
    pub(super) user: usize,
    pub(super) item: usize,
    pub(super) rating: Option<usize>,
    pub(super) time: Option<usize>,
}

impl Header {
    /// Finds the names in the first record.
    pub(super) fn named(
        text: &Text,
        record: &StringRecord,
        place: &Place<'_>,
        columns: &Columns,
    ) -> Result<Self, DataError> {
        let names: Vec<&str> = record.iter().collect();
        let find = |wanted: &str| {
            let mut found = (0..names.len()).filter(|&at| names[at] == wanted);
            let Some(first) = found.next() else {
                let is_data = names.iter().any(|name| name.starts_with(|first: char| first.is_ascii_digit()));
                let help = if is_data { HEADER_OR_NAMES } else { NAMES };
                let found = format!("the columns {}", quoted(&names));
                let expected = format!("a column `{wanted}` in the header");
                return Err(text.broken(place.start, found, expected, help));
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
    pub(super) fn numbered(
        text: &Text,
        record: &StringRecord,
        place: &Place<'_>,
        columns: &Columns,
    ) -> Result<Self, DataError> {
        let fields = record.len();
        let find = |wanted: &str| match kind(wanted) {
            Kind::Integer(number) if (1..=fields as u64).contains(&number) => Ok(number as usize - 1),
            _ => {
                let (found, expected) = (format!("{fields} fields"), format!("a column {wanted}"));
                Err(text.broken(place.start, found, expected, NUMBERS))
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
