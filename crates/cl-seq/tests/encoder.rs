//! What a state depends on, and what it does not.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;

use std::sync::Arc;

use burn::tensor::Tensor;
use cl_core::{Encoder, Request, Rows, StreamKey};
use cl_data::Sequences;
use cl_seq::{
    Bert4RecConfig, Gru4RecConfig, Norm, Pooling, Positions, SasRec, SasRecConfig, SequenceBackend,
    SequenceEncoder, SequenceInput,
};
use common::{Worst, bits, error, on_each_backend, values};

const ITEMS: u32 = 40;

fn encoder<B: SequenceBackend>(norm: Norm, positions: Positions, pooling: Pooling) -> SasRec<B> {
    let config = SasRecConfig {
        dim: 16,
        heads: 2,
        norm,
        positions,
        pooling,
        max_length: 12,
        ..SasRecConfig::default()
    };
    config.init(ITEMS as usize, StreamKey::root(3), &Default::default())
}

fn input(sequences: &[&[u32]]) -> SequenceInput {
    SequenceInput::newest(sequences.iter().copied(), 12, ITEMS)
}

fn ask(input: &SequenceInput, rows: std::ops::Range<u32>) -> Request<SequenceInput> {
    Request { input: input.clone(), rows: Rows::Range(rows) }
}

fn states<B: SequenceBackend>(
    encoder: &impl Encoder<B, Input = SequenceInput>,
    input: &SequenceInput,
) -> Tensor<B, 2> {
    let events = input.sequences.len() as u32;
    let rows = input.numbering();
    encoder.encode(&[ask(input, rows.state(0)..rows.state(events))]).remove(0)
}

const NORMS: [Norm; 3] = [Norm::Query, Norm::Post, Norm::Pre];

/// Which of the states, 16 numbers each, another item at each place changes: `[place][state]`.
fn changed_by<B: SequenceBackend>(
    encoder: &impl Encoder<B, Input = SequenceInput>,
    dropout: Option<StreamKey>,
) -> Vec<Vec<bool>> {
    let sequence: Vec<u32> = vec![5, 9, 3, 3, 21, 0, 14, 39];
    let with =
        |sequence: &[u32]| bits(states::<B>(encoder, &SequenceInput { dropout, ..input(&[sequence]) }));
    let before = with(&sequence);
    let at = |at: usize| {
        // Another item, and the mask token.
        let [item, mask] = [(sequence[at] + 7) % ITEMS, ITEMS].map(|other| {
            let mut changed = sequence.clone();
            changed[at] = other;
            let after = with(&changed);
            before.chunks(16).zip(after.chunks(16)).map(|(a, b)| a != b).collect::<Vec<bool>>()
        });
        assert_eq!(item, mask);
        item
    };
    (0..sequence.len()).map(at).collect()
}

/// Whatever comes at t changes no state before t, and all from t on; where the encoder looks both ways, all states.
fn nothing_is_seen_before_it_comes<B: SequenceBackend>(_backend: &str) {
    let expected = |both_ways: bool| -> Vec<Vec<bool>> {
        (0..8).map(|at| (0..8).map(|state| both_ways || state >= at).collect()).collect()
    };
    for dropout in [None, Some(StreamKey::root(5))] {
        for norm in NORMS {
            let encoder = encoder::<B>(norm, Positions::FromEnd, Pooling::Last);
            let found = changed_by::<B>(&encoder, dropout);
            // With weights dropped, a state may miss an event before it; never its own, nor see one behind it.
            for (at, changed) in found.iter().enumerate() {
                assert!(changed[at] && !changed[..at].contains(&true), "{norm:?}, item {at}: {changed:?}");
            }
            assert!(dropout.is_some() || found == expected(false), "{norm:?}");
        }
        let recurrent = Gru4RecConfig { dim: 16, hidden: 20, max_length: 12, ..Gru4RecConfig::default() };
        let recurrent = recurrent.init::<B>(ITEMS as usize, StreamKey::root(3), &Default::default());
        assert_eq!(changed_by::<B>(&recurrent, dropout), expected(false));
    }
    let both_ways = Bert4RecConfig { dim: 16, max_length: 12, item_bias: false, ..Bert4RecConfig::default() };
    let both_ways = both_ways.init::<B>(ITEMS as usize, StreamKey::root(3), &Default::default());
    assert_eq!(changed_by::<B>(&both_ways, None), expected(true));
}

