//! A random share of the pairs, drawn per user or over all.

use serde::{Deserialize, Serialize};

use super::assemble::Drawn;
use super::{Split, Unseen, check_share, check_sum, note_repeats, rounded_share, whole};
use crate::random::{draw_to_front, generator};
use crate::{DataError, Interactions, Invalid, Source, UserItems};

/// Over what a share is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Over each user's distinct items.
    #[default]
    User,
    /// Over all distinct pairs; a user may lose all training items, and is then counted as unseen.
    Global,
}

/// A random split of a whole data set.
///
/// Of n pairs (a user's, or all), `n · test` rounded half up go to test and `n · validation` rounded half up to
/// validation. Per user, one item always stays in training: validation gives way first, then test. A repeated pair
/// counts once, and `notes` says how many repeats there were. Draws depend on the seed and external ids, not on the order
/// of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatioSplit {
    /// Share for validation, in [0, 1); default 0.1 (with `test` = 0.2 the 7:1:2 of Yu et al. 2022, arXiv:2112.08679).
    pub validation: f64,
    /// Share for test, in (0, 1); default 0.2.
    pub test: f64,
    /// Over each user's items or over all pairs; default `user`.
    pub by: By,
    /// What becomes of users and items without training pairs.
    pub unseen: Unseen,
}

impl Default for RatioSplit {
    fn default() -> Self {
        Self { validation: 0.1, test: 0.2, by: By::User, unseen: Unseen::Keep }
    }
}

impl RatioSplit {
    /// Checks the shares.
    ///
    /// # Errors
    ///
    /// The field that is out of range.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_share("validation", self.validation, true)?;
        check_share("test", self.test, false)?;
        check_sum(self.validation, self.test)
    }

    /// Draws the parts. O(events · log(events of a user)).
    ///
    /// # Errors
    ///
    /// Published parts instead of a whole set; unseen users or items if `unseen` is [`Unseen::Error`].
    pub fn split(&self, source: &Source, seed: u64) -> Result<Split, DataError> {
        self.validate().map_err(|invalid| DataError::config("split", invalid))?;
        let whole = whole("ratio", source)?;
        let pairs = whole.user_items();
        let mut drawn = match self.by {
            By::User => self.by_user(whole, &pairs, seed),
            By::Global => self.global(&pairs, seed),
        };
        drawn.notes.extend(note_repeats(whole.len(), pairs.len()));
        drawn.assemble(&whole.users, &whole.items, self.unseen, |_, _, _| None)
    }

    fn by_user(&self, whole: &Interactions, pairs: &UserItems, seed: u64) -> Drawn {
        let mut drawn = Drawn::default();
        for user in 0..pairs.users() {
            let mut items = pairs.of(user).to_vec();
            let spare = items.len().saturating_sub(1);
            let test = rounded_share(items.len(), self.test).min(spare);
            let validation = rounded_share(items.len(), self.validation).min(spare - test);
            let external = whole.users.external(user);
            draw_to_front(
                &mut items,
                test + validation,
                &mut generator(seed, "ratio split", external.as_bytes()),
            );
            let pair = |&item: &u32| (user as u32, item);
            drawn.test.extend(items[..test].iter().map(pair));
            drawn.validation.extend(items[test..test + validation].iter().map(pair));
            drawn.train.extend(items[test + validation..].iter().map(pair));
        }
        drawn
    }

    fn global(&self, pairs: &UserItems, seed: u64) -> Drawn {
        let mut pairs: Vec<(u32, u32)> = pairs.pairs().collect();
        let test = rounded_share(pairs.len(), self.test);
        let validation = rounded_share(pairs.len(), self.validation).min(pairs.len() - test);
        draw_to_front(&mut pairs, test + validation, &mut generator(seed, "ratio split", b""));
        let train = pairs.split_off(test + validation);
        let validation = pairs.split_off(test);
        Drawn { train, validation, test: pairs, ..Drawn::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ids;

    fn events(pairs: Vec<(u32, u32)>) -> Source {
        Source::Whole(Interactions {
            users: Ids::range(3),
            items: Ids::range(50),
            user: pairs.iter().map(|pair| pair.0).collect(),
            item: pairs.iter().map(|pair| pair.1).collect(),
            rating: None,
            time: None,
        })
    }

    /// 20, 3 and 1 items.
    fn pairs() -> Vec<(u32, u32)> {
        let user = |user, items| (0..items).map(move |item| (user, item + 10 * user));
        user(0, 20).chain(user(1, 3)).chain(user(2, 1)).collect()
    }

    #[test]
    fn each_user_gives_rounded_shares_and_keeps_one_item() {
        let split = RatioSplit::default().split(&events(pairs()), 5).unwrap();
        let sizes = |part: &crate::UserItems| (0..3).map(|user| part.of(user).len()).collect::<Vec<_>>();
        // 20 · 0.2 = 4 and 20 · 0.1 = 2; 3 · 0.2 = 0.6 → 1 and 3 · 0.1 = 0.3 → 0; a single item stays.
        assert_eq!(sizes(&split.test), [4, 1, 0]);
        assert_eq!(sizes(&split.validation), [2, 0, 0]);
        assert_eq!(sizes(&split.train), [14, 2, 1]);
        let greedy = RatioSplit { validation: 0.45, test: 0.5, ..Default::default() };
        let split = greedy.split(&events(pairs()), 5).unwrap();
        // 3 · 0.5 = 1.5 → 2 for test, then 3 · 0.45 = 1.35 → 1 for validation would be the last: validation gives way.
        assert_eq!(
            (split.test.of(1).len(), split.validation.of(1).len(), split.train.of(1).len()),
            (2, 0, 1)
        );
    }

    #[test]
    fn the_global_draw_has_the_exact_size() {
        let config = RatioSplit { by: By::Global, ..Default::default() };
        let split = config.split(&events(pairs()), 5).unwrap();
        // 24 pairs: 4.8 → 5 and 2.4 → 2.
        assert_eq!((split.test.len(), split.validation.len(), split.train.len()), (5, 2, 17));
    }

    #[test]
    fn order_of_events_does_not_matter_and_the_seed_does() {
        for by in [By::User, By::Global] {
            let config = RatioSplit { by, ..Default::default() };
            let split = config.split(&events(pairs()), 5).unwrap();
            let reversed = events(pairs().into_iter().rev().collect());
            assert_eq!(split, config.split(&reversed, 5).unwrap());
            assert_ne!(split.test, config.split(&events(pairs()), 6).unwrap().test);
        }
    }

    #[test]
    fn repeats_count_once_and_are_noted() {
        let repeated: Vec<(u32, u32)> = pairs().into_iter().chain(pairs().into_iter().take(3)).collect();
        for by in [By::User, By::Global] {
            let config = RatioSplit { by, ..Default::default() };
            let mut split = config.split(&events(repeated.clone()), 5).unwrap();
            assert_eq!(
                std::mem::take(&mut split.notes),
                [
                    "3 repeated events count once: this split divides distinct pairs, so that duplicates = \"keep_all\" \
                     matters to the filters alone"
                ]
            );
            assert_eq!(split, config.split(&events(pairs()), 5).unwrap());
        }
    }

    #[test]
    fn published_parts_are_refused() {
        let Source::Whole(whole) = events(pairs()) else { unreachable!() };
        let parts = Source::Parts { train: whole.clone(), validation: None, test: whole, files: None };
        assert_eq!(
            RatioSplit::default().split(&parts, 1).unwrap_err().to_string(),
            "the ratio split needs one whole set, but the data comes in published parts; write type = \"files\", or \
             give the path of one file"
        );
    }
}
