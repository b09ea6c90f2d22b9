//! Training data of the sequence family: what comes next.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use cl_core::sampling::{BatchNegatives, NegativeSampler, Owners, Sampling};
use cl_core::source::{Batch, Group, Pairing, Past, Source, Tables, Targets};
use cl_core::views::At;
use cl_core::{Request, Rows, StreamKey};
use cl_data::{Sequences, UserItems};

use crate::input::SequenceInput;
use crate::masking::Masking;
use crate::order::batches;

/// What an instance of the training data is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Instances {
    /// The newest events of a user, one instance a user (SASRec, S3-Rec).
    #[default]
    Windows,
    /// Every beginning of a user's events, from two events on (RecBole, DuoRec).
    Prefixes,
    /// The newest events of a user, some of them masked; these are foretold, from the states of their masks (BERT4Rec).
    Masked(Masking),
}

/// Training data that cannot be sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceError {
    /// No user has two events, one to foretell the other.
    Empty,
    /// This user has every item that could be drawn, so that there is no negative to sample.
    NoNegative {
        /// The user's row.
        user: usize,
        /// Number of items.
        items: usize,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                f.write_str("no user has two events in the training part, one to foretell the other")
            }
            Self::NoNegative { user, items } => write!(
                f,
                "the user of row {user} has all of the {items} items that could be drawn, so that no negative can be \
                 sampled; remove the user or use an objective without negatives"
            ),
        }
    }
}

impl std::error::Error for SourceError {}

/// How batches are made of sequences.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Instances in a batch.
    pub batch_size: usize,
    /// The newest events that are read.
    pub max_length: usize,
    /// What an instance is.
    pub instances: Instances,
    /// Which of its events are foretold.
    pub targets: Targets,
    /// The law of the negatives, if they will be sampled.
    pub negatives: Option<Sampling>,
    /// Whether instances of similar length share a batch, batches in random order; else any do.
    pub similar_lengths: bool,
}

/// Each user's items in training.
struct Taken(UserItems);

impl Owners for Taken {
    fn owners(&self) -> usize {
        self.0.users()
    }

    fn items_of(&self, owner: usize) -> &[u32] {
        self.0.of(owner)
    }
}

/// Batches over sequences; a clone shares them. Negatives are items that the user has not in training.
#[derive(Debug, Clone)]
pub struct SequenceSource {
    train: Arc<Sequences>,
    whole: Arc<Sequences>,
    items: u32,
    /// User and number of events of each instance.
    instances: Arc<[(u32, u32)]>,
    batching: Batching,
    negatives: Option<NegativeSampler>,
    /// The instances of each batch of the epoch.
    order: Option<(StreamKey, Vec<Arc<[u32]>>)>,
}

/// Users that are encoded at once for ranking.
const TOGETHER: usize = 1024;

impl SequenceSource {
    /// Batches of the training part. `whole` has the events of the validation part behind those of the training part.
    ///
    /// # Errors
    ///
    /// No user with two events; with `batching.negatives`, a user who has every item that could be drawn.
    ///
    /// # Panics
    ///
    /// If the two have different numbers of users.
    pub fn new(
        train: Arc<Sequences>,
        whole: Arc<Sequences>,
        items: usize,
        batching: Batching,
    ) -> Result<Self, SourceError> {
        let users = train.users();
        assert_eq!(users, whole.users(), "{users} users in training, {} in all", whole.users());
        let pairs = (0..users).flat_map(|user| train.of(user).iter().map(move |&item| (user as u32, item)));
        let taken = UserItems::from_pairs(users, pairs);
        let instances = (0..users as u32).flat_map(|user| {
            let events = train.of(user as usize).len() as u32;
            let first = match batching.instances {
                Instances::Windows | Instances::Masked(_) => events.max(2),
                Instances::Prefixes => 2,
            };
            (first..=events).map(move |events| (user, events))
        });
        let instances: Arc<[(u32, u32)]> = instances.collect();
        if instances.is_empty() {
            return Err(SourceError::Empty);
        }
        let mut counts = vec![0; items];
        (0..users).flat_map(|user| train.of(user)).for_each(|&item| counts[item as usize] += 1);
        let negatives = batching
            .negatives
            .map(|sampling| NegativeSampler::new(sampling, &counts, Arc::new(Taken(taken))))
            .transpose()
            .map_err(|user| SourceError::NoNegative { user, items })?;
        Ok(Self { train, whole, items: items as u32, instances, batching, negatives, order: None })
    }

