//! The ids of one column while they are read: integers for as long as possible, text from the first other id on.

use std::collections::HashMap;

use crate::ids::{Kind, kind};
use crate::{DataError, Ids, Location, MAX_ROWS};

/// Collects ids; `push` keeps one for each event, `declare` only makes an id known.
pub(super) struct Column {
    values: Values,
    /// The first run of digits that is no u64: refused, unless the column turns out to be text anyway.
    too_large: Option<(Location, String)>,
    has_words: bool,
}

enum Values {
    Integers { events: Vec<u64>, declared: Vec<u64> },
    Text { numbers: HashMap<String, u32>, events: Vec<u32> },
}

impl Default for Column {
    fn default() -> Self {
        let values = Values::Integers { events: Vec::new(), declared: Vec::new() };
        Self { values, too_large: None, has_words: false }
    }
}

impl Column {
    #[inline]
    pub(super) fn push(&mut self, token: &str, location: impl FnOnce() -> Location) {
        let kind = kind(token);
        if let (Values::Integers { events, .. }, Kind::Integer(value)) = (&mut self.values, kind) {
            events.push(value);
            return;
        }
        let number = self.number(token, kind, location);
        if let Values::Text { events, .. } = &mut self.values {
            events.push(number);
        }
    }

    pub(super) fn declare(&mut self, token: &str, location: impl FnOnce() -> Location) {
        let kind = kind(token);
        if let (Values::Integers { declared, .. }, Kind::Integer(value)) = (&mut self.values, kind) {
            declared.push(value);
            return;
        }
        self.number(token, kind, location);
    }

    /// The number of a text id in order of first appearance.
    fn number(&mut self, token: &str, kind: Kind, location: impl FnOnce() -> Location) -> u32 {
        match kind {
            Kind::Text => self.has_words = true,
            Kind::TooLarge if self.too_large.is_none() => {
                self.too_large = Some((location(), token.to_string()))
            }
            _ => {}
        }
        self.turn_into_text();
        let Values::Text { numbers, .. } = &mut self.values else { unreachable!("turned into text above") };
        match numbers.get(token) {
            Some(&number) => number,
            None => number_of(numbers, token.to_string()),
        }
    }

    /// Canonical decimals are written back exactly as they stood in the file, so nothing is lost.
    fn turn_into_text(&mut self) {
        let Values::Integers { events, declared } = &mut self.values else { return };
        let (events, declared) = (std::mem::take(events), std::mem::take(declared));
        let mut numbers = HashMap::new();
        for value in declared {
            number_of(&mut numbers, value.to_string());
        }
        let events = events.into_iter().map(|value| number_of(&mut numbers, value.to_string())).collect();
        self.values = Values::Text { numbers, events };
    }

    /// The dictionary and the row of every event.
    pub(super) fn finish(self, what: &'static str) -> Result<(Ids, Vec<u32>), DataError> {
        if let (Some((location, token)), false) = (self.too_large, self.has_words) {
            return Err(DataError::Broken {
                location,
                found: format!("`{token}`"),
                expected: format!("an integer {what} id below 18446744073709551616 (2^64)"),
                help: "use smaller numbers or put a letter before every id, which makes them text".into(),
            });
        }
        let (ids, events) = match self.values {
            Values::Integers { events, declared } => integer_rows(events, &declared),
            Values::Text { numbers, events } => text_rows(numbers, events),
        };
        check_rows(ids.len(), what)?;
        Ok((ids, events))
    }
}

/// Numbers past the limit are wrong, but `finish` refuses the column then, and says how many ids there were.
fn number_of(numbers: &mut HashMap<String, u32>, token: String) -> u32 {
    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    *numbers.entry(token).or_insert(next)
}

pub(super) fn check_rows(found: usize, what: &'static str) -> Result<(), DataError> {
    if found > MAX_ROWS { Err(DataError::TooManyIds { what, found }) } else { Ok(()) }
}

fn integer_rows(events: Vec<u64>, declared: &[u64]) -> (Ids, Vec<u32>) {
    let all = || events.iter().chain(declared).copied();
    let largest = all().max().unwrap_or(0);
    let count = events.len() + declared.len();
    if largest <= 8 * count as u64 + 65_536 {
        // Dense ids, the usual case: a table instead of sorting.
        let mut row = vec![u32::MAX; largest as usize + 1];
        all().for_each(|id| row[id as usize] = 0);
        let ids: Vec<u64> = (0..=largest).filter(|&id| row[id as usize] == 0).collect();
        ids.iter().zip(0..).for_each(|(&id, next)| row[id as usize] = next);
        let rows = events.iter().map(|&id| row[id as usize]).collect();
        return (Ids::Integers(ids), rows);
    }
    let mut ids: Vec<u64> = all().collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = events.iter().map(|id| ids.partition_point(|other| other < id) as u32).collect();
    (Ids::Integers(ids), rows)
}

fn text_rows(numbers: HashMap<String, u32>, events: Vec<u32>) -> (Ids, Vec<u32>) {
    let mut names: Vec<(String, u32)> = numbers.into_iter().collect();
    names.sort_unstable();
    let mut row = vec![0u32; names.len()];
    names.iter().zip(0..).for_each(|((_, number), next)| row[*number as usize] = next);
    let ids = Ids::Text(names.into_iter().map(|(name, _)| name).collect());
    (ids, events.into_iter().map(|number| row[number as usize]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(tokens: &[&str], declared: &[&str]) -> (Ids, Vec<u32>) {
        let place = || Location { file: "x".into(), line: 1, column: 1 };
        let mut column = Column::default();
        declared.iter().for_each(|token| column.declare(token, place));
        tokens.iter().for_each(|token| column.push(token, place));
        column.finish("item").unwrap()
    }

    #[test]
    fn dense_and_sparse_integers_get_rows_by_value() {
        assert_eq!(column(&["7", "3", "7"], &["5"]), (Ids::Integers(vec![3, 5, 7]), vec![2, 0, 2]));
        let huge = u64::MAX.to_string();
        assert_eq!(column(&[&huge, "3"], &["9"]), (Ids::Integers(vec![3, 9, u64::MAX]), vec![2, 0]));
    }

    #[test]
    fn one_word_makes_the_column_text() {
        let text = |names: [&str; 3]| Ids::Text(names.map(String::from).to_vec());
        assert_eq!(column(&["9", "10", "b", "9"], &[]), (text(["10", "9", "b"]), vec![1, 0, 2, 1]));
        // Too large for a number, but a text column has no use for numbers.
        let long = "18446744073709551616";
        assert_eq!(column(&[long, "b", "1"], &["1"]), (text(["1", long, "b"]), vec![1, 2, 0]));
    }

    #[test]
    fn the_row_limit_is_the_largest_row_number_that_fits() {
        assert!(check_rows(4_294_967_294, "user").is_ok());
        assert!(matches!(
            check_rows(4_294_967_295, "user"),
            Err(DataError::TooManyIds { found: 4_294_967_295, .. })
        ));
    }
}
