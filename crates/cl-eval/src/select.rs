//! The best K of a stream of scores, with one comparison for nearly every score.

use std::cmp::Ordering;

/// Keeps the best `cutoff` of the scores offered so far: higher score first, smaller item id among equals.
///
/// Candidates are collected until twice the cut-off has been reached; then the better half is kept and its
/// worst score becomes the threshold. A score that is not above the threshold costs one comparison, and no
/// score costs more than O(1) on average, whatever the order and the cut-off.
///
/// Items must be offered in ascending order: a later item with the threshold's own score loses the tie, so
/// that "not above" is enough to drop it.
pub(crate) struct TopK {
    cutoff: usize,
    capacity: usize,
    threshold: f32,
    kept: Vec<(f32, u32)>,
}

/// Scores looked at together; one comparison result a chunk lets the compiler use vector instructions.
const CHUNK: usize = 32;

impl TopK {
    /// A selection of the best `cutoff` among at most `items` scores.
    pub(crate) fn new(cutoff: usize, items: usize) -> Self {
        let capacity = 2 * cutoff.min(items) + CHUNK;
        Self { cutoff, capacity, threshold: f32::NEG_INFINITY, kept: Vec::with_capacity(capacity) }
    }

    /// Offers the scores of the items `first_item, first_item + 1, …`. A score of −∞ is never kept.
    ///
    /// # Panics
    ///
    /// If a score is NaN, which has no place in an order; `user` is for the message.
    pub(crate) fn offer(&mut self, user: u32, first_item: u32, scores: &[f32]) {
        for (chunk, part) in scores.chunks(CHUNK).enumerate() {
            let mut promising = false;
            for &score in part {
                promising |= not_at_most(score, self.threshold);
            }
            if promising {
                self.take(user, first_item + (chunk * CHUNK) as u32, part);
            }
        }
    }

    #[cold]
    fn take(&mut self, user: u32, first_item: u32, scores: &[f32]) {
        for (item, &score) in (first_item..).zip(scores) {
            if not_at_most(score, self.threshold) {
                if score.is_nan() {
                    undefined(user, item);
                }
                self.kept.push((score, item));
                if self.kept.len() == self.capacity {
                    self.shrink();
                }
            }
        }
    }

    fn shrink(&mut self) {
        self.kept.select_nth_unstable_by(self.cutoff - 1, better_first);
        self.kept.truncate(self.cutoff);
        self.threshold = self.kept[self.cutoff - 1].0;
    }

    /// Writes the selection, best first, and starts anew. Places without an item get `no_item` and −∞.
    pub(crate) fn finish(&mut self, no_item: u32, items: &mut [u32], scores: &mut [f32]) {
        self.kept.sort_unstable_by(better_first);
        self.kept.truncate(self.cutoff);
        items.fill(no_item);
        scores.fill(f32::NEG_INFINITY);
        for (place, &(score, item)) in self.kept.iter().enumerate() {
            items[place] = item;
            scores[place] = score;
        }
        self.kept.clear();
        self.threshold = f32::NEG_INFINITY;
    }
}

/// Whether `score` is above `threshold` or NaN.
#[inline(always)]
fn not_at_most(score: f32, threshold: f32) -> bool {
    // The negation is the point: a NaN compares false, and must be noticed.
    #[allow(clippy::neg_cmp_op_on_partial_ord)]
    !(score <= threshold)
}

/// Ends the program for a score that has no rank.
pub(crate) fn undefined(user: u32, item: u32) -> ! {
    panic!(
        "the score of user {user} for item {item} is NaN, so its rank is undefined: look for a diverged model (a lower \
         learning rate, a larger temperature) before ranking"
    )
}

/// Higher score first, then smaller item; 0 and −0 are equal. No score is NaN here.
pub(crate) fn better_first(a: &(f32, u32), b: &(f32, u32)) -> Ordering {
    b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(cutoff: usize, scores: &[f32]) -> (Vec<u32>, Vec<f32>) {
        let mut top = TopK::new(cutoff, scores.len());
        let (mut items, mut kept) = (vec![7; cutoff], vec![7.0; cutoff]);
        top.offer(0, 0, scores);
        top.finish(u32::MAX, &mut items, &mut kept);
        (items, kept)
    }

    #[test]
    fn ties_go_to_the_smaller_item() {
        assert_eq!(top(3, &[1.0, 2.0, 2.0, 0.0, 2.0, 2.0]), (vec![1, 2, 4], vec![2.0; 3]));
        assert_eq!(top(2, &[-0.0, 0.0, -0.0]).0, [0, 1]);
        assert_eq!(top(2, &[5.0; 1000]).0, [0, 1]);
    }

    #[test]
    fn rising_scores_are_the_worst_case_and_still_right() {
        let scores: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        assert_eq!(top(3, &scores).0, [999, 998, 997]);
    }

    #[test]
    fn missing_places_say_so() {
        let infinite = f32::NEG_INFINITY;
        assert_eq!(top(3, &[infinite, 4.0]), (vec![1, u32::MAX, u32::MAX], vec![4.0, infinite, infinite]));
    }

    #[test]
    fn is_ready_for_the_next_user() {
        let mut top = TopK::new(1, 200);
        let (mut items, mut scores) = ([0], [0.0]);
        top.offer(0, 0, &[9.0; 200]);
        top.finish(u32::MAX, &mut items, &mut scores);
        top.offer(1, 0, &[3.0, 4.0]);
        top.finish(u32::MAX, &mut items, &mut scores);
        assert_eq!((items, scores), ([1], [4.0]));
    }

    #[test]
    #[should_panic(expected = "the score of user 0 for item 70 is NaN")]
    fn nan_is_refused_wherever_it_stands() {
        let mut scores = vec![f32::INFINITY; 71];
        scores[70] = f32::NAN;
        top(2, &scores);
    }
}
