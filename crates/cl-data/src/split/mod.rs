//! Splits: which interactions train a model, which select it, and which are looked at once, at the end.

mod assemble;
mod files;
mod global_time;
mod leave_one_out;
mod ratio;

use std::ops::Deref;

use serde::{Deserialize, Serialize};

pub use files::FilesSplit;
pub use global_time::GlobalTime;
pub use leave_one_out::LeaveOneOut;
pub use ratio::{By, RatioSplit};

use crate::{DataError, Ids, Interactions, Invalid, Sequences, Source, UserItems};

/// What becomes of held-out pairs whose user or item has no training pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unseen {
    /// They count: in the catalogue, and in the denominators of the metrics.
    #[default]
    Keep,
    /// The pairs are removed, and the users and items with them; a note says how many.
    Drop,
    /// The data is refused.
    Error,
}

macro_rules! part {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name(pub UserItems);

        impl Deref for $name {
            type Target = UserItems;

            fn deref(&self) -> &UserItems {
                &self.0
            }
        }
    };
}

part!(
    /// The pairs a model learns from.
    Train
);
part!(
    /// The pairs that stop training and choose between models. Everything that selects takes this type, so the test
    /// part cannot be passed to it.
    Validation
);
part!(
    /// The pairs that are ranked once, when nothing is left to choose.
    Test
);

/// What every user did in the parts before the test, oldest first, repeats kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// In the training part.
    pub train: Sequences,
    /// In the validation part, which follows the training part.
    pub validation: Sequences,
}

/// A data set, divided. The parts are disjoint, except where a data set that keeps repeated events
/// (`duplicates = "keep_all"`) has the same pair early and late; `notes` then says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// External user ids; rows of all parts.
    pub users: Ids,
    /// External item ids; the catalogue.
    pub items: Ids,
    /// Training pairs.
    pub train: Train,
    /// Validation pairs; empty if none were asked for.
    pub validation: Validation,
    /// Test pairs.
    pub test: Test,
    /// The events of the training and validation parts in the order in which they happened (without times, in that of
    /// the file, which a note says); `None` where the split does not look at it (published files, random shares).
    pub order: Option<Order>,
    /// Distinct users of the validation and test parts without any training pair, counted before `unseen = "drop"`
    /// removes them.
    pub unseen_users: usize,
    /// Distinct items likewise.
    pub unseen_items: usize,
    /// Sentences about what a reader of the results should know: users left out, repeats, removed pairs.
    pub notes: Vec<String>,
}

impl Split {
    /// How often each item stands in the training part: events where the split looks at their order, else pairs.
    #[must_use]
    pub fn train_counts(&self) -> Vec<u32> {
        match &self.order {
            Some(order) => order.train.item_counts(self.items.len()),
            None => self.train.item_counts(self.items.len()),
        }
    }

    /// How often a user stands in all parts: events where the split looks at their order, else pairs.
    #[must_use]
    pub fn history_length(&self, user: usize) -> usize {
        let before = match &self.order {
            Some(order) => order.train.of(user).len() + order.validation.of(user).len(),
            None => self.train.of(user).len() + self.validation.of(user).len(),
        };
        before + self.test.of(user).len()
    }
}

/// `n · share`, rounded half up.
fn rounded_share(n: usize, share: f64) -> usize {
    (n as f64 * share + 0.5).floor() as usize
}

/// A share of the data: at least 0 (or more than 0), and below 1.
fn check_share(field: &'static str, share: f64, zero_allowed: bool) -> Result<(), Invalid> {
    let (least, low) = if zero_allowed { ("[", share >= 0.0) } else { ("(", share > 0.0) };
    if low && share < 1.0 { Ok(()) } else { Err((field, format!("must be in {least}0, 1), got {share}"))) }
}

fn check_sum(validation: f64, test: f64) -> Result<(), Invalid> {
    if validation + test < 1.0 {
        return Ok(());
    }
    Err(("test", format!("validation + test must be below 1, got {validation} + {test}")))
}

/// What a split of distinct pairs does with repeats, which only `duplicates = "keep_all"` leaves in the data.
fn note_repeats(events: usize, pairs: usize) -> Option<String> {
    (events > pairs).then(|| {
        format!(
            "{} repeated events count once: this split divides distinct pairs, so that duplicates = \"keep_all\" \
             matters to the filters alone",
            events - pairs
        )
    })
}

/// The data of splits that divide it themselves.
fn whole<'a>(split: &'static str, source: &'a Source) -> Result<&'a Interactions, DataError> {
    match source {
        Source::Whole(whole) => Ok(whole),
        Source::Parts { .. } => Err(DataError::Unfit {
            split,
            needs: "one whole set",
            found: "the data comes in published parts",
            help: "write type = \"files\", or give the path of one file",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_half_up() {
        let rounded: Vec<usize> = [0, 1, 4, 5, 14, 15, 25].map(|n| rounded_share(n, 0.1)).to_vec();
        assert_eq!(rounded, [0, 0, 0, 1, 1, 2, 3]); // 0.5, 1.5 and 2.5 go up
    }

    #[test]
    fn shares_out_of_range_are_named() {
        assert_eq!(check_share("test", 1.0, false), Err(("test", "must be in (0, 1), got 1".into())));
        assert_eq!(
            check_share("validation", -0.1, true),
            Err(("validation", "must be in [0, 1), got -0.1".into()))
        );
        assert_eq!(
            check_share("validation", f64::NAN, true),
            Err(("validation", "must be in [0, 1), got NaN".into()))
        );
        assert_eq!(
            check_sum(0.5, 0.5),
            Err(("test", "validation + test must be below 1, got 0.5 + 0.5".into()))
        );
    }

    #[test]
    fn tables_are_read_with_defaults_and_unknown_keys_are_refused() {
        let ratio: RatioSplit = toml::from_str("by = \"global\"\nunseen = \"drop\"").unwrap();
        assert_eq!(ratio, RatioSplit { validation: 0.1, test: 0.2, by: By::Global, unseen: Unseen::Drop });
        let files: FilesSplit = toml::from_str("validation = 0.0").unwrap();
        assert_eq!(files, FilesSplit { validation: 0.0, unseen: Unseen::Keep });
        assert_eq!(
            toml::from_str::<LeaveOneOut>("").unwrap(),
            LeaveOneOut { validation: true, unseen: Unseen::Keep }
        );
        let unknown = |message: String| assert!(message.contains("unknown field `shar`"), "{message}");
        unknown(toml::from_str::<RatioSplit>("shar = 1").unwrap_err().to_string());
        unknown(toml::from_str::<FilesSplit>("shar = 1").unwrap_err().to_string());
        unknown(toml::from_str::<LeaveOneOut>("shar = 1").unwrap_err().to_string());
        unknown(toml::from_str::<GlobalTime>("shar = 1").unwrap_err().to_string());
    }
}
