//! Which items held-out ones are ranked among, where that is not the whole catalogue.

use std::collections::BTreeSet;
use std::path::Path;

use cl_core::StreamKey;
use cl_core::sampling::{ItemSampler, Sampling};
use cl_data::{Split, UserItems, read_candidates};
use rand::seq::index::sample_weighted;

use crate::config::{EvaluateConfig, SampledConfig};
use crate::error::Error;

/// Items of each user that the user has in no part.
#[derive(Debug, Clone)]
pub struct Candidates(UserItems);

impl Candidates {
    /// Those that the experiment asks for; `None` if all items are ranked.
    ///
    /// # Errors
    ///
    /// A file that is not what it should be; a user with fewer items to draw from than are to be drawn.
    pub(crate) fn of(
        config: &EvaluateConfig,
        split: &Split,
        root: &Path,
        key: StreamKey,
    ) -> Result<Option<Self>, Error> {
        Ok(match &config.sampled {
            None => None,
            Some(SampledConfig { file: Some(file), .. }) => {
                Some(Self(read_candidates(&root.join(file), split)?))
            }
            Some(SampledConfig { negatives, by, .. }) => {
                let (count, by) = (negatives.unwrap_or_default(), by.unwrap_or_default());
                Some(Self::draw(split, count, by, key.child("candidates"))?)
            }
        })
    }

    /// `count` distinct items of each user with held-out items, drawn one after another by `sampling` from those that the user
    /// has in no part; a function of the key and the user.
    fn draw(split: &Split, count: usize, sampling: Sampling, key: StreamKey) -> Result<Self, Error> {
        let items = split.items.len();
        let sampler = ItemSampler::new(sampling, &split.train_counts());
        let mut pairs = Vec::new();
        for user in 0..split.users.len() {
            if split.validation.of(user).is_empty() && split.test.of(user).is_empty() {
                continue;
            }
            let has: BTreeSet<u32> = [&split.train.0, &split.validation.0, &split.test.0]
                .into_iter()
                .flat_map(|part| part.of(user).iter().copied())
                .collect();
            let mut rng = key.rng(user as u32);
            // Where items are many, nearly every draw is a new one.
            if sampling == Sampling::Uniform && items > 4 * (count + has.len()) {
                let mut drawn = BTreeSet::new();
                while drawn.len() < count {
                    drawn.insert(sampler.draw_other(&mut rng, |item| has.contains(&item)));
                }
                pairs.extend(drawn.into_iter().map(|item| (user as u32, item)));
                continue;
            }
            let is_other = |item: &u32| sampler.can_draw(*item) && !has.contains(item);
            let others: Vec<u32> = (0..items as u32).filter(is_other).collect();
            if others.len() < count {
                return Err(Error::with_help(
                    format!(
                        "user `{}` has {} items that could be drawn and that are not the user's own, and \
                         evaluate.sampled asks for {count}",
                        split.users.external(user),
                        others.len()
                    ),
                    "lower evaluate.sampled.negatives, or rank all items",
                ));
            }
            let drawn = sample_weighted(&mut rng, others.len(), |at| sampler.probability(others[at]), count)
                .map_err(|error| Error::other(error.to_string()))?;
            pairs.extend(drawn.into_iter().map(|at| (user as u32, others[at])));
        }
        Ok(Self(UserItems::from_pairs(split.users.len(), pairs.iter().copied())))
    }

    /// Each user's, and the items of a held-out part.
    pub(crate) fn with(&self, part: &UserItems) -> UserItems {
        UserItems::from_pairs(part.users(), self.0.pairs().chain(part.pairs()))
    }
}

#[cfg(test)]
mod tests {
    use cl_data::{LeaveOneOut, Source, SyntheticConfig};

    use super::*;

    fn split() -> Split {
        let config =
            SyntheticConfig { users: 60, items: 90, interactions: 700, ..SyntheticConfig::default() };
        let whole = Source::Whole(cl_data::synthetic::interactions(&config, 1).unwrap());
        LeaveOneOut::default().split(&whole, 1).unwrap()
    }

    #[test]
    fn as_many_distinct_items_that_are_not_the_users_own() {
        let split = split();
        for sampling in [Sampling::Uniform, Sampling::Popularity] {
            for count in [1, 7, 40] {
                let candidates = Candidates::draw(&split, count, sampling, StreamKey::root(1)).unwrap();
                for user in 0..split.users.len() {
                    let drawn = candidates.0.of(user);
                    let held_out = !split.test.of(user).is_empty();
                    assert_eq!(drawn.len(), if held_out { count } else { 0 });
                    for part in [&split.train.0, &split.validation.0, &split.test.0] {
                        assert!(drawn.iter().all(|&item| !part.contains(user, item)));
                    }
                    let whole = candidates.with(&split.test);
                    assert_eq!(whole.of(user).len(), drawn.len() + split.test.of(user).len());
                }
            }
        }
    }

    #[test]
    fn uniform_ones_are_uniform_and_popular_ones_popular() {
        let split = split();
        let counts: Vec<f64> = split.train_counts().into_iter().map(f64::from).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // The training count of an item that is drawn for each user, as the law has it; and of those that are drawn.
        let mut means = Vec::new();
        for (sampling, weight) in [(Sampling::Uniform, 0), (Sampling::Popularity, 1)] {
            let expected: Vec<f64> = (0..split.users.len())
                .filter(|&user| !split.test.of(user).is_empty())
                .map(|user| {
                    let own = [&split.train.0, &split.validation.0, &split.test.0];
                    let other = |item: &usize| own.iter().all(|part| !part.contains(user, *item as u32));
                    let others: Vec<f64> = (0..counts.len()).filter(other).map(|item| counts[item]).collect();
                    let total: f64 = others.iter().map(|count| count.powi(weight)).sum();
                    others.iter().map(|count| count * count.powi(weight) / total).sum()
                })
                .collect();
            let mut drawn = Vec::new();
            for seed in 0..60 {
                let candidates = Candidates::draw(&split, 1, sampling, StreamKey::root(seed)).unwrap();
                drawn.extend(candidates.0.pairs().map(|(_, item)| counts[item as usize]));
            }
            // 3,600 draws with a deviation of about 5.
            assert!(
                (mean(&drawn) - mean(&expected)).abs() < 0.35,
                "{} for {}",
                mean(&drawn),
                mean(&expected)
            );
            means.push(mean(&expected));
        }
        assert!(means[1] > means[0] + 1.0, "{means:?}");
    }

    #[test]
    fn too_few_items_are_told() {
        let error = Candidates::draw(&split(), 89, Sampling::Uniform, StreamKey::root(1)).unwrap_err();
        assert!(error.to_string().contains("evaluate.sampled asks for 89"), "{error}");
    }
}
