//! The items: popularity, clusters, and the preferred order inside a cluster.

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::Distribution;
use rand_distr::weighted::WeightedAliasIndex;

use super::SyntheticConfig;
use super::power::inverse_power;
use crate::random::{draw_to_front, generator};
use crate::{DataError, Invalid};

/// Weights are whole numbers of 2⁻³² of the largest weight, so that drawing is integer arithmetic throughout.
const UNIT: f64 = 4_294_967_296.0;

/// How often an item is drawn before the draw gives up on hitting one that the user does not have yet.
const TRIES: usize = 32;

pub(super) struct Catalogue {
    /// All items by popularity.
    popularity: WeightedAliasIndex<u64>,
    clusters: Vec<Cluster>,
    /// Place of each item in the preferred order of its cluster.
    place: Vec<u32>,
}

struct Cluster {
    /// In preferred order.
    items: Vec<u32>,
    popularity: WeightedAliasIndex<u64>,
}

impl Catalogue {
    pub(super) fn new(config: &SyntheticConfig, seed: u64) -> Result<Self, DataError> {
        let mut ranks: Vec<u32> = (0..config.items as u32).collect();
        draw_to_front(&mut ranks, config.items, &mut generator(seed, "synthetic popularity", b""));
        let weight = |rank: &u32| {
            let weight = (UNIT * inverse_power(f64::from(*rank) + 1.0, config.item_exponent)).round();
            (weight as u64).max(1)
        };
        let weights: Vec<u64> = ranks.iter().map(weight).collect();
        // A shuffled catalogue dealt out in turn: clusters of equal size, each already in a random order.
        let mut shuffled: Vec<u32> = (0..config.items as u32).collect();
        draw_to_front(&mut shuffled, config.items, &mut generator(seed, "synthetic clusters", b""));
        let mut place = vec![0; config.items];
        let mut clusters = Vec::with_capacity(config.clusters);
        for cluster in 0..config.clusters {
            let items: Vec<u32> = shuffled.iter().skip(cluster).step_by(config.clusters).copied().collect();
            items.iter().zip(0..).for_each(|(&item, at)| place[item as usize] = at);
            let popularity = alias(items.iter().map(|&item| weights[item as usize]).collect())?;
            clusters.push(Cluster { items, popularity });
        }
        Ok(Self { popularity: alias(weights)?, clusters, place })
    }

    /// An item of `cluster` that is not taken, by popularity; of the whole catalogue if `cluster` is `None` or has no
    /// item left. Where popularity keeps drawing taken items, the next free one after a random point.
    pub(super) fn draw(
        &self,
        cluster: Option<usize>,
        taken: &Taken,
        generator: &mut Xoshiro256PlusPlus,
    ) -> u32 {
        let Some(cluster) = cluster.map(|cluster| &self.clusters[cluster]) else {
            let drawn =
                (0..TRIES).map(|_| self.popularity.sample(generator) as u32).find(|&item| !taken.has(item));
            return drawn.unwrap_or_else(|| {
                let items = self.place.len() as u32;
                let start = generator.random_range(0..items);
                (start..items).chain(0..start).find(|&item| !taken.has(item)).unwrap_or(start)
            });
        };
        for _ in 0..TRIES {
            let item = cluster.items[cluster.popularity.sample(generator)];
            if !taken.has(item) {
                return item;
            }
        }
        let start = generator.random_range(0..cluster.items.len() as u32) as usize;
        let (before, after) = cluster.items.split_at(start);
        match after.iter().chain(before).find(|&&item| !taken.has(item)) {
            Some(&item) => item,
            None => self.draw(None, taken, generator),
        }
    }

    /// Place of an item of `cluster` in its preferred order when the order is entered at `start`.
    pub(super) fn place(&self, cluster: usize, item: u32, start: u32) -> u32 {
        let size = self.cluster_size(cluster);
        (self.place[item as usize] + size - start % size) % size
    }

    pub(super) fn cluster_size(&self, cluster: usize) -> u32 {
        self.clusters[cluster].items.len() as u32
    }

    /// Whether `item` belongs to `cluster`.
    pub(super) fn contains(&self, cluster: usize, item: u32) -> bool {
        self.clusters[cluster].items.get(self.place[item as usize] as usize) == Some(&item)
    }
}

fn alias(weights: Vec<u64>) -> Result<WeightedAliasIndex<u64>, DataError> {
    // Weights are between 1 and 2³², and there are fewer than 2³² of them: neither sum nor product overflows.
    WeightedAliasIndex::new(weights).map_err(|error| {
        let invalid: Invalid =
            ("synthetic", format!("items: the popularity weights cannot be drawn from ({error})"));
        DataError::config("data", invalid)
    })
}

/// The items the current user has, cleared in O(1).
pub(super) struct Taken {
    stamp: u32,
    stamps: Vec<u32>,
}

impl Taken {
    pub(super) fn new(items: usize) -> Self {
        Self { stamp: 0, stamps: vec![0; items] }
    }

    /// For the next user; there are fewer than 2³² users.
    pub(super) fn clear(&mut self) {
        self.stamp += 1;
    }

    pub(super) fn insert(&mut self, item: u32) {
        self.stamps[item as usize] = self.stamp;
    }

    pub(super) fn has(&self, item: u32) -> bool {
        self.stamps[item as usize] == self.stamp
    }
}
