//! How the rows of a product are shared out: which units sum which values.

use std::ops::Range;

/// Values in a segment: few enough that no unit is left working when the others are done, so many that what is summed
/// twice does not count.
pub(super) const SEGMENT: usize = 128;

/// Numbers that a task is: where its values start and end, and the row that their sum goes to.
pub(super) const TASK: usize = 3;

/// The tasks of a product. A row of up to [`SEGMENT`] values is one task. A longer one is a task for each segment, whose
/// sums are rows of a table of their own, and one that adds these up. Where a row is cut depends on its length alone, so
/// that its bits do not depend on which rows are asked for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Work {
    /// Whole rows, the longest first: units beside one another then have equally much to do, and none starts a long row
    /// at the end.
    pub(super) whole: Vec<u32>,
    /// Segments of long rows; they go to rows 0, 1, ….
    pub(super) segments: Vec<u32>,
    /// Long rows, as ranges of segments.
    pub(super) long: Vec<u32>,
}

impl Work {
    /// The tasks of rows and their ranges of values. O(rows + values / [`SEGMENT`]).
    pub(super) fn new(rows: impl Iterator<Item = (u32, Range<usize>)> + Clone) -> Self {
        let mut starts = [0; SEGMENT + 1];
        let mut work = Self::default();
        for (row, values) in rows.clone() {
            if values.len() <= SEGMENT {
                starts[SEGMENT - values.len()] += 1;
                continue;
            }
            let first = work.segments.len() / TASK;
            for start in values.clone().step_by(SEGMENT) {
                let (end, at) = ((start + SEGMENT).min(values.end), work.segments.len() / TASK);
                work.segments.extend([start as u32, end as u32, at as u32]);
            }
            work.long.extend([first as u32, (work.segments.len() / TASK) as u32, row]);
        }
        let mut end = 0;
        for start in &mut starts {
            end += std::mem::replace(start, end);
        }
        work.whole = vec![0; end * TASK];
        for (row, values) in rows.filter(|(_, values)| values.len() <= SEGMENT) {
            let at = &mut starts[SEGMENT - values.len()];
            work.whole[*at * TASK..][..TASK].copy_from_slice(&[values.start as u32, values.end as u32, row]);
            *at += 1;
        }
        work
    }
}

/// A bit for each row up to `nodes`, set for those of the list.
pub(super) fn bits(rows: &[u32], nodes: usize) -> Vec<u32> {
    let mut bits = vec![0; nodes.div_ceil(32)];
    for row in rows {
        bits[*row as usize / 32] |= 1 << (row % 32);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_are_cut_and_short_ones_sorted() {
        let rows = [(7, 0..2), (1, 2..2), (4, 2..2 + 2 * SEGMENT + 5), (9, 300..303), (3, 400..402)];
        let work = Work::new(rows.iter().cloned());
        assert_eq!(work.whole, [300, 303, 9, 0, 2, 7, 400, 402, 3, 2, 2, 1]);
        let end = SEGMENT as u32;
        assert_eq!(work.segments, [2, 2 + end, 0, 2 + end, 2 + 2 * end, 1, 2 + 2 * end, 7 + 2 * end, 2]);
        assert_eq!(work.long, [0, 3, 4]);
        let exact = Work::new([(0, 0..SEGMENT)].into_iter());
        assert_eq!((exact.whole, exact.long), (vec![0, end, 0], vec![]));
    }

    #[test]
    fn bits_mark_rows() {
        assert_eq!(bits(&[0, 31, 33], 65), [1 << 31 | 1, 2, 0]);
        assert_eq!(bits(&[], 0), [0; 0]);
    }
}
