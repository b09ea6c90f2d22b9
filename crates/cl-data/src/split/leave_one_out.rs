//! Each user's last event is tested, the one before it validates.

use serde::{Deserialize, Serialize};

use super::assemble::Drawn;
use super::{Split, Unseen, whole};
use crate::{DataError, Invalid, Source};

/// Leave one out in time order, the usual split for sequences (Kang and McAuley 2018, arXiv:1808.09781).
///
/// Events of a user are ordered by time, equal times (or all, if the data has no times) by their order in the file.
/// Users with fewer than 3 events stay in training as a whole; `notes` says how many they are. Where repeated events
/// are kept, a held-out pair may also be in training; `notes` says how many. The seed does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaveOneOut {
    /// Whether the second to last event becomes validation (default) or stays in training.
    pub validation: bool,
    /// What becomes of items without training pairs.
    pub unseen: Unseen,
}

impl Default for LeaveOneOut {
    fn default() -> Self {
        Self { validation: true, unseen: Unseen::Keep }
    }
}

/// Fewer events than this do not leave anything to train on after two are held out.
const FEWEST_EVENTS: usize = 3;

impl LeaveOneOut {
    /// Every value is valid.
    ///
    /// # Errors
    ///
    /// None.
    pub fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Cuts the ends of the sequences. O(events · log(events of a user)).
    ///
    /// # Errors
    ///
    /// Published parts instead of a whole set; unseen items if `unseen` is [`Unseen::Error`].
    pub fn split(&self, source: &Source, _seed: u64) -> Result<Split, DataError> {
        let whole = whole("leave_one_out", source)?;
        let sequences = whole.sequences();
        let mut drawn = Drawn { in_order: true, ..Drawn::default() };
        let (mut short, mut revisits, mut validation_revisits) = (0, 0, 0);
        for user in 0..sequences.users() {
            let items = sequences.of(user);
            let pair = |&item: &u32| (user as u32, item);
            if items.len() < FEWEST_EVENTS {
                short += usize::from(!items.is_empty());
                drawn.train.extend(items.iter().map(pair));
                continue;
            }
            let (test, before) = (&items[items.len() - 1..], &items[..items.len() - 1]);
            revisits += usize::from(before.contains(&test[0]));
            let cut = before.len() - usize::from(self.validation);
            let (train, validation) = before.split_at(cut);
            validation_revisits += usize::from(validation.iter().any(|item| train.contains(item)));
            drawn.test.extend(test.iter().map(pair));
            drawn.validation.extend(validation.iter().map(pair));
            drawn.train.extend(train.iter().map(pair));
        }
        if whole.time.is_none() {
            drawn
                .notes
                .push("the data has no times: the order in the file is taken as the order in time".into());
        }
        if short > 0 {
            drawn
                .notes
                .push(format!("{short} users have fewer than {FEWEST_EVENTS} events and are not tested"));
        }
        for (revisits, part) in [(revisits, "test"), (validation_revisits, "validation")] {
            if revisits > 0 {
                drawn.notes.push(format!(
                    "{revisits} users have their {part} item in their own history already: a ranking without the \
                     history cannot find it"
                ));
            }
        }
        drawn.assemble(&whole.users, &whole.items, self.unseen, |_, _, _| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ids, Interactions};

    fn source(time: Option<Vec<i64>>) -> Source {
        // User 0: items 0, 1, 2, 3; user 1: items 4, 5; user 2: items 6, 7, 6.
        Source::Whole(Interactions {
            users: Ids::range(4),
            items: Ids::range(8),
            user: vec![0, 0, 0, 0, 1, 1, 2, 2, 2],
            item: vec![0, 1, 2, 3, 4, 5, 6, 7, 6],
            rating: None,
            time,
        })
    }

    #[test]
    fn the_ends_are_cut_in_time_order() {
        let split = LeaveOneOut::default().split(&source(Some(vec![9, 1, 5, 5, 0, 0, 1, 2, 3])), 1).unwrap();
        // User 0 in time order: 1, 2, 3, 0.
        assert_eq!(
            (split.train.of(0), split.validation.of(0), split.test.of(0)),
            (&[1, 2][..], &[3][..], &[0][..])
        );
        assert_eq!((split.train.of(1), split.test.of(1)), (&[4, 5][..], &[][..]));
        assert_eq!(
            (split.train.of(2), split.validation.of(2), split.test.of(2)),
            (&[6][..], &[7][..], &[6][..])
        );
        assert_eq!(
            split.notes,
            [
                "1 users have fewer than 3 events and are not tested",
                "1 users have their test item in their own history already: a ranking without the history cannot \
                 find it"
            ]
        );
        assert_eq!((split.unseen_users, split.unseen_items), (0, 3)); // 0, 3 and 7
        let order = split.order.unwrap();
        assert_eq!((order.train.of(0), order.validation.of(0)), (&[1, 2][..], &[3][..]));
        assert_eq!((order.train.of(1), order.validation.of(1)), (&[4, 5][..], &[][..]));
    }

    #[test]
    fn validation_items_that_come_back_are_noted() {
        let Source::Whole(whole) = source(None) else { unreachable!() };
        let whole = Interactions { item: vec![0, 1, 0, 3, 4, 5, 6, 6, 7], ..whole };
        let split = LeaveOneOut::default().split(&Source::Whole(whole), 1).unwrap();
        assert_eq!(
            split.notes[2..],
            [
                "2 users have their validation item in their own history already: a ranking without the history \
                 cannot find it"
            ]
        );
    }

    #[test]
    fn without_times_the_file_order_counts_and_is_noted() {
        let config = LeaveOneOut { validation: false, ..Default::default() };
        let split = config.split(&source(None), 1).unwrap();
        assert_eq!((split.train.of(0), split.test.of(0)), (&[0, 1, 2][..], &[3][..]));
        assert!(split.validation.is_empty());
        assert_eq!(
            split.notes[0],
            "the data has no times: the order in the file is taken as the order in time"
        );
    }
}