/// A sequence has the states that it has alone: whoever is beside it, and however long.
fn a_state_is_a_function_of_its_own_sequence<B: SequenceBackend>(_backend: &str) {
    let mut worst = Worst::new("states beside others", 1e-6);
    let sequences: [&[u32]; 5] = [&[1, 2, 3], &[7], &[4, 4, 9, 30, 2, 1, 0, 8, 8, 11, 12, 13], &[], &[0, 39]];
    for norm in NORMS {
        for positions in [Positions::FromEnd, Positions::FromStart] {
            let encoder = encoder::<B>(norm, positions, Pooling::Last);
            let together = values(states(&encoder, &input(&sequences)));
            let alone: Vec<f64> = sequences
                .iter()
                .filter(|sequence| !sequence.is_empty())
                .flat_map(|sequence| values(states(&encoder, &input(&[sequence]))))
                .collect();
            worst.check(&together, &alone, &format!("{norm:?}, {positions:?}"));
        }
    }
}

fn positions_count_from_the_start_or_from_the_end<B: SequenceBackend>(_backend: &str) {
    for (positions, position) in [(Positions::FromStart, 0), (Positions::FromEnd, 11)] {
        let encoder = encoder::<B>(Norm::Post, positions, Pooling::Last);
        let moved = |at: usize| {
            let mut moved = encoder.clone();
            moved.transformer.positions = moved.transformer.positions.map(|table| {
                let shape = table.dims();
                let mut values = table.into_data().to_vec::<f32>().unwrap();
                values[at * 16] += 1.0;
                Tensor::from_data(burn::tensor::TensorData::new(values, shape), &Default::default())
            });
            bits(states(&moved, &input(&[&[6]])))
        };
        let still = bits(states(&encoder, &input(&[&[6]])));
        let seen: Vec<usize> = (0..12).filter(|&at| moved(at) != still).collect();
        assert_eq!(seen, [position], "{positions:?}");
    }
}

/// Requests are answered alike in one call or in several; equal passes are computed once, others apart.
fn answers_do_not_depend_on_who_else_is_asked<B: SequenceBackend>(_backend: &str) {
    for pooling in [Pooling::Last, Pooling::Mean, Pooling::Flatten] {
        let encoder = encoder::<B>(Norm::Pre, Positions::FromEnd, pooling);
        let clean = input(&[&[1, 2, 3], &[9, 9]]);
        let dropped = SequenceInput { dropout: Some(StreamKey::root(8)), ..clean.clone() };
        let longer = SequenceInput { sequences: input(&[&[4], &[1, 2, 3, 4, 5]]).sequences, ..clean.clone() };
        let rows = clean.numbering();
        let list = Rows::List([rows.state(4), rows.state(0), rows.state(4)].into());
        let requests = [
            ask(&clean, rows.wholes()),
            Request { input: dropped.clone(), rows: list.clone() },
            ask(&clean, 3..7),
            ask(&longer, rows.wholes()),
            ask(&dropped, rows.wholes()),
            Request { input: clean.clone(), rows: list },
            ask(&clean, 0..0),
        ];
        let together = encoder.encode(&requests);
        let sizes: Vec<usize> = together.iter().map(|answer| answer.dims()[0]).collect();
        assert_eq!(sizes, [2, 3, 4, 2, 2, 3, 0]);
        for (request, answer) in requests.iter().zip(&together) {
            let alone = encoder.encode(std::slice::from_ref(request)).remove(0);
            assert!(error(&values(alone), &values(answer.clone())) < 1e-6, "{request:?}");
        }
        assert!(
            error(&values(together[0].clone()), &values(together[4].clone())) > 1e-3,
            "dropout does something"
        );
        // A whole is the last state, or the mean of the states, or all of them at their positions.
        let states = values(states(&encoder, &clean));
        let expected: Vec<f64> = match pooling {
            Pooling::Last => [&states[2 * 16..3 * 16], &states[4 * 16..]].concat(),
            Pooling::Flatten => {
                [&[0.0; 9 * 16], &states[..3 * 16], &[0.0; 10 * 16], &states[3 * 16..]].concat()
            }
            Pooling::Mean => [(0, 3), (3, 5)]
                .into_iter()
                .flat_map(|(first, end)| {
                    let states = &states;
                    (0..16).map(move |c| {
                        (first..end).map(|token| states[token * 16 + c]).sum::<f64>()
                            / f64::from(end as u32 - first as u32)
                    })
                })
                .collect(),
        };
        assert!(error(&values(together[0].clone()), &expected) < 1e-6);
    }
}

