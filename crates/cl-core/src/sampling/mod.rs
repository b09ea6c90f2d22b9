//! Which items are drawn as negatives, and how likely.

mod negatives;

use std::sync::Arc;

use rand::RngExt;
use serde::{Deserialize, Serialize};

pub use negatives::{BatchNegatives, Draw, NegativeSampler, Owners};

/// The law from which negatives are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All items alike.
    #[default]
    Uniform,
    /// Items in proportion to their events in training; one without events is never drawn.
    Popularity,
}

/// Draws items with replacement.
#[derive(Debug, Clone)]
pub struct ItemSampler {
    items: u32,
    /// How many events items 0 to i have together, of `popularity`.
    events_to: Option<Arc<[u64]>>,
}

impl ItemSampler {
    /// Draws from a catalogue whose items have so many events.
    #[must_use]
    pub fn new(sampling: Sampling, counts: &[u32]) -> Self {
        let sum = |sum: &mut u64, &count: &u32| {
            *sum += u64::from(count);
            Some(*sum)
        };
        let events_to = (sampling == Sampling::Popularity).then(|| counts.iter().scan(0, sum).collect());
        Self { items: counts.len() as u32, events_to }
    }

    /// The law.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        if self.events_to.is_some() { Sampling::Popularity } else { Sampling::Uniform }
    }

    /// Number of items.
    #[must_use]
    pub fn items(&self) -> u32 {
        self.items
    }

    /// How many events items 0 to i have together, of `popularity`.
    #[must_use]
    pub fn events_to(&self) -> Option<&[u64]> {
        self.events_to.as_deref()
    }

    /// An item.
    ///
    /// # Panics
    ///
    /// If there is none that could be drawn.
    ///
    /// # Cost
    ///
    /// O(1) of `uniform`, O(log items) of `popularity`.
    pub fn draw(&self, rng: &mut impl RngExt) -> u32 {
        match &self.events_to {
            None => rng.random_range(0..self.items),
            Some(events_to) => {
                let event = rng.random_range(0..events_to[events_to.len() - 1]);
                events_to.partition_point(|&to| to <= event) as u32
            }
        }
    }

    /// q, how likely a draw is this item.
    #[must_use]
    pub fn probability(&self, item: u32) -> f64 {
        match &self.events_to {
            None => 1.0 / f64::from(self.items),
            Some(events_to) => {
                let at = item as usize;
                let before = at.checked_sub(1).map_or(0, |before| events_to[before]);
                (events_to[at] - before) as f64 / events_to[events_to.len() - 1] as f64
            }
        }
    }

    /// Whether an item could be drawn.
    #[must_use]
    pub fn can_draw(&self, item: u32) -> bool {
        self.probability(item) > 0.0
    }

    /// The first of these users who has every item that could be drawn, `has` telling each one's items (without repeats).
    pub fn without_negative<'a>(&self, mut has: impl Iterator<Item = &'a [u32]>) -> Option<usize> {
        let drawn = (0..self.items).filter(|&item| self.can_draw(item)).count();
        has.position(|items| items.iter().filter(|&&item| self.can_draw(item)).count() == drawn)
    }

    /// An item that the user has not; the caller has refused users without one.
    pub fn draw_other(&self, rng: &mut impl RngExt, has: impl Fn(u32) -> bool) -> u32 {
        loop {
            let item = self.draw(rng);
            if !has(item) {
                return item;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamKey;

    #[test]
    fn items_are_drawn_as_often_as_is_said() {
        let counts = [0, 3, 1, 0, 6, 2];
        for sampling in [Sampling::Uniform, Sampling::Popularity] {
            let sampler = ItemSampler::new(sampling, &counts);
            let mut rng = StreamKey::root(5).rng(0);
            let mut drawn = [0_u32; 6];
            for _ in 0..60_000 {
                drawn[sampler.draw(&mut rng) as usize] += 1;
            }
            let total: f64 = (0..6).map(|item| sampler.probability(item)).sum();
            assert!((total - 1.0).abs() < 1e-12);
            for item in 0..6 {
                let expected = 60_000.0 * sampler.probability(item);
                let difference = (f64::from(drawn[item as usize]) - expected).abs();
                // Five standard deviations of the widest.
                assert!(difference < 620.0, "{sampling:?}, item {item}: {drawn:?}");
                assert_eq!(drawn[item as usize] == 0, !sampler.can_draw(item));
            }
        }
    }

    #[test]
    fn others_are_never_what_a_user_has_and_as_likely_as_is_said() {
        let sampler = ItemSampler::new(Sampling::Popularity, &[4, 3, 1, 0, 6, 2]);
        let has = [0, 4];
        let mut rng = StreamKey::root(6).rng(0);
        let mut drawn = [0_u32; 6];
        for _ in 0..60_000 {
            drawn[sampler.draw_other(&mut rng, |item| has.contains(&item)) as usize] += 1;
        }
        let left = 1.0 - has.map(|item| sampler.probability(item)).iter().sum::<f64>();
        for item in [1, 2, 5] {
            let expected = 60_000.0 * sampler.probability(item as u32) / left;
            assert!((f64::from(drawn[item]) - expected).abs() < 620.0, "{drawn:?}");
        }
        assert_eq!((drawn[0], drawn[3], drawn[4]), (0, 0, 0));
    }

    #[test]
    fn a_user_with_all_that_could_be_drawn_is_found() {
        let has: [&[u32]; 3] = [&[0], &[1, 2], &[0, 1, 2]];
        let uniform = ItemSampler::new(Sampling::Uniform, &[0, 1, 1]);
        assert_eq!(uniform.without_negative(has.into_iter()), Some(2));
        let popularity = ItemSampler::new(Sampling::Popularity, &[0, 1, 1]);
        assert_eq!(popularity.without_negative(has.into_iter()), Some(1));
        assert_eq!(popularity.without_negative(has[..1].iter().copied()), None);
    }
}
