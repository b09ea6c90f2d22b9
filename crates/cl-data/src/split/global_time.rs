//! One moment for all users: what comes after it is tested.

use serde::{Deserialize, Serialize};

use super::assemble::Drawn;
use super::{Split, Unseen, check_share, check_sum, rounded_share, whole};
use crate::{DataError, Interactions, Invalid, Source, UserItems};

/// A split along time, so that no model is trained on what happened after what it is tested on (Ji et al. 2023,
/// arXiv:2010.11060, on why this matters).
///
/// All N events are ordered by time, equal times by their order in the file. The last `N · test` (rounded half up) are
/// test, the `N · validation` before them validation. Users who only come later have no training pair and are counted
/// as unseen. Where repeated events are kept, a held-out pair may also be in an earlier part; `notes` says how many. The
/// seed does not matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlobalTime {
    /// Share for validation, in [0, 1); default 0.1.
    pub validation: f64,
    /// Share for test, in (0, 1); default 0.2.
    pub test: f64,
    /// What becomes of users and items without training pairs.
    pub unseen: Unseen,
}

impl Default for GlobalTime {
    fn default() -> Self {
        Self { validation: 0.1, test: 0.2, unseen: Unseen::Keep }
    }
}

impl GlobalTime {
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

    /// Cuts at two moments. O(events · log events).
    ///
    /// # Errors
    ///
    /// Published parts instead of a whole set; data without times, or whose times are positions in each user's own
    /// sequence; unseen users or items if `unseen` is [`Unseen::Error`].
    pub fn split(&self, source: &Source, _seed: u64) -> Result<Split, DataError> {
        self.validate().map_err(|invalid| DataError::config("split", invalid))?;
        let whole = whole("global_time", source)?;
        let unfit = |found| DataError::Unfit {
            split: "global_time",
            needs: "times on a clock that all users share",
            found,
            help: "write type = \"leave_one_out\" or \"ratio\", or name the time column",
        };
        let Some(time) = &whole.time else { return Err(unfit("the data has no times")) };
        if are_positions(whole, time) {
            return Err(unfit("the times are positions in each user's own sequence"));
        }
        let mut order: Vec<usize> = (0..whole.len()).collect();
        order.sort_by_key(|&event| time[event]);
        let test = whole.len() - rounded_share(whole.len(), self.test);
        let validation = test - rounded_share(whole.len(), self.validation).min(test);
        let pairs =
            |events: &[usize]| events.iter().map(|&event| (whole.user[event], whole.item[event])).collect();
        let mut drawn = Drawn {
            train: pairs(&order[..validation]),
            validation: pairs(&order[validation..test]),
            test: pairs(&order[test..]),
            notes: Vec::new(),
            in_order: true,
        };
        note_revisits(whole, &mut drawn);
        drawn.assemble(&whole.users, &whole.items, self.unseen, |_, _, _| None)
    }
}

/// Whether every user's times are 0, 1, 2, …, as the sequence reader gives them (and no clock does, unless all users
/// have a single event).
fn are_positions(whole: &Interactions, time: &[i64]) -> bool {
    let (offsets, order) = whole.by_user(Some(time));
    let positions = |row: &[usize]| {
        order[row[0]..row[1]].iter().zip(0..).all(|(&event, position)| time[event] == position)
    };
    offsets.windows(2).all(positions) && time.iter().any(|&time| time > 0)
}

/// Says how many held-out events repeat a pair of an earlier part, where the data keeps repeats. Training pairs are left
/// out of every ranking, validation pairs of that of the test.
fn note_revisits(whole: &Interactions, drawn: &mut Drawn) {
    let pairs = |part: &[(u32, u32)]| UserItems::from_pairs(whole.users.len(), part.iter().copied());
    let (train, validation) = (pairs(&drawn.train), pairs(&drawn.validation));
    let repeats = |earlier: &UserItems, &(user, item): &(u32, u32)| earlier.contains(user as usize, item);
    let in_train = drawn.validation.iter().chain(&drawn.test).filter(|pair| repeats(&train, pair)).count();
    let in_validation =
        drawn.test.iter().filter(|pair| !repeats(&train, pair) && repeats(&validation, pair)).count();
    let mut note = |revisits, held_out, earlier| {
        if revisits > 0 {
            drawn.notes.push(format!(
                "{revisits} {held_out} events repeat a {earlier} pair of the same user: a ranking without the \
                 history cannot find them"
            ));
        }
    };
    note(in_train, "held-out", "training");
    note(in_validation, "test", "validation");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ids;

    fn data(time: Option<Vec<i64>>) -> Source {
        Source::Whole(Interactions {
            users: Ids::range(2),
            items: Ids::range(10),
            user: vec![0, 1, 0, 1, 0, 1, 0, 1, 0, 1],
            item: (0..10).collect(),
            rating: None,
            time,
        })
    }

    #[test]
    fn the_latest_events_are_held_out_and_ties_go_by_file_order() {
        let time = vec![50, 10, 10, 10, 40, 40, 30, 30, 20, 20];
        let split = GlobalTime { validation: 0.2, test: 0.15, ..Default::default() }
            .split(&data(Some(time)), 1)
            .unwrap();
        // In time: 1 2 3 (10), 8 9 (20), 6 7 (30), 4 5 (40), 0 (50). 10 · 0.15 = 1.5 → 2 for test, 2 before them.
        let items = |part: &crate::UserItems| part.items().to_vec();
        assert_eq!(items(&split.test), [0, 5]);
        assert_eq!(items(&split.validation), [4, 7]);
        assert_eq!(items(&split.train), [2, 6, 8, 1, 3, 9]);
        assert_eq!(split.unseen_items, 4);
        let order = split.order.unwrap();
        assert_eq!((order.train.of(0), order.train.of(1)), (&[2, 8, 6][..], &[1, 3, 9][..]));
        assert_eq!((order.validation.of(0), order.validation.of(1)), (&[4][..], &[7][..]));
    }

    #[test]
    fn repeats_of_training_and_of_validation_pairs_are_noted_apart() {
        // In time: items 0 to 5 | 6, 0 | 6, 0, 0, 9 of one user.
        let item = vec![0, 1, 2, 3, 4, 5, 6, 0, 6, 0, 0, 9];
        let source = Source::Whole(Interactions {
            users: Ids::range(1),
            items: Ids::range(10),
            user: vec![0; 12],
            item,
            rating: None,
            time: Some((10..22).collect()),
        });
        let config = GlobalTime { validation: 2.0 / 12.0, test: 4.0 / 12.0, ..Default::default() };
        assert_eq!(
            config.split(&source, 1).unwrap().notes,
            [
                "3 held-out events repeat a training pair of the same user: a ranking without the history cannot find \
                 them",
                "1 test events repeat a validation pair of the same user: a ranking without the history cannot find \
                 them"
            ]
        );
    }

    #[test]
    fn data_without_a_common_clock_is_refused() {
        let message = |time| GlobalTime::default().split(&data(time), 1).unwrap_err().to_string();
        let expected = |found| {
            format!(
                "the global_time split needs times on a clock that all users share, but {found}; write \
                 type = \"leave_one_out\" or \"ratio\", or name the time column"
            )
        };
        assert_eq!(message(None), expected("the data has no times"));
        let positions = vec![0, 0, 1, 1, 2, 2, 3, 3, 4, 4];
        assert_eq!(message(Some(positions)), expected("the times are positions in each user's own sequence"));
    }
}