/// The same key drops the same, another key other numbers; and something is dropped. (What, is tested in `block.rs`.)
fn dropout_is_a_function_of_its_key<B: SequenceBackend>(_backend: &str) {
    for norm in NORMS {
        let encoder = encoder::<B>(norm, Positions::FromEnd, Pooling::Last);
        let sequence: Vec<u32> = (0..12).collect();
        let with = |dropout| bits(states(&encoder, &SequenceInput { dropout, ..input(&[&sequence]) }));
        let key = |key| Some(StreamKey::root(key));
        assert_eq!(with(key(9)), with(key(9)), "{norm:?}");
        assert_ne!(with(key(9)), with(key(10)), "{norm:?}");
        assert_ne!(with(key(9)), with(None), "{norm:?}");
    }
}

on_each_backend!(
    nothing_is_seen_before_it_comes,
    a_state_is_a_function_of_its_own_sequence,
    positions_count_from_the_start_or_from_the_end,
    answers_do_not_depend_on_who_else_is_asked,
    dropout_is_a_function_of_its_key,
);

#[test]
fn only_the_newest_events_are_read() {
    let long: Vec<u32> = (0..30).collect();
    let cut = input(&[&long, &[3, 4]]);
    assert_eq!(cut.sequences, Arc::new(Sequences::new(vec![0, 12, 14], (18..30).chain([3, 4]).collect())));
}

#[test]
#[should_panic(expected = "sequence 0 has 13 events, and 12 are read")]
fn a_sequence_that_is_too_long_is_refused() {
    let encoder = encoder::<burn::backend::Flex>(Norm::Query, Positions::FromEnd, Pooling::Last);
    let long: Vec<u32> = (0..13).collect();
    states(&encoder, &SequenceInput::newest([long.as_slice()], 50, ITEMS));
}

#[test]
#[should_panic(expected = "sequence 1 of the pass has no event, and no state")]
fn an_empty_sequence_has_no_state() {
    let encoder = encoder::<burn::backend::Flex>(Norm::Query, Positions::FromEnd, Pooling::Last);
    let input = input(&[&[1], &[]]);
    encoder.encode(&[ask(&input, input.numbering().wholes())]);
}

#[test]
#[should_panic(expected = "state 3 is asked for, and the batch has 3 events")]
fn a_state_of_another_batch_is_refused() {
    let encoder = encoder::<burn::backend::Flex>(Norm::Query, Positions::FromEnd, Pooling::Last);
    let (clean, crop) = (input(&[&[1, 2, 3, 4, 5]]), input(&[&[2, 3, 4]]));
    let row = clean.numbering().state(3);
    encoder.encode(&[ask(&crop, row..row + 1), ask(&clean, row..row + 1)]);
}

#[test]
fn settings_are_checked() {
    let wrong = |change: fn(&mut SasRecConfig)| {
        let mut config = SasRecConfig::default();
        change(&mut config);
        format!("{:?}", config.validate().unwrap_err())
    };
    assert!(wrong(|c| c.heads = 3).contains("heads"));
    assert!(wrong(|c| c.dim = 0).contains("dim"));
    assert!(wrong(|c| c.dropout = 1.0).contains("dropout"));
    assert!(wrong(|c| c.attention_dropout = Some(-0.1)).contains("attention_dropout"));
    assert!(wrong(|c| c.max_length = 0).contains("max_length"));
    assert!(wrong(|c| c.inner = Some(0)).contains("inner"));
    assert!(wrong(|c| c.init_scale = Some(f64::NAN)).contains("init_scale"));
}
