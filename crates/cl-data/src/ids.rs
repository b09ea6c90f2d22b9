//! External ids and the rows they have inside a program.

use std::borrow::Cow;

/// The largest number of ids in one column: `u32::MAX − 1`, so that `u32::MAX` can mark "no row" and a padding row fits.
pub const MAX_ROWS: usize = u32::MAX as usize - 1;

/// The dictionary of one column: row `r` of the data is the external id at position `r`.
///
/// Rows are ordered by integer value if every id is a canonical decimal integer (digits only, no leading zero, below
/// 2⁶⁴), else by the bytes of the text. Both vectors must be strictly ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Every id is a canonical integer.
    Integers(Vec<u64>),
    /// At least one id is not.
    Text(Vec<String>),
}

impl Ids {
    /// The ids `0, 1, …, n − 1`.
    #[must_use]
    pub fn range(n: usize) -> Self {
        Self::Integers((0..n as u64).collect())
    }

    /// The dictionary of `names`, in any order and with repeats, by the ordering rule of the type. O(n · log n).
    #[must_use]
    pub fn from_names(mut names: Vec<String>) -> Self {
        let integers: Option<Vec<u64>> = names.iter().map(|name| canonical_integer(name)).collect();
        if let Some(mut integers) = integers {
            integers.sort_unstable();
            integers.dedup();
            return Self::Integers(integers);
        }
        names.sort_unstable();
        names.dedup();
        Self::Text(names)
    }

    /// Number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(ids) => ids.len(),
            Self::Text(ids) => ids.len(),
        }
    }

    /// Whether there is no id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The external id of `row`.
    ///
    /// # Panics
    ///
    /// If `row` is not below [`len`](Self::len).
    #[must_use]
    pub fn external(&self, row: usize) -> Cow<'_, str> {
        assert!(row < self.len(), "row {row} is not below the number of ids {}", self.len());
        match self {
            Self::Integers(ids) => Cow::Owned(ids[row].to_string()),
            Self::Text(ids) => Cow::Borrowed(&ids[row]),
        }
    }

    /// The row of an external id, by binary search. `007` is not the integer 7.
    #[must_use]
    pub fn row(&self, external: &str) -> Option<u32> {
        let row = match self {
            Self::Integers(ids) => ids.binary_search(&canonical_integer(external)?).ok()?,
            Self::Text(ids) => ids.binary_search_by(|id| id.as_str().cmp(external)).ok()?,
        };
        u32::try_from(row).ok()
    }

    /// The ids that make the column text, if nearly all others are whole numbers: then they may be slips.
    pub(crate) fn strays(&self) -> Vec<&str> {
        /// One stray for so many ids is taken for a slip.
        const FEW: usize = 20;
        let Self::Text(ids) = self else { return Vec::new() };
        let strays: Vec<&str> = ids.iter().map(String::as_str).filter(|id| kind(id) == Kind::Text).collect();
        if strays.len() * FEW <= ids.len() { strays } else { Vec::new() }
    }

    /// The dictionary of the rows to keep, and the new row of every old one (`u32::MAX` where it was dropped).
    ///
    /// Rows keep their order, except where dropping the last non-integer id turns a text column into integers.
    ///
    /// # Panics
    ///
    /// If `keep` has another length than the dictionary.
    #[must_use]
    pub fn select(&self, keep: &[bool]) -> (Self, Vec<u32>) {
        assert_eq!(keep.len(), self.len(), "{} flags for {} ids", keep.len(), self.len());
        let kept = |row: &usize| keep[*row];
        let selected = match self {
            Self::Integers(ids) => Self::Integers((0..ids.len()).filter(kept).map(|row| ids[row]).collect()),
            Self::Text(ids) => {
                Self::from_names((0..ids.len()).filter(kept).map(|row| ids[row].clone()).collect())
            }
        };
        let mut next = 0;
        let new_row = |row: usize| -> u32 {
            if !keep[row] {
                return u32::MAX;
            }
            match (self, &selected) {
                // The order changed from bytes to numbers: 10 < 9 as text.
                (Self::Text(ids), Self::Integers(_)) => selected.row(&ids[row]).unwrap_or(u32::MAX),
                _ => {
                    next += 1;
                    next - 1
                }
            }
        };
        let rows = (0..self.len()).map(new_row).collect();
        (selected, rows)
    }
}

/// Whether an id would be taken apart in a table of lines and tabs, the form of all that is written about ids.
pub(crate) fn breaks_tables(id: &str) -> bool {
    id.bytes().any(|byte| matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// How one token reads as an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer(u64),
    /// Digits only, no leading zero, but 2⁶⁴ or more.
    TooLarge,
    Text,
}

/// Reads a token as an id, by hand: no allocation, one pass.
#[inline]
pub(crate) fn kind(token: &str) -> Kind {
    let bytes = token.as_bytes();
    if bytes.is_empty() || (bytes[0] == b'0' && bytes.len() > 1) {
        return Kind::Text;
    }
    let mut value = 0u64;
    let mut fits = true;
    for &byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Kind::Text;
        }
        match value.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit))) {
            Some(next) => value = next,
            None => fits = false,
        }
    }
    if fits { Kind::Integer(value) } else { Kind::TooLarge }
}

fn canonical_integer(token: &str) -> Option<u64> {
    match kind(token) {
        Kind::Integer(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_decimals_are_integers() {
        assert_eq!(kind("0"), Kind::Integer(0));
        assert_eq!(kind("18446744073709551615"), Kind::Integer(u64::MAX));
        assert_eq!(kind("18446744073709551616"), Kind::TooLarge);
        assert_eq!(kind("99999999999999999999999"), Kind::TooLarge);
        for text in ["", "00", "07", "+7", "-7", "7a", "7.0", "٣"] {
            assert_eq!(kind(text), Kind::Text, "{text}");
        }
    }

    #[test]
    fn integers_are_ordered_by_value_and_text_by_bytes() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let integers = Ids::from_names(names(&["10", "9", "10"]));
        assert_eq!(integers, Ids::Integers(vec![9, 10]));
        assert_eq!(integers.row("10"), Some(1));
        assert_eq!(integers.row("010"), None);
        let text = Ids::from_names(names(&["9", "10", "b", "B"]));
        assert_eq!(text, Ids::Text(names(&["10", "9", "B", "b"])));
        assert_eq!(text.row("9"), Some(1));
        assert_eq!(text.external(3), "b");
    }

    #[test]
    fn a_few_words_among_many_numbers_are_strays() {
        let ids = |last: &[&str]| {
            Ids::from_names(
                (0..38).map(|id: u32| id.to_string()).chain(last.iter().map(|id| id.to_string())).collect(),
            )
        };
        assert_eq!(ids(&["-1", "x"]).strays(), ["-1", "x"]); // 2 of 40
        assert!(ids(&["-1", "01", "1.5"]).strays().is_empty()); // 3 of 41
        assert!(ids(&[]).strays().is_empty());
    }

    #[test]
    fn selecting_away_the_last_text_id_reorders_by_value() {
        let ids = Ids::from_names(["9", "10", "x"].map(String::from).to_vec()); // rows: 10, 9, x
        let (selected, rows) = ids.select(&[true, true, false]);
        assert_eq!(selected, Ids::Integers(vec![9, 10]));
        assert_eq!(rows, [1, 0, u32::MAX]);
        let (selected, rows) = Ids::range(4).select(&[true, false, true, true]);
        assert_eq!(selected, Ids::Integers(vec![0, 2, 3]));
        assert_eq!(rows, [0, u32::MAX, 1, 2]);
    }
}
