//! The split that somebody published, with a validation part cut from its training part.

use serde::{Deserialize, Serialize};

use super::assemble::Drawn;
use super::{Split, Unseen, check_share, note_repeats, rounded_share};
use crate::random::{draw_to_front, generator};
use crate::{DataError, Interactions, Invalid, Overlap, Part, PartFiles, Source, UserItems};

/// Published train and test parts.
///
/// Of a user with n training items, `n · validation` rounded half up go to validation, but never the last one. They
/// are drawn by a generator that depends on the seed and the user's external id only, from the items in id order: the
/// order of lines and of items in a line does not matter. A pair that is repeated inside a part counts once, and `notes`
/// says how many repeats there were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilesSplit {
    /// Share of each user's training items in [0, 1); 0 = none, or the published validation file if there is one.
    /// Default 0.1.
    pub validation: f64,
    /// What becomes of users and items without training pairs.
    pub unseen: Unseen,
}

impl Default for FilesSplit {
    fn default() -> Self {
        Self { validation: 0.1, unseen: Unseen::Keep }
    }
}

impl FilesSplit {
    /// Checks the share.
    ///
    /// # Errors
    ///
    /// The field that is out of range.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_share("validation", self.validation, true)
    }

    /// Takes the parts as they are and cuts validation. O(events · log(events of a user)).
    ///
    /// # Errors
    ///
    /// A whole data set instead of parts; a pair in two parts; a share to cut although a validation part was
    /// published; unseen users or items if `unseen` is [`Unseen::Error`].
    pub fn split(&self, source: &Source, seed: u64) -> Result<Split, DataError> {
        self.validate().map_err(|invalid| DataError::config("split", invalid))?;
        let Source::Parts { train, validation, test, files } = source else {
            return Err(DataError::Unfit {
                split: "files",
                needs: "published parts (a folder with train and test files)",
                found: "the data is one whole set",
                help: "write type = \"ratio\", \"leave_one_out\" or \"global_time\"",
            });
        };
        if validation.is_some() && self.validation > 0.0 {
            let why = format!(
                "got {}, but the data has a validation file of its own; write validation = 0 to use it",
                self.validation
            );
            return Err(DataError::config("split", ("validation", why)));
        }
        check_disjoint(train, validation.as_ref(), test, files.as_ref())?;
        let mut drawn = Drawn::default();
        let pairs = train.user_items();
        for user in 0..pairs.users() {
            let mut items = pairs.of(user).to_vec();
            let cut = rounded_share(items.len(), self.validation).min(items.len().saturating_sub(1));
            if cut > 0 {
                let external = train.users.external(user);
                draw_to_front(&mut items, cut, &mut generator(seed, "files split", external.as_bytes()));
            }
            drawn.validation.extend(items[..cut].iter().map(|&item| (user as u32, item)));
            drawn.train.extend(items[cut..].iter().map(|&item| (user as u32, item)));
        }
        if let Some(validation) = validation {
            drawn.validation = validation.pairs().collect();
        }
        drawn.test = test.pairs().collect();
        let distinct = |part: &Interactions| part.user_items().len();
        let distinct = pairs.len() + validation.as_ref().map_or(0, distinct) + distinct(test);
        drawn.notes.extend(note_repeats(source.parts().map(Interactions::len).sum(), distinct));
        drawn.assemble(&train.users, &train.items, self.unseen, |part, user, item| {
            files.as_ref().and_then(|files| files.locate(part, user, item, 0))
        })
    }
}