    /// A batch's instance `at`: its user, what is read, and which of its states foretell which item.
    fn instance(&self, at: u32, instance: u32, key: StreamKey) -> Instance<'_> {
        let (user, events) = self.instances[instance as usize];
        let events = &self.train.of(user as usize)[..events as usize];
        let longest = self.batching.max_length;
        if let Instances::Masked(masking) = self.batching.instances {
            let events = &events[events.len().saturating_sub(longest)..];
            let masked = masking.draw(events.len(), key.child("mask"), at);
            let mut read = events.to_vec();
            masked.iter().for_each(|&place| read[place] = self.items);
            let foretold = masked.into_iter().map(|place| (place, events[place])).collect();
            return Instance { user, read: read.into(), foretold };
        }
        let window = &events[(events.len() - 1).saturating_sub(longest)..];
        let (read, next) = (&window[..window.len() - 1], &window[1..]);
        let first = match self.batching.targets {
            Targets::All => 0,
            Targets::Last => read.len() - 1,
        };
        let foretold = (first..read.len()).map(|place| (place, next[place])).collect();
        Instance { user, read: read.into(), foretold }
    }

    /// All instances of a batch.
    fn instances<'a>(
        &'a self,
        instances: &'a [u32],
        key: StreamKey,
    ) -> impl Iterator<Item = Instance<'a>> + 'a {
        (0..).zip(instances).map(move |(at, &instance)| self.instance(at, instance, key))
    }

    /// How many events of an instance are read.
    fn length(&self, instance: u32) -> u32 {
        let (_, events) = self.instances[instance as usize];
        let read = match self.batching.instances {
            Instances::Windows | Instances::Prefixes => events - 1,
            Instances::Masked(_) => events,
        };
        read.min(self.batching.max_length as u32)
    }

    /// The instances of a batch.
    fn chosen(&mut self, at: At) -> Arc<[u32]> {
        let key = at.epoch_key().child("instances");
        if self.order.as_ref().is_none_or(|(of, _)| *of != key) {
            let length: &dyn Fn(u32) -> u32 = &|instance| self.length(instance);
            let similar = self.batching.similar_lengths.then_some(length);
            self.order = Some((key, batches(key, self.instances.len(), self.batching.batch_size, similar)));
        }
        let batch = self.order.as_ref().and_then(|(_, batches)| batches.get(at.step as usize));
        batch.cloned().unwrap_or_else(|| [].into())
    }
}

/// What a batch makes of an instance.
struct Instance<'a> {
    user: u32,
    read: Cow<'a, [u32]>,
    /// A place of what is read, and the item that its state foretells.
    foretold: Vec<(usize, u32)>,
}

impl Source for SequenceSource {
    type Input = SequenceInput;

    fn everything(&self) -> SequenceInput {
        SequenceInput {
            sequences: self.train.clone(),
            items: self.items,
            longest: self.batching.max_length,
            next: [].into(),
            dropout: None,
        }
    }

    fn steps(&self) -> usize {
        self.instances.len().div_ceil(self.batching.batch_size)
    }

    fn batch(&mut self, at: At, negatives: usize) -> Batch {
        let instances = self.chosen(at);
        let first = self.items + instances.len() as u32;
        let key = at.step_key();
        let (mut anchors, mut positives, mut users) = (Vec::new(), Vec::new(), Vec::new());
        let mut event = 0;
        for Instance { user, read, foretold } in self.instances(&instances, key) {
            for (place, item) in foretold {
                anchors.push(first + event + place as u32);
                positives.push(item);
                users.push(user);
            }
            event += read.len() as u32;
        }
        let sampler = self.negatives.as_ref();
        let negatives = BatchNegatives::new(sampler, key.child("negatives"), users.into(), negatives, 0);
        let [anchors, positives] = [anchors, positives].map(|rows| Rows::List(rows.into()));
        Batch { anchors, positives, negatives, instances, key }
    }

