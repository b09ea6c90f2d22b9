//! Views that look at the training data before they are drawn.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use cl_core::StreamKey;
use cl_core::registry::Component;
use cl_core::rng::StreamRng;
use cl_core::views::{At, Drawn, Views};
use cl_data::Sequences;
use cl_seq::SequenceInput;
use cl_seq::views::{
    Against, Insert, InsertConfig, OneOfConfig, Operation, OperationTable, SameTargetConfig, Similar,
    Substitute, SubstituteConfig, Training,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Few, so that they meet.
const ITEMS: u32 = 12;

fn at(step: u64) -> At {
    At { key: StreamKey::root(5), epoch: 1, step }
}

/// A batch of sequences and of what follows each.
fn input(sequences: &[Vec<u32>], next: &[u32], longest: usize) -> SequenceInput {
    let input = SequenceInput::newest(sequences.iter().map(Vec::as_slice), longest, ITEMS);
    SequenceInput { next: next.into(), dropout: Some(StreamKey::root(1)), ..input }
}

/// The training data at full length.
fn train(sequences: &[Vec<u32>], longest: usize) -> SequenceInput {
    SequenceInput { longest, ..input(sequences, &[], usize::MAX) }
}

fn rows(input: &SequenceInput) -> Vec<Vec<u32>> {
    (0..input.sequences.users()).map(|at| input.sequences.of(at).to_vec()).collect()
}

fn prepared<C: Component<dyn Views<SequenceInput>>>(
    mut config: C,
    train: &SequenceInput,
) -> Box<dyn Views<SequenceInput>> {
    config.complete();
    config.validate().unwrap();
    let mut views = config.build();
    views.prepare(train);
    views
}

/// Both operations at a rate, prepared with training data.
fn operations(rate: f64, rows: &[Vec<u32>]) -> [Box<dyn Operation>; 2] {
    let train = train(rows, 50);
    let train = Training::new(&train);
    let mut both: [Box<dyn Operation>; 2] = [
        Box::new(Substitute::from(SubstituteConfig { rate })),
        Box::new(Insert::from(InsertConfig { rate })),
    ];
    both.iter_mut().for_each(|operation| operation.prepare(&train));
    both
}

fn similar(rows: &[Vec<u32>]) -> Similar {
    Similar::of_sequences(&Sequences::from_rows(rows), ITEMS as usize)
}

fn rng(row: u32) -> StreamRng {
    StreamKey::root(7).rng(row)
}

/// The places that an insertion went before; fails if anything else happened.
fn inserted_before(sequence: &[u32], out: &[u32], similar: &Similar) -> Vec<usize> {
    let (mut places, mut rest) = (Vec::new(), out);
    for (place, &item) in sequence.iter().enumerate() {
        // An item is never most similar to itself, so that there is one way to read this.
        if rest[0] != item {
            assert_eq!(Some(rest[0]), similar.to(item));
            places.push(place);
            rest = &rest[1..];
        }
        assert_eq!(rest[0], item);
        rest = &rest[1..];
    }
    assert!(rest.is_empty());
    places
}

proptest! {
    #[test]
    fn similar_items_are_substituted_and_inserted(
        rows in vec(vec(0..ITEMS, 0..6), 0..12),
        sequence in vec(0..ITEMS, 1..40),
        rate in 0.0..=1.0f64,
        row in any::<u32>(),
    ) {
        let (similar, [substitute, insert]) = (similar(&rows), operations(rate, &rows));
        let most = ((rate * sequence.len() as f64).floor() as usize).max(1);
        let all_have_one = sequence.iter().all(|&item| similar.to(item).is_some());

        let out = substitute.apply(&sequence, ITEMS, &mut rng(row));
        prop_assert_eq!(out.len(), sequence.len());
        let changed: Vec<usize> = (0..out.len()).filter(|&at| out[at] != sequence[at]).collect();
        prop_assert!(changed.iter().all(|&at| Some(out[at]) == similar.to(sequence[at])));
        prop_assert!(changed.len() <= most && (!all_have_one || changed.len() == most));

        let out = insert.apply(&sequence, ITEMS, &mut rng(row));
        let inserted = inserted_before(&sequence, &out, &similar).len();
        prop_assert!(inserted <= most && (!all_have_one || inserted == most));
        prop_assert!(!out.contains(&ITEMS), "the mask token");
    }

    #[test]
    fn views_keep_to_what_is_read_and_to_the_newest_event(
        rows_of_train in vec(vec(0..ITEMS, 2..30), 1..12),
        longest in 1..12_usize,
        rate in 0.0..=1.0f64,
    ) {
        let train = train(&rows_of_train, longest);
        let clean = input(&rows_of_train, &vec![0; rows_of_train.len()], longest);
        let mut views = prepared(InsertConfig { rate }, &train);
        let Drawn { a, b, .. } = views.draw(&clean, at(0));
        for (sequence, view) in rows(&clean).iter().zip(rows(&a)).chain(rows(&clean).iter().zip(rows(&b))) {
            prop_assert!(view.len() <= longest && view.len() >= sequence.len());
            prop_assert_eq!(view.last(), sequence.last(), "an insertion goes before an event");
        }
        prop_assert_eq!(rows(&train), rows_of_train);
    }

    /// Against all beginnings of all sequences.
    #[test]
    fn the_other_sequence_has_the_same_target(
        rows_of_train in vec(vec(0..ITEMS, 0..9), 1..25),
        longest in 1..6_usize,
        step in any::<u64>(),
    ) {
        let newest = |events: &[u32]| events[events.len().saturating_sub(longest)..].to_vec();
        let beginnings: Vec<(Vec<u32>, u32)> = rows_of_train
            .iter()
            .flat_map(|row| (1..row.len()).map(|at| (newest(&row[..at]), row[at])))
            .collect();
        let (sequences, next): (Vec<_>, Vec<_>) = beginnings.iter().cloned().unzip();
        let clean = input(&sequences, &next, longest);
        let train = train(&rows_of_train, longest);
        for against in [Against::Dropout, Against::Objective] {
            let Drawn { objective, a, b } = prepared(SameTargetConfig { against }, &train).draw(&clean, at(step));
            prop_assert!(objective.same(&clean));
            prop_assert_eq!(rows(&a), sequences.clone());
            prop_assert_eq!(a.same(&clean), against == Against::Objective);
            prop_assert!(b.dropout != a.dropout && b.dropout != clean.dropout);
            for ((sequence, next), drawn) in beginnings.iter().zip(rows(&b)) {
                let other = |(other, target): &&(Vec<u32>, u32)| target == next && other != sequence;
                let others: Vec<_> = beginnings.iter().filter(other).map(|(other, _)| other).collect();
                let expected = if others.is_empty() { drawn == *sequence } else { others.contains(&&drawn) };
                prop_assert!(expected, "{drawn:?} for {sequence:?} before {next}");
            }
        }
        prop_assert_eq!(rows(&train), rows_of_train);
    }
}

#[test]
fn one_event_is_changed_at_least() {
    let [substitute, insert] = operations(0.0, &[vec![3, 5]]);
    assert_eq!(substitute.apply(&[3], ITEMS, &mut rng(0)), [5]);
    assert_eq!(insert.apply(&[3], ITEMS, &mut rng(0)), [5, 3]);
    // Nobody has 7 beside another item.
    assert_eq!(substitute.apply(&[7], ITEMS, &mut rng(0)), [7]);
    assert_eq!(insert.apply(&[7], ITEMS, &mut rng(0)), [7]);
}

#[test]
fn every_event_is_equally_likely() {
    let rows: Vec<Vec<u32>> = (0..10).step_by(2).map(|item| vec![item, item + 1]).collect();
    let (similar, [substitute, insert]) = (similar(&rows), operations(0.3, &rows));
    let sequence: Vec<u32> = (0..10).collect();
    let [mut substituted, mut inserted] = [[0; 10]; 2];
    for draw in 0..7000 {
        let out = substitute.apply(&sequence, ITEMS, &mut rng(draw));
        (0..10).filter(|&at| out[at] != sequence[at]).for_each(|at| substituted[at] += 1);
        let out = insert.apply(&sequence, ITEMS, &mut rng(draw));
        inserted_before(&sequence, &out, &similar).into_iter().for_each(|at| inserted[at] += 1);
    }
    // 2100 expected with deviation 38.
    for counts in [substituted, inserted] {
        assert!(counts.iter().all(|count| (1950..2250).contains(count)), "{counts:?}");
    }
}

/// Also where most beginnings read the same, so that the others are listed.
#[test]
fn every_other_sequence_is_equally_likely() {
    for equal in [1, 60] {
        let mut rows_of_train: Vec<Vec<u32>> = vec![vec![1, 2, 0]; equal];
        rows_of_train.extend([vec![3, 0], vec![4, 5, 0], vec![4, 5, 0, 6], vec![7, 7, 0]]);
        let train = train(&rows_of_train, 50);
        let clean = input(&vec![vec![1, 2]; 8000], &[0; 8000], 50);
        let mut views = prepared(SameTargetConfig::default(), &train);
        let mut counts: BTreeMap<Vec<u32>, i32> = BTreeMap::new();
        rows(&views.draw(&clean, at(0)).b).into_iter().for_each(|row| *counts.entry(row).or_default() += 1);
        // Two users did the same before: 4000 expected with deviation 45; 2000 with deviation 39.
        let expected = [(vec![3], 2000), (vec![4, 5], 4000), (vec![7, 7], 2000)];
        assert_eq!(counts.len(), 3, "{counts:?}");
        for (row, expected) in expected {
            assert!((counts[&row] - expected).abs() < 200, "{equal}: {counts:?}");
        }
    }
}

#[test]
fn short_sequences_have_their_own_menu() {
    let menu = |names: &[&str]| -> Vec<OperationTable> {
        names.iter().map(|name| OperationTable { name: (*name).into(), keep: None, rate: None }).collect()
    };
    let config = OneOfConfig {
        of: menu(&["mask"]),
        of_short: Some(menu(&["insert"])),
        short: Some(4),
        ..OneOfConfig::default()
    };
    let sequences: Vec<Vec<u32>> = (1..10).map(|length| (0..length).collect()).collect();
    let train = train(&[(0..ITEMS).collect()], 50);
    let Drawn { a, b, .. } = prepared(config, &train).draw(&input(&sequences, &[0; 9], 50), at(0));
    for view in [rows(&a), rows(&b)] {
        for (sequence, view) in sequences.iter().zip(view) {
            let longer = view.len() > sequence.len();
            assert_eq!(
                (longer, view.contains(&ITEMS)),
                if sequence.len() <= 4 { (true, false) } else { (false, true) }
            );
        }
    }
}

#[test]
fn a_menu_of_short_sequences_is_checked() {
    let table = |name: &str, rate| OperationTable { name: name.into(), keep: None, rate };
    let refusal = |of_short: Option<Vec<OperationTable>>, short, with_replacement| {
        let config = OneOfConfig { of_short, short, with_replacement, ..OneOfConfig::default() };
        format!("{:?}", Component::validate(&config).unwrap_err())
    };
    let insert = || Some(vec![table("insert", None)]);
    assert!(refusal(insert(), None, true).contains("needs `short`"));
    assert!(refusal(None, Some(4), true).contains("needs `of_short`"));
    assert!(refusal(insert(), Some(0), true).contains("must be 1 or more"));
    assert!(refusal(insert(), Some(4), false).contains("2 operations at least"));
    assert!(refusal(Some(vec![table("insert", Some(1.5))]), Some(4), true).contains("got 1.5"));
    assert!(refusal(Some(vec![table("insrt", None)]), Some(4), true).contains("did you mean `insert`?"));
}

#[test]
#[should_panic(expected = "not known before `prepare`")]
fn what_is_not_prepared_is_not_drawn() {
    SameTargetConfig::default().build().draw(&input(&[vec![1]], &[2], 50), at(0));
}
