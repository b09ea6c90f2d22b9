//! What the views make of sequences.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use cl_core::StreamKey;
use cl_core::registry::Component;
use cl_core::views::{At, Drawn, Views};
use cl_seq::SequenceInput;
use cl_seq::views::{
    Against, CropConfig, InsertConfig, MaskConfig, ModelDropoutConfig, OneOfConfig, Operation,
    OperationTable, ReorderConfig, SameTargetConfig, SubstituteConfig,
};
use proptest::prelude::*;

const ITEMS: u32 = 1000;

fn at(step: u64) -> At {
    At { key: StreamKey::root(4), epoch: 2, step }
}

fn input(sequences: &[Vec<u32>]) -> SequenceInput {
    let input = SequenceInput::newest(sequences.iter().map(Vec::as_slice), 10_000, ITEMS);
    let next = sequences.iter().map(|sequence| sequence.last().copied().unwrap_or(0)).collect();
    SequenceInput { next, dropout: Some(StreamKey::root(1)), ..input }
}

fn rows(input: &SequenceInput) -> Vec<Vec<u32>> {
    (0..input.sequences.users()).map(|at| input.sequences.of(at).to_vec()).collect()
}

fn sorted(sequence: &[u32]) -> Vec<u32> {
    let mut sorted = sequence.to_vec();
    sorted.sort_unstable();
    sorted
}

fn boxed<C: Component<dyn Views<SequenceInput>>>(config: C) -> Box<dyn Views<SequenceInput>> {
    config.validate().unwrap();
    config.build()
}

/// Views that look at the sequence alone; the last changes dropout alone.
fn plain_views(share: f64) -> Vec<Box<dyn Views<SequenceInput>>> {
    vec![
        boxed(CropConfig { keep: share }),
        boxed(MaskConfig { rate: share }),
        boxed(ReorderConfig { rate: share }),
        boxed(OneOfConfig::default()),
        boxed(OneOfConfig { with_replacement: false, ..OneOfConfig::default() }),
        boxed(ModelDropoutConfig {}),
    ]
}

/// All views, prepared with training data.
fn every_view(share: f64, train: &SequenceInput) -> Vec<Box<dyn Views<SequenceInput>>> {
    let table = |name: &str, rate| OperationTable { name: name.into(), keep: None, rate: Some(rate) };
    let of_short = Some(vec![table("insert", share), table("substitute", share)]);
    let mut views = vec![
        boxed(SubstituteConfig { rate: share }),
        boxed(InsertConfig { rate: share }),
        boxed(OneOfConfig { of_short, short: Some(15), ..OneOfConfig::default() }),
        boxed(SameTargetConfig { against: Against::Dropout }),
        boxed(SameTargetConfig { against: Against::Objective }),
    ];
    views.splice(0..0, plain_views(share).into_iter().take(5));
    views.push(boxed(ModelDropoutConfig {}));
    views.iter_mut().for_each(|view| view.prepare(train));
    views
}

proptest! {
    #[test]
    fn operations_do_what_they_say(
        sequence in prop::collection::vec(0..ITEMS, 1..60),
        share in 0.0..=1.0f64,
        row in any::<u32>(),
    ) {
        let (n, mut rng) = (sequence.len(), StreamKey::root(7).rng(row));
        let part = (share * n as f64).floor() as usize;

        let crop = CropConfig { keep: share }.apply(&sequence, ITEMS, &mut rng);
        prop_assert_eq!(crop.len(), part.max(1));
        prop_assert!(sequence.windows(crop.len()).any(|run| run == crop));

        let mask = MaskConfig { rate: share }.apply(&sequence, ITEMS, &mut rng);
        prop_assert_eq!(mask.len(), n);
        prop_assert_eq!(mask.iter().filter(|&&item| item == ITEMS).count(), part);
        prop_assert!(mask.iter().zip(&sequence).all(|(a, b)| a == b || *a == ITEMS));

        let moved = ReorderConfig { rate: share }.apply(&sequence, ITEMS, &mut rng);
        prop_assert_eq!(sorted(&moved), sorted(&sequence));
        // All that changed lies within a run of ⌊β n⌋ events.
        let changed: Vec<usize> = (0..n).filter(|&at| moved[at] != sequence[at]).collect();
        if let (Some(first), Some(last)) = (changed.first(), changed.last()) {
            prop_assert!(last - first < part);
        }
    }

    #[test]
    fn stored_sequences_are_never_touched(
        sequences in prop::collection::vec(prop::collection::vec(0..ITEMS, 0..20), 1..20),
        share in 0.0..=1.0f64,
    ) {
        let clean = input(&sequences);
        for mut view in every_view(share, &clean) {
            for step in 0..5 {
                let Drawn { objective, a, b } = view.draw(&clean, at(step));
                prop_assert!(objective.same(&clean), "the objective's pass is the clean one");
                for view in [&a, &b] {
                    prop_assert_eq!(view.sequences.users(), sequences.len());
                    prop_assert_eq!(view.items, ITEMS);
                    let empty = |rows: &[Vec<u32>]| rows.iter().map(Vec::is_empty).collect::<Vec<_>>();
                    prop_assert_eq!(empty(&rows(view)), empty(&sequences), "nothing is made of nothing");
                }
                prop_assert!(a.dropout != b.dropout);
            }
        }
        prop_assert_eq!(rows(&clean), sequences);
    }
}