    fn clean(&self, batch: &Batch) -> SequenceInput {
        let instances: Vec<_> = self.instances(&batch.instances, batch.key).collect();
        let read = instances.iter().map(|instance| instance.read.as_ref());
        let input = SequenceInput::newest(read, self.batching.max_length, self.items);
        let next = instances.iter().filter_map(|instance| instance.foretold.last());
        SequenceInput {
            next: next.map(|&(_, item)| item).collect(),
            dropout: Some(batch.key.child("dropout")),
            ..input
        }
    }

    /// The same pass: items are bare in it, and a sequence has no parameters of its own.
    fn layer_zero(&self, clean: &SequenceInput) -> SequenceInput {
        clean.clone()
    }

    fn catalogue(&self) -> Range<u32> {
        0..self.items
    }

    fn items_are_a_table(&self) -> bool {
        true
    }

    /// One group: the sequences of the batch, known by their users.
    fn groups(&self, batch: &Batch, _pairing: Pairing) -> Vec<Group> {
        let everyone = self.items..self.items + batch.instances.len() as u32;
        let user = |&instance: &u32| self.instances[instance as usize].0;
        let ids = batch.instances.iter().map(user).collect();
        let origins = batch.instances.clone();
        vec![Group { name: "sequence", rows: everyone.clone().collect(), ids, everyone, origins }]
    }

    /// Instances of different users that the same item follows (the positives of DuoRec).
    fn related(&self, anchor: u32, key: u32) -> Option<bool> {
        let [(one, first), (other, second)] = [anchor, key].map(|instance| self.instances[instance as usize]);
        let next = |user: u32, events: u32| self.train.of(user as usize).get(events as usize - 1);
        (one != other).then(|| next(one, first) == next(other, second))
    }

    /// What the instances read, without a mask or dropout.
    fn again(&self, origins: &[u32]) -> Request<SequenceInput> {
        let masked = matches!(self.batching.instances, Instances::Masked(_));
        let read = origins.iter().map(|&instance| {
            let (user, events) = self.instances[instance as usize];
            &self.train.of(user as usize)[..events as usize - usize::from(!masked)]
        });
        let input = SequenceInput::newest(read, self.batching.max_length, self.items);
        let rows = Rows::Range(input.numbering().wholes());
        Request { input, rows }
    }

