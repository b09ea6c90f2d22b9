//! Which beginnings of the training sequences an item follows.

use std::sync::Arc;

use cl_core::rng::StreamRng;
use cl_data::Sequences;
use rand::RngExt;

use crate::input::SequenceInput;

/// Draws before the beginnings that may be drawn are listed.
const DRAWS: usize = 8;

/// For each item the beginnings of one event or more that it follows. 8 bytes an event.
pub(super) struct FollowedBy {
    train: Arc<Sequences>,
    /// The newest events of a beginning that are read.
    longest: usize,
    /// Those of item i are `beginnings[offsets[i]..offsets[i + 1]]`, by user and length.
    offsets: Vec<usize>,
    /// User and number of events.
    beginnings: Vec<(u32, u32)>,
}

impl FollowedBy {
    /// Of all sequences; O(events).
    pub(super) fn new(train: &SequenceInput) -> Self {
        let sequences = &train.sequences;
        // Each event but the first of a user, with the events before it.
        let events = || {
            (0..sequences.users()).flat_map(|user| {
                let followers = sequences.of(user).iter().enumerate().skip(1);
                followers.map(move |(events, &item)| (item as usize, (user as u32, events as u32)))
            })
        };
        let mut offsets = vec![0; train.items as usize + 1];
        events().for_each(|(item, _)| offsets[item + 1] += 1);
        for item in 0..train.items as usize {
            offsets[item + 1] += offsets[item];
        }
        let mut next = offsets.clone();
        let mut beginnings = vec![(0, 0); offsets[train.items as usize]];
        for (item, beginning) in events() {
            beginnings[next[item]] = beginning;
            next[item] += 1;
        }
        Self { train: sequences.clone(), longest: train.longest, offsets, beginnings }
    }

    /// What is read of a beginning.
    fn read(&self, (user, events): (u32, u32)) -> &[u32] {
        let events = &self.train.of(user as usize)[..events as usize];
        &events[events.len().saturating_sub(self.longest)..]
    }

    /// A beginning that `item` follows and that reads otherwise than `sequence`, each equally likely; `None` if there is
    /// none.
    pub(super) fn another(&self, item: u32, sequence: &[u32], rng: &mut StreamRng) -> Option<&[u32]> {
        let all = &self.beginnings[self.offsets[item as usize]..self.offsets[item as usize + 1]];
        if all.is_empty() {
            return None;
        }
        // Drawn until one is another: uniform over the others, as is a draw from their list.
        for _ in 0..DRAWS {
            let drawn = self.read(all[rng.random_range(0..all.len())]);
            if drawn != sequence {
                return Some(drawn);
            }
        }
        let others: Vec<&[u32]> =
            all.iter().map(|&beginning| self.read(beginning)).filter(|read| *read != sequence).collect();
        (!others.is_empty()).then(|| others[rng.random_range(0..others.len())])
    }
}