#[test]
fn a_draw_is_a_function_of_its_position() {
    let clean = input(&(0..30).map(|user| (user..user + 15).collect()).collect::<Vec<_>>());
    for (mut one, mut other) in every_view(0.5, &clean).into_iter().zip(every_view(0.5, &clean)) {
        let _ = other.draw(&clean, at(9));
        let (a, b) = (one.draw(&clean, at(3)), other.draw(&clean, at(3)));
        assert_eq!((rows(&a.a), rows(&a.b)), (rows(&b.a), rows(&b.b)));
        assert_eq!((a.a.dropout, a.b.dropout), (b.a.dropout, b.b.dropout));
    }
}

#[test]
fn each_view_and_each_step_draws_anew() {
    let clean = input(&(0..30).map(|user| (user..user + 15).collect()).collect::<Vec<_>>());
    for mut view in every_view(0.5, &clean).into_iter().take(8) {
        let (first, second) = (view.draw(&clean, at(0)), view.draw(&clean, at(1)));
        assert_ne!(rows(&first.a), rows(&first.b));
        assert_ne!(rows(&first.a), rows(&second.a));
    }
}

#[test]
fn every_run_and_every_event_is_equally_likely() {
    let sequence: Vec<u32> = (0..10).collect();
    let (mut starts, mut masked) = ([0; 7], [0; 10]);
    for draw in 0..7000 {
        let mut rng = StreamKey::root(11).rng(draw);
        starts[CropConfig { keep: 0.4 }.apply(&sequence, ITEMS, &mut rng)[0] as usize] += 1;
        let mask = MaskConfig { rate: 0.3 }.apply(&sequence, ITEMS, &mut rng);
        for (at, item) in mask.iter().enumerate() {
            masked[at] += i32::from(*item == ITEMS);
        }
    }
    // 1000 expected with deviation 29; 2100 with deviation 38.
    assert!(starts.iter().all(|count| (880..1120).contains(count)), "{starts:?}");
    assert!(masked.iter().all(|count| (1950..2250).contains(count)), "{masked:?}");
}

#[test]
fn a_sequence_of_one_event_stays_as_it_is() {
    let clean = input(&[vec![5]]);
    for mut view in plain_views(0.9) {
        let drawn = view.draw(&clean, at(0));
        assert_eq!((rows(&drawn.a), rows(&drawn.b)), (vec![vec![5]], vec![vec![5]]));
    }
}

/// Nine pairs with replacement, six without, all equally often.
#[test]
fn menus_are_drawn_with_or_without_replacement() {
    // Each operation leaves its own trace on ten different items.
    let kind = |sequence: &[u32]| match sequence {
        short if short.len() < 10 => "crop",
        masked if masked.contains(&ITEMS) => "mask",
        _ => "reorder",
    };
    let clean = input(&vec![(0..10).collect(); 9000]);
    for (with_replacement, pairs) in [(true, 9), (false, 6)] {
        let mut view = boxed(OneOfConfig { with_replacement, ..OneOfConfig::default() });
        let drawn = view.draw(&clean, at(0));
        let mut counts: BTreeMap<[&str; 2], i32> = BTreeMap::new();
        for (a, b) in rows(&drawn.a).iter().zip(rows(&drawn.b)) {
            *counts.entry([kind(a), kind(&b)]).or_default() += 1;
        }
        assert_eq!(counts.len(), pairs, "{counts:?}");
        let expected = 9000 / pairs as i32;
        assert!(counts.values().all(|count| (count - expected).abs() < 150), "{counts:?}");
    }
}

#[test]
fn a_menu_is_checked() {
    let table = |name: &str, keep, rate| OperationTable { name: name.into(), keep, rate };
    let refusal = |of: Vec<OperationTable>, with_replacement| {
        let mut config = OneOfConfig { of, with_replacement, ..OneOfConfig::default() };
        Component::complete(&mut config);
        format!("{:?}", Component::validate(&config).unwrap_err())
    };
    assert!(refusal(vec![table("corp", None, None)], true).contains("did you mean `crop`?"));
    assert!(
        refusal(vec![table("crop", None, Some(0.5))], true).contains("`crop` has a `keep` and no `rate`")
    );
    assert!(refusal(vec![table("mask", None, Some(1.5))], true).contains("must be in [0, 1], got 1.5"));
    assert!(refusal(vec![table("mask", None, None)], false).contains("2 operations at least"));
    let names: BTreeSet<String> = OneOfConfig::default().of.into_iter().map(|table| table.name).collect();
    assert_eq!(names, ["crop", "mask", "reorder"].map(String::from).into());
}
