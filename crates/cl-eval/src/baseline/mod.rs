//! Opponents that need no training loop: popularity, ItemKNN, EASE.
//!
//! Each has a config with the keys of an experiment file, and `fit(train, items)` gives a
//! [`Scorer`](crate::Scorer) to hand to [`rank`](crate::rank()). Scores of a user's own training items are
//! ordinary scores; pass the training items as a mask.

mod ease;
mod item_knn;
mod popularity;
mod tiles;

pub use ease::{Ease, EaseConfig};
pub use item_knn::{ItemKnn, ItemKnnConfig, NeighboursOf, Similarity};
pub use popularity::{Popularity, PopularityConfig};

use cl_data::UserItems;

/// Why a baseline could not be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// A setting is out of range.
    #[error("{field}: {message}")]
    Setting {
        /// Name of the setting.
        field: &'static str,
        /// What was found and what is allowed.
        message: String,
    },
    /// The training data name an item that the catalogue does not have.
    #[error(
        "the training data name item {item}, and the catalogue has {items} items: ids must be below {items}"
    )]
    ItemOutOfRange {
        /// The largest item id found.
        item: u32,
        /// Number of items in the catalogue.
        items: usize,
    },
    /// A dense item–item matrix would not fit into the memory that was granted.
    #[error(
        "EASE on {items} items takes {needed_gib:.1} GiB of memory at its peak, and memory_limit_gib is \
         {limit_gib}: raise memory_limit_gib if the machine has that much, drop rare items (k_core), or use \
         item_knn, which is sparse"
    )]
    TooManyItems {
        /// Number of items in the catalogue.
        items: usize,
        /// Peak memory of the fit, GiB.
        needed_gib: f64,
        /// The granted memory, GiB.
        limit_gib: f64,
    },
    /// The regularised item–item matrix could not be inverted.
    #[error(
        "EASE: the item-item matrix plus regularization {regularization} is not positive definite in double \
         precision: raise regularization"
    )]
    NotPositiveDefinite {
        /// λ as it was set.
        regularization: f64,
    },
}

/// Checks a config and the training items before a fit.
fn check(
    settings: Result<(), (&'static str, String)>,
    train: &UserItems,
    items: usize,
) -> Result<(), BaselineError> {
    settings.map_err(|(field, message)| BaselineError::Setting { field, message })?;
    match train.items().iter().max() {
        Some(&item) if item as usize >= items => Err(BaselineError::ItemOutOfRange { item, items }),
        _ => Ok(()),
    }
}

/// The users of every item: the same pairs, rows and columns swapped.
fn users_of_items(train: &UserItems, items: usize) -> UserItems {
    UserItems::from_pairs(items, train.pairs().map(|(user, item)| (item, user)))
}

/// The same few interactions for the tests of this module: `[[0, 1, 2], [0, 1], [1, 2], [3]]`.
#[cfg(test)]
fn example() -> UserItems {
    let pairs = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 1), (2, 2), (3, 3)];
    UserItems::from_pairs(4, pairs.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_outside_the_catalogue_are_an_error() {
        let error = PopularityConfig::default().fit(&example(), 3).unwrap_err();
        assert_eq!(error, BaselineError::ItemOutOfRange { item: 3, items: 3 });
    }

    #[test]
    fn transposed_pairs() {
        let users = users_of_items(&example(), 5);
        assert_eq!((users.of(1), users.of(3), users.of(4)), (&[0, 1, 2][..], &[3][..], &[][..]));
    }
}
