//! What becomes of a score before it is ranked.

use serde::{Deserialize, Serialize};

use crate::rank::Scorer;

/// What becomes of a score before it is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// The score itself.
    #[default]
    Raw,
    /// `1 / (1 + exp(−score))` in f32, as LightGCN-PyTorch ranks. It keeps the order but for what rounding makes equal:
    /// every score above 16.6 becomes 1, and the smaller item id wins among them.
    Sigmoid,
}

impl Score {
    /// Applies it to scores. −∞ stays −∞, so that masked items stay out. One exponential a score for `sigmoid`.
    pub fn apply(self, scores: &mut [f32]) {
        if self == Self::Sigmoid {
            for score in scores.iter_mut().filter(|score| **score != f32::NEG_INFINITY) {
                *score = 1.0 / (1.0 + (-*score).exp());
            }
        }
    }

    /// A scorer whose scores are this of another's.
    #[must_use]
    pub fn of(self, scorer: &dyn Scorer) -> impl Scorer {
        Applied { score: self, scorer }
    }
}

struct Applied<'a> {
    score: Score,
    scorer: &'a dyn Scorer,
}

impl Scorer for Applied<'_> {
    fn items(&self) -> usize {
        self.scorer.items()
    }

    fn score(&self, user: usize, out: &mut [f32]) {
        self.scorer.score(user, out);
        self.score.apply(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_saturates_and_leaves_masked_items_out() {
        let mut scores = [0.0, 1.0, 16.0, 17.0, 40.0, -40.0, f32::NEG_INFINITY, f32::NAN];
        Score::Raw.apply(&mut scores);
        assert_eq!(scores[..4], [0.0, 1.0, 16.0, 17.0]);
        Score::Sigmoid.apply(&mut scores);
        assert_eq!((scores[0], scores[1]), (0.5, 0.731_058_6));
        assert!(scores[2] < 1.0 && scores[3] == 1.0 && scores[4] == 1.0, "{scores:?}");
        assert!(scores[5] > 0.0 && scores[6] == f32::NEG_INFINITY && scores[7].is_nan(), "{scores:?}");
    }
}
