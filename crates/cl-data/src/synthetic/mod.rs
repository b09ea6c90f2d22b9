//! Made-up interactions with the shape of real ones: heavy tails, latent interests, noise, and order in time.
//!
//! How a user comes about (each from a generator of its own, so that users can be made in any order and written out
//! one by one):
//!
//! 1. Activity: the user of activity rank r (from 0) has about `c · (r + 1)^(−user_exponent)` events, at least 3 and
//!    at most half the catalogue; c is such that all users together have exactly `interactions`.
//! 2. Interests: between one and `interests` clusters of items, with random shares.
//! 3. Items: with probability `noise` from the whole catalogue by popularity, else from a cluster of the user by
//!    popularity; the item of popularity rank r has weight `(r + 1)^(−item_exponent)`. No item twice. A user who has
//!    seen a whole cluster goes on in the catalogue.
//! 4. Order: the items of a cluster have a preferred (circular) order. The user enters it at a random point and
//!    follows it, except that each item leaves its place with probability `1 − order`.

mod catalogue;
mod power;
mod stream;

use serde::{Deserialize, Serialize};

pub use stream::{Users, stream};

use crate::{DataError, Ids, Interactions, Invalid, filter};

/// Every user has at least this many events, so that leave-one-out can split all of them.
const FEWEST_EVENTS: usize = 3;

/// What a synthetic data set looks like.
///
/// The defaults make 2,000 users, 1,500 items and 40,000 interactions with something to learn: of a random test part
/// (seed 2024), ranking by popularity puts 8.5 % into the first ten, ranking by item neighbours 23.7 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticConfig {
    /// Number of users, at least 1.
    pub users: usize,
    /// Number of items, at least 6; those that nobody touches are not in the data.
    pub items: usize,
    /// Number of interactions, exactly; between `3 · users` and `users · items / 2`.
    pub interactions: usize,
    /// Number of latent interests, between 1 and `items`; each item belongs to one.
    pub clusters: usize,
    /// Most interests a user has, between 1 and `clusters`.
    pub interests: usize,
    /// Exponent of the power law of user activity over its rank, in [0, 4]; 0 = all equally active.
    pub user_exponent: f64,
    /// Exponent of the power law of item popularity over its rank, in [0, 4]; 0 = all equally popular.
    pub item_exponent: f64,
    /// Share of interactions that come from popularity alone, in [0, 1].
    pub noise: f64,
    /// Share of items that keep their place in the preferred order of their cluster, in [0, 1].
    pub order: f64,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            users: 2_000,
            items: 1_500,
            interactions: 40_000,
            clusters: 20,
            interests: 3,
            user_exponent: 0.6,
            item_exponent: 1.0,
            noise: 0.1,
            order: 0.8,
        }
    }
}

impl SyntheticConfig {
    /// Checks ranges and that the number of interactions can be reached.
    ///
    /// # Errors
    ///
    /// The first field whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), Invalid> {
        let Self { users, items, interactions, clusters, interests, .. } = *self;
        let between = |field, value: usize, least: usize, most: usize, what: &str| {
            let inside = (least..=most).contains(&value);
            let why =
                || (field, format!("must be between {least} and {what}{most}{}, got {value}", close(what)));
            if inside { Ok(()) } else { Err(why()) }
        };
        between("users", users, 1, crate::MAX_ROWS, "")?;
        between("items", items, 2 * FEWEST_EVENTS, crate::MAX_ROWS, "")?;
        between(
            "interactions",
            interactions,
            FEWEST_EVENTS * users,
            users * (items / 2),
            "users · items / 2 (",
        )?;
        between("clusters", clusters, 1, items, "items (")?;
        between("interests", interests, 1, clusters, "clusters (")?;
        let inside = |field, value: f64, most: f64| {
            let why = || (field, format!("must be in [0, {most}], got {value}"));
            if (0.0..=most).contains(&value) { Ok(()) } else { Err(why()) }
        };
        inside("user_exponent", self.user_exponent, 4.0)?;
        inside("item_exponent", self.item_exponent, 4.0)?;
        inside("noise", self.noise, 1.0)?;
        inside("order", self.order, 1.0)
    }
}

fn close(what: &str) -> &'static str {
    if what.is_empty() { "" } else { ")" }
}

/// The whole data set in memory: users and items numbered from 0, users one after another, oldest event first, with
/// times in seconds. Same seed, same bits, on every machine.
///
/// # Errors
///
/// A configuration that is not valid.
///
/// # Cost
///
/// O(users + items + interactions) time; 16 bytes an interaction.
pub fn interactions(config: &SyntheticConfig, seed: u64) -> Result<Interactions, DataError> {
    let users = stream(config, seed)?;
    let mut data = Interactions {
        users: Ids::range(config.users),
        items: Ids::range(config.items),
        user: Vec::with_capacity(config.interactions),
        item: Vec::with_capacity(config.interactions),
        rating: None,
        time: None,
    };
    let mut times = Vec::with_capacity(config.interactions);
    for (user, items) in users {
        data.user.extend(items.iter().map(|_| user));
        times.extend(stream::times(seed, user, items.len()));
        data.item.extend(items);
    }
    data.time = Some(times);
    // Items that nobody touched would be lost when the data is written and read again.
    filter::compact(&mut [&mut data]);
    Ok(data)
}

#[cfg(test)]
mod tests;