/// Refuses the first pair, in file order, of a held-out part that an earlier part has.
fn check_disjoint(
    train: &Interactions,
    validation: Option<&Interactions>,
    test: &Interactions,
    files: Option<&PartFiles>,
) -> Result<(), DataError> {
    let mut earlier: Vec<(Part, UserItems)> = vec![(Part::Train, train.user_items())];
    for (part, data) in [(Part::Validation, validation), (Part::Test, Some(test))] {
        let Some(data) = data else { continue };
        for (user, item) in data.pairs() {
            let Some((first, _)) = earlier.iter().find(|(_, pairs)| pairs.contains(user as usize, item))
            else {
                continue;
            };
            let user = data.users.external(user as usize).into_owned();
            let item = data.items.external(item as usize).into_owned();
            let locate = |part| files.and_then(|files| files.locate(part, &user, &item, 0));
            let overlap = Overlap {
                first: locate(*first),
                second: locate(part),
                user: user.clone(),
                item: item.clone(),
                first_part: first.name(),
                second_part: part.name(),
            };
            return Err(DataError::Repeated(Box::new(overlap), "remove it from one of the two files"));
        }
        earlier.push((part, data.user_items()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ids;

    fn part(pairs: &[(u32, u32)]) -> Interactions {
        Interactions {
            users: Ids::range(3),
            items: Ids::range(40),
            user: pairs.iter().map(|pair| pair.0).collect(),
            item: pairs.iter().map(|pair| pair.1).collect(),
            rating: None,
            time: None,
        }
    }

    fn source(train: &[(u32, u32)]) -> Source {
        Source::Parts { train: part(train), validation: None, test: part(&[(0, 39)]), files: None }
    }

    #[test]
    fn shares_are_cut_per_user_and_never_the_last_item() {
        // 20 items · 0.1 = 2; 1 item: never; 4 items · 0.1 = 0.4, rounded to 0.
        let mut train: Vec<(u32, u32)> = (0..20).map(|item| (0, item)).collect();
        train.push((1, 5));
        train.extend((0..4).map(|item| (2, item)));
        let split = FilesSplit::default().split(&source(&train), 7).unwrap();
        let sizes: Vec<usize> = (0..3).map(|user| split.validation.of(user).len()).collect();
        assert_eq!(sizes, [2, 0, 0]);
        assert_eq!(split.train.len() + split.validation.len(), 25);
        assert!(split.validation.pairs().all(|(user, item)| !split.train.contains(user as usize, item)));
        let all = FilesSplit { validation: 0.99, ..Default::default() }.split(&source(&train), 7).unwrap();
        assert_eq!((0..3).map(|user| all.train.of(user).len()).collect::<Vec<_>>(), [1, 1, 1]);
        let none = FilesSplit { validation: 0.0, ..Default::default() }.split(&source(&train), 7).unwrap();
        assert!(none.validation.is_empty());
    }

    #[test]
    fn the_draw_depends_on_the_seed_and_not_on_the_order_of_events() {
        let train: Vec<(u32, u32)> = (0..30).map(|item| (0, item)).collect();
        let reversed: Vec<(u32, u32)> = train.iter().rev().copied().collect();
        let config = FilesSplit { validation: 0.2, ..Default::default() };
        let split = config.split(&source(&train), 1).unwrap();
        assert_eq!(split, config.split(&source(&reversed), 1).unwrap());
        assert_ne!(split.validation, config.split(&source(&train), 2).unwrap().validation);
    }

    #[test]
    fn repeats_inside_a_part_count_once_and_are_noted() {
        let train = [(0, 1), (0, 2), (0, 1)];
        let source = Source::Parts {
            train: part(&train),
            validation: Some(part(&[(1, 3), (1, 3)])),
            test: part(&[(0, 39), (0, 39), (0, 39)]),
            files: None,
        };
        let split = FilesSplit { validation: 0.0, ..Default::default() }.split(&source, 7).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (2, 1, 1));
        assert_eq!(
            split.notes,
            [
                "4 repeated events count once: this split divides distinct pairs, so that duplicates = \"keep_all\" \
                 matters to the filters alone"
            ]
        );
    }

    #[test]
    fn a_pair_in_two_parts_is_refused() {
        let error = FilesSplit::default().split(&source(&[(0, 1), (0, 39)]), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "found user `0` with item `39` in the test part, expected a pair that is not in the train part; \
             remove it from one of the two files"
        );
    }

    #[test]
    fn a_whole_set_is_refused() {
        let error = FilesSplit::default().split(&Source::Whole(part(&[(0, 1)])), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the files split needs published parts (a folder with train and test files), but the data is one whole \
             set; write type = \"ratio\", \"leave_one_out\" or \"global_time\""
        );
    }
}
