//! The users, one after another.

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use super::catalogue::{Catalogue, Taken};
use super::power::inverse_power;
use super::{FEWEST_EVENTS, SyntheticConfig};
use crate::DataError;
use crate::random::{draw_to_front, generator};

/// First moment of the data: 2020-01-01, in Unix seconds.
const EPOCH: i64 = 1_577_836_800;
const DAY: i64 = 86_400;

/// The users of a synthetic data set with their items, oldest first. Memory: O(users + items), for any number of
/// interactions. See the module for the model.
pub struct Users {
    config: SyntheticConfig,
    seed: u64,
    activity: Vec<u32>,
    catalogue: Catalogue,
    taken: Taken,
    next: u32,
}

/// Makes users `0, 1, 2, …` with their items (rows of a catalogue of `config.items`), oldest first.
///
/// What a user gets depends on the configuration, the seed and the user's number only.
///
/// # Errors
///
/// A configuration that is not valid.
pub fn stream(config: &SyntheticConfig, seed: u64) -> Result<Users, DataError> {
    config
        .validate()
        .map_err(|(field, why)| DataError::config("data", ("synthetic", format!("{field}: {why}"))))?;
    Ok(Users {
        activity: activity(config, seed),
        catalogue: Catalogue::new(config, seed)?,
        taken: Taken::new(config.items),
        config: config.clone(),
        seed,
        next: 0,
    })
}

impl Iterator for Users {
    type Item = (u32, Vec<u32>);

    fn next(&mut self) -> Option<Self::Item> {
        let user = self.next;
        let events = *self.activity.get(user as usize)?;
        self.next += 1;
        let mut generator = generator(self.seed, "synthetic user", &user.to_le_bytes());
        let interests = self.interests(&mut generator);
        let mut drawn = self.draw(events, &interests, &mut generator);
        for &(cluster, _) in &interests {
            self.follow_order(cluster, &mut drawn, &mut generator);
        }
        Some((user, drawn.into_iter().map(|(_, item)| item).collect()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.activity.len() - self.next as usize;
        (left, Some(left))
    }
}

impl Users {
    /// Distinct clusters, each with the sum of the shares up to it; the last sum is 1.
    fn interests(&self, generator: &mut Xoshiro256PlusPlus) -> Vec<(usize, f64)> {
        let count = generator.random_range(1..=self.config.interests as u32) as usize;
        let mut clusters: Vec<usize> = Vec::with_capacity(count);
        while clusters.len() < count {
            let cluster = generator.random_range(0..self.config.clusters as u32) as usize;
            if !clusters.contains(&cluster) {
                clusters.push(cluster);
            }
        }
        let shares: Vec<f64> = clusters.iter().map(|_| 1.0 - generator.random::<f64>()).collect();
        let total: f64 = shares.iter().sum();
        let mut sum = 0.0;
        let add = |(cluster, share): (usize, f64)| {
            sum += share / total;
            (cluster, sum)
        };
        clusters.into_iter().zip(shares).map(add).collect()
    }

    /// Distinct items with the interest that led to each.
    fn draw(
        &mut self,
        events: u32,
        interests: &[(usize, f64)],
        generator: &mut Xoshiro256PlusPlus,
    ) -> Vec<(Option<usize>, u32)> {
        self.taken.clear();
        let mut drawn = Vec::with_capacity(events as usize);
        for _ in 0..events {
            let cluster = if generator.random::<f64>() < self.config.noise {
                None
            } else {
                let point: f64 = generator.random();
                interests
                    .iter()
                    .find(|(_, sum)| point < *sum)
                    .or(interests.last())
                    .map(|(cluster, _)| *cluster)
            };
            let item = self.catalogue.draw(cluster, &self.taken, generator);
            self.taken.insert(item);
            // An exhausted cluster sent the user elsewhere: that item has no place in the order of the cluster.
            drawn.push((cluster.filter(|&cluster| self.catalogue.contains(cluster, item)), item));
        }
        drawn
    }

    /// Puts the items of one interest into the preferred order, on the places in the sequence that the interest has.
    fn follow_order(
        &self,
        cluster: usize,
        drawn: &mut [(Option<usize>, u32)],
        generator: &mut Xoshiro256PlusPlus,
    ) {
        let size = self.catalogue.cluster_size(cluster);
        let start = generator.random_range(0..size);
        let mut keyed = Vec::new();
        for &(_, item) in drawn.iter().filter(|(of, _)| *of == Some(cluster)) {
            let follows = generator.random::<f64>() < self.config.order;
            let elsewhere = generator.random_range(0..size);
            let key = if follows { self.catalogue.place(cluster, item, start) } else { elsewhere };
            keyed.push((key, item));
        }
        keyed.sort_unstable();
        let slots = drawn.iter_mut().filter(|(of, _)| *of == Some(cluster));
        slots.zip(keyed).for_each(|((_, slot), (_, item))| *slot = item);
    }
}

/// How many events each user has; together exactly `config.interactions`.
fn activity(config: &SyntheticConfig, seed: u64) -> Vec<u32> {
    let (least, most) = (FEWEST_EVENTS as f64, (config.items / 2) as f64);
    let weights: Vec<f64> =
        (0..config.users).map(|rank| inverse_power(rank as f64 + 1.0, config.user_exponent)).collect();
    let wanted = |scale: f64, weight: f64| (scale * weight).clamp(least, most);
    let total = |scale: f64| weights.iter().map(|&weight| wanted(scale, weight)).sum::<f64>();
    // The total grows with the scale; 200 halvings take any interval down to neighbouring floats.
    let target = config.interactions as f64;
    let smallest = weights.last().copied().unwrap_or(1.0);
    let (mut low, mut high) = (0.0, most / smallest);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if total(middle) < target { low = middle } else { high = middle }
    }
    // Rounding the running sum instead of each number keeps the total exact and each number within 1 of its wish.
    let mut sum = 0.0;
    let mut given = 0;
    let by_rank: Vec<u32> = weights
        .iter()
        .map(|&weight| {
            sum += wanted(high, weight);
            let events = (sum + 0.5).floor() as u64 - given;
            given += events;
            events as u32
        })
        .collect();
    let mut ranks: Vec<usize> = (0..config.users).collect();
    draw_to_front(&mut ranks, config.users, &mut generator(seed, "synthetic activity", b""));
    ranks.into_iter().map(|rank| by_rank[rank]).collect()
}

/// Times of a user's events: a start within the first year, then gaps of up to two days.
pub(super) fn times(seed: u64, user: u32, events: usize) -> impl Iterator<Item = i64> {
    let mut generator = generator(seed, "synthetic time", &user.to_le_bytes());
    let mut time = EPOCH + generator.random_range(0..365 * DAY);
    (0..events).map(move |_| {
        let now = time;
        time += generator.random_range(1..=2 * DAY);
        now
    })
}
