//! Sequences that the same item follows.

use std::sync::Arc;

use cl_core::encoder::Perturbs;
use cl_core::registry::Component;
use cl_core::views::{At, Drawn, Views};
use cl_data::Sequences;
use serde::{Deserialize, Serialize};

use super::followed_by::FollowedBy;
use crate::input::SequenceInput;

/// The pass that a sequence of the same target is contrasted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// One of its own, with other dropout (`us_x` in DuoRec's code, its default).
    #[default]
    Dropout,
    /// The objective's (`su` there).
    Objective,
}

/// `type = "same_target"`: each sequence against another beginning of a training sequence, its own user's or not, that the
/// same item follows.
///
/// A beginning has one event or more, of which the newest are read; all that read otherwise than the sequence are equally
/// likely. Where there is none, the sequence itself stands in, with other dropout. Without any dropout both choices of
/// `against` are the same.
///
/// # Cost
///
/// 8 bytes for each training event, and a few draws for each sequence of a batch.
///
/// # Source
///
/// Qiu et al. 2022, DuoRec (arXiv 2110.05730), section 4.2. **Differs**: that code leaves out the instance
/// itself alone, so that one that reads the same may be drawn. Its `us`, which contrasts with both, would be two contrasts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SameTargetConfig {
    /// The pass that it is contrasted with.
    pub against: Against,
}

impl Component<dyn Views<SequenceInput>> for SameTargetConfig {
    const NAME: &'static str = "same_target";
    const SUMMARY: &'static str = "another sequence that the same item follows (DuoRec, Qiu et al. 2022)";

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        Box::new(SameTarget { against: self.against, followed_by: None })
    }
}

struct SameTarget {
    against: Against,
    /// `None` before `prepare`.
    followed_by: Option<FollowedBy>,
}

impl Views<SequenceInput> for SameTarget {
    fn perturbs(&self) -> Perturbs {
        Perturbs { structure: true, ..Perturbs::default() }
    }

    fn prepare(&mut self, train: &SequenceInput) {
        self.followed_by = Some(FollowedBy::new(train));
    }

    /// # Panics
    ///
    /// Before `prepare`, or if it is not said which item follows each sequence.
    fn draw(&mut self, clean: &SequenceInput, at: At) -> Drawn<SequenceInput> {
        let Some(followed_by) = &self.followed_by else {
            panic!("what items follow is not known before `prepare`")
        };
        let (sequences, next) = (&clean.sequences, &clean.next);
        let count = sequences.users();
        assert_eq!(next.len(), count, "{count} sequences are followed by {} items", next.len());
        let key = at.step_key().child("b");
        let others = (0..count).map(|at| match sequences.of(at) {
            [] => &[],
            sequence => followed_by.another(next[at], sequence, &mut key.rng(at as u32)).unwrap_or(sequence),
        });
        let b = Arc::new(Sequences::from_rows(others));
        let a = match self.against {
            Against::Dropout => clean.with_other_dropout("a"),
            Against::Objective => clean.clone(),
        };
        Drawn {
            objective: clean.clone(),
            a,
            b: SequenceInput { sequences: b, ..clean.with_other_dropout("b") },
        }
    }
}