    /// The state after a user's newest event (of a user without events, that after one unknown event), or with masked
    /// instances the state of a mask behind the newest event.
    fn tables(&self, past: Past) -> Tables<SequenceInput> {
        let known = match past {
            Past::Train => &self.train,
            Past::TrainAndValidation => &self.whole,
        };
        let masked = matches!(self.batching.instances, Instances::Masked(_));
        let read = |user: usize| -> Cow<'_, [u32]> {
            match known.of(user) {
                events if masked || events.is_empty() => [events, &[self.items]].concat().into(),
                events => events.into(),
            }
        };
        let users: Vec<usize> = (0..known.users()).collect();
        let users = users.chunks(TOGETHER).map(|users| {
            let read: Vec<_> = users.iter().map(|&user| read(user)).collect();
            let read = read.iter().map(Cow::as_ref);
            let input = SequenceInput::newest(read, self.batching.max_length, self.items);
            let mut event = 0;
            let last = (0..users.len()).map(|sequence| {
                event += input.sequences.of(sequence).len() as u32;
                input.numbering().state(event - 1)
            });
            let rows = Rows::List(last.collect());
            Request { input, rows }
        });
        let nobody = SequenceInput::newest([], self.batching.max_length, self.items);
        Tables {
            users: users.collect(),
            items: vec![Request { input: nobody, rows: Rows::Range(0..self.items) }],
        }
    }

    fn past_matters(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCHING: Batching = Batching {
        batch_size: 2,
        max_length: 3,
        instances: Instances::Windows,
        targets: Targets::All,
        negatives: Some(Sampling::Uniform),
        similar_lengths: false,
    };

    fn sequences(rows: &[&[u32]]) -> Arc<Sequences> {
        Arc::new(Sequences::from_rows(rows))
    }

    fn source(batching: Batching) -> SequenceSource {
        let train = sequences(&[&[0, 1, 2, 3, 4], &[5, 6], &[7], &[], &[8, 8, 2]]);
        let whole = sequences(&[&[0, 1, 2, 3, 4, 9], &[5, 6], &[7, 1], &[3], &[8, 8, 2, 8]]);
        SequenceSource::new(train, whole, 10, batching).unwrap()
    }

    fn at(epoch: u64, step: u64) -> At {
        At { key: StreamKey::root(2), epoch, step }
    }

    /// What was read and what was to be foretold, of every instance of an epoch, sorted.
    fn epoch(batching: Batching) -> Vec<(Vec<u32>, Vec<u32>)> {
        let mut source = source(batching);
        let mut all = Vec::new();
        for step in 0..source.steps() as u64 {
            let batch = source.batch(at(1, step), 1);
            let input = source.clean(&batch);
            let (anchors, positives): (Vec<u32>, Vec<u32>) =
                (batch.anchors.iter().collect(), batch.positives.iter().collect());
            let (mut event, mut used) = (0, 0);
            for sequence in 0..input.sequences.users() {
                let read = input.sequences.of(sequence);
                let states =
                    input.numbering().state(event)..input.numbering().state(event + read.len() as u32);
                let own = anchors[used..].iter().take_while(|row| states.contains(row)).count();
                // Whatever is foretold, the last state foretells the last target.
                assert_eq!(anchors[used + own - 1], states.end - 1);
                assert_eq!(input.next[sequence], positives[used + own - 1]);
                all.push((read.to_vec(), positives[used..used + own].to_vec()));
                (event, used) = (event + read.len() as u32, used + own);
            }
            assert_eq!((used, batch.negatives.len()), (anchors.len(), anchors.len()));
        }
        all.sort();
        all
    }

    #[test]
    fn windows_and_prefixes_and_their_targets() {
        let rows = |rows: &[(&[u32], &[u32])]| -> Vec<(Vec<u32>, Vec<u32>)> {
            rows.iter().map(|(read, next)| (read.to_vec(), next.to_vec())).collect()
        };
        let windows: [(&[u32], &[u32]); 3] = [(&[1, 2, 3], &[2, 3, 4]), (&[5], &[6]), (&[8, 8], &[8, 2])];
        assert_eq!(epoch(BATCHING), rows(&windows));
        let last: [(&[u32], &[u32]); 3] = [(&[1, 2, 3], &[4]), (&[5], &[6]), (&[8, 8], &[2])];
        assert_eq!(epoch(Batching { targets: Targets::Last, ..BATCHING }), rows(&last));
        let prefixes: [(&[u32], &[u32]); 7] = [
            (&[0], &[1]),
            (&[0, 1], &[2]),
            (&[0, 1, 2], &[3]),
            (&[1, 2, 3], &[4]),
            (&[5], &[6]),
            (&[8], &[8]),
            (&[8, 8], &[2]),
        ];
        let batching = Batching { instances: Instances::Prefixes, targets: Targets::Last, ..BATCHING };
        assert_eq!(epoch(batching), rows(&prefixes));
    }

    /// The same instances, whatever the batches.
    #[test]
    fn similar_lengths_change_who_shares_a_batch_alone() {
        for instances in [Instances::Windows, Instances::Prefixes] {
            let batching = Batching { instances, batch_size: 1, ..BATCHING };
            let mixed = epoch(batching);
            assert_eq!(epoch(Batching { similar_lengths: true, ..batching }), mixed);
            assert_eq!(epoch(Batching { similar_lengths: true, batch_size: 2, ..batching }), mixed);
        }
        // Reads of 1, 1, 1, 2, 2, 3 and 3 events (all in one pool), so that four of the batches are of one length.
        let batching = Batching { instances: Instances::Prefixes, similar_lengths: true, ..BATCHING };
        let mut source = source(batching);
        let mut found = Vec::new();
        for step in 0..source.steps() as u64 {
            let batch = source.batch(at(1, step), 0);
            let input = source.clean(&batch);
            found.push(
                (0..input.sequences.users()).map(|at| input.sequences.of(at).len()).collect::<Vec<_>>(),
            );
        }
        found.sort();
        assert_eq!(found, [vec![1, 1], vec![1, 2], vec![2, 3], vec![3]]);
    }

    #[test]
    fn everything_is_the_training_part_at_its_full_length() {
        let everything = source(BATCHING).everything();
        assert_eq!(everything.sequences, sequences(&[&[0, 1, 2, 3, 4], &[5, 6], &[7], &[], &[8, 8, 2]]));
        assert_eq!((everything.items, everything.longest, everything.dropout), (10, 3, None));
        assert!(everything.next.is_empty());
    }

    #[test]
    fn negatives_are_items_that_the_user_has_not() {
        let mut source = source(BATCHING);
        let mut seen = [0; 10];
        for round in 0..200 {
            let batch = source.batch(at(round, 0), 3);
            let input = source.clean(&batch);
            let users: Vec<u32> = source.groups(&batch, Pairing::default())[0].ids.to_vec();
            // The user of each target.
            let of = (0..users.len())
                .flat_map(|sequence| vec![users[sequence]; input.sequences.of(sequence).len()]);
            for (user, negatives) in of.zip(batch.negatives.items().chunks(3)) {
                for &negative in negatives {
                    assert!(!source.train.of(user as usize).contains(&negative), "user {user}: {negative}");
                    seen[negative as usize] += 1;
                }
            }
        }
        assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
    }

    #[test]
    fn a_batch_is_a_function_of_its_position() {
        let (mut one, mut other) = (source(BATCHING), source(BATCHING));
        let _ = other.batch(at(7, 1), 2);
        let (a, b) = (one.batch(at(3, 1), 2), other.batch(at(3, 1), 2));
        assert_eq!(a.negatives.items(), b.negatives.items());
        assert_eq!((a.anchors, a.instances), (b.anchors, b.instances));
        assert_eq!(
            one.clean(&one.clone().batch(at(3, 0), 1)).dropout,
            Some(at(3, 0).step_key().child("dropout"))
        );
    }

    #[test]
    fn users_are_ranked_for_with_what_is_known_of_them() {
        let source = source(BATCHING);
        assert!(source.past_matters());
        let known = |past| -> Vec<Vec<u32>> {
            let Tables { users, items } = source.tables(past);
            assert_eq!(items[0].rows, Rows::Range(0..10));
            let [request] = &users[..] else { panic!("five users are one request") };
            let sequences = &request.input.sequences;
            assert_eq!(request.input.dropout, None);
            // Each user's last state.
            let mut event = 0;
            for (user, row) in request.rows.iter().enumerate() {
                event += sequences.of(user).len() as u32;
                assert_eq!(row, request.input.numbering().state(event - 1));
            }
            (0..5).map(|user| sequences.of(user).to_vec()).collect()
        };
        assert_eq!(known(Past::Train), [vec![2, 3, 4], vec![5, 6], vec![7], vec![10], vec![8, 8, 2]]);
        let whole = [vec![3, 4, 9], vec![5, 6], vec![7, 1], vec![3], vec![8, 2, 8]];
        assert_eq!(known(Past::TrainAndValidation), whole);
    }

    #[test]
    fn data_that_cannot_be_sampled_is_refused() {
        let uniform = Some(Sampling::Uniform);
        let make = |rows: &[&[u32]], negatives| {
            SequenceSource::new(sequences(rows), sequences(rows), 2, Batching { negatives, ..BATCHING }).err()
        };
        assert_eq!(make(&[&[0], &[]], uniform), Some(SourceError::Empty));
        assert_eq!(make(&[&[0, 1]], uniform), Some(SourceError::NoNegative { user: 0, items: 2 }));
        assert_eq!(make(&[&[0, 1]], None), None);
        assert_eq!(make(&[&[0, 0]], uniform), None);
    }

    const MASKED: Batching = Batching {
        instances: Instances::Masked(Masking { rate: 0.5, last: 0.0 }),
        targets: Targets::All,
        ..BATCHING
    };

    #[test]
    fn masked_events_are_foretold_and_the_others_read() {
        let mut source = source(MASKED);
        for round in 0..50 {
            let mut users = Vec::new();
            for step in 0..source.steps() as u64 {
                let batch = source.batch(at(round, step), 1);
                let input = source.clean(&batch);
                let group = &source.groups(&batch, Pairing::default())[0];
                let (mut foretold, mut event) = (batch.anchors.iter().zip(batch.positives.iter()), 0);
                for (sequence, &user) in group.ids.iter().enumerate() {
                    let (read, events) = (input.sequences.of(sequence), source.train.of(user as usize));
                    let events = &events[events.len() - read.len()..];
                    let mut masked = 0;
                    for (&read, &event_read) in read.iter().zip(events) {
                        if read == 10 {
                            let next = foretold.next().unwrap();
                            assert_eq!(next, (input.numbering().state(event), event_read));
                            masked += 1;
                        } else {
                            assert_eq!(read, event_read);
                        }
                        event += 1;
                    }
                    // Half of three events is two, of two events one.
                    assert_eq!((read.len(), masked), if user == 1 { (2, 1) } else { (3, 2) });
                    users.push(user);
                }
                assert!(foretold.next().is_none());
            }
            users.sort_unstable();
            assert_eq!(users, [0, 1, 4]);
        }
    }

    #[test]
    fn a_mask_stands_behind_the_newest_events_where_masks_foretell() {
        let Tables { users, .. } = source(MASKED).tables(Past::Train);
        let sequences = &users[0].input.sequences;
        let read: Vec<&[u32]> = (0..5).map(|user| sequences.of(user)).collect();
        let expected: [&[u32]; 5] = [&[3, 4, 10], &[5, 6, 10], &[7, 10], &[10], &[8, 2, 10]];
        assert_eq!(read, expected);
        assert_eq!(users[0].rows.iter().map(|row| row - 15).collect::<Vec<_>>(), [2, 5, 7, 8, 11]);
    }

    #[test]
    fn negatives_by_popularity_are_drawn_for_the_user_of_each_target() {
        let mut source = source(Batching { negatives: Some(Sampling::Popularity), ..BATCHING });
        for step in 0..2 {
            let batch = source.batch(at(0, step), 4);
            let users: Vec<u32> = source.groups(&batch, Pairing::default())[0].ids.to_vec();
            let input = source.clean(&batch);
            let of = (0..users.len())
                .flat_map(|sequence| vec![users[sequence]; input.sequences.of(sequence).len()]);
            let draw = batch.negatives.draw().unwrap();
            assert_eq!(draw.owners()[..], of.collect::<Vec<_>>());
            assert_eq!((draw.each(), batch.negatives.len()), (4, 4 * batch.anchors.len()));
            // Events in training: two of items 2 and 8, one of 0, 1, 3 to 7, none of 9.
            for (item, events) in (0..).zip([1, 1, 2, 1, 1, 1, 1, 1, 2, 0]) {
                assert_eq!(draw.sampler().law().probability(item), f64::from(events) / 11.0);
            }
            for (user, negatives) in draw.owners().iter().zip(batch.negatives.items().chunks(4)) {
                let own = source.train.of(*user as usize);
                assert!(negatives.iter().all(|item| *item != 9 && !own.contains(item)));
            }
        }
    }
}
