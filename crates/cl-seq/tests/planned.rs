//! Requests that were planned ahead, by another thread: the same answers, to the bit, and the same gradients.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use cl_core::encoder::Planner;
use cl_core::{Encoder, Request, Rows, StreamKey};
use cl_seq::{
    Bert4RecConfig, Gru4RecConfig, Norm, Pooling, SasRecConfig, SequenceBackend, SequenceEncoder,
    SequenceInput,
};
use common::{bits, compiles_kernels, on_each_backend};

const ITEMS: u32 = 40;

/// Items in a row and in a list, whole sequences and states of two batches with dropout, states of one without.
fn requests() -> Vec<Request<SequenceInput>> {
    let batch = |sequences: &[&[u32]], dropout| SequenceInput {
        dropout,
        ..SequenceInput::newest(sequences.iter().copied(), 9, ITEMS)
    };
    let key = StreamKey::root(81);
    let one = batch(&[&[1, 2, 3], &[7], &[4, 4, 9, 30, 2, 1, 0, 8, 8]], Some(key.child("one")));
    let other = batch(&[&[39], &[3, 3, 3, 3]], Some(key.child("other")));
    let clean = batch(&[&[5, 6], &[11, 12, 13]], None);
    let ask = |input: &SequenceInput, rows: Rows| Request { input: input.clone(), rows };
    let states = |input: &SequenceInput, events: &[u32]| {
        Rows::List(events.iter().map(|&event| input.numbering().state(event)).collect())
    };
    let wholes = |input: &SequenceInput| Rows::Range(input.numbering().wholes());
    vec![
        ask(&one, Rows::List([3, 3, 39, 0].into())),
        ask(&one, states(&one, &[0, 12, 5, 5])),
        ask(&other, wholes(&other)),
        ask(&one, Rows::List([].into())),
        ask(&clean, states(&clean, &[4, 1])),
        ask(&one, wholes(&one)),
        ask(&other, Rows::Range(0..ITEMS)),
    ]
}

/// The bits of the answers, and those of the gradients of some numbers of all of them.
fn answered<B: SequenceBackend>(
    answers: Vec<Tensor<Autodiff<B>, 2>>,
    table: &Tensor<Autodiff<B>, 2>,
) -> Vec<Vec<u32>> {
    let weighted = |(at, answer): (usize, &Tensor<Autodiff<B>, 2>)| {
        let column = answer.dims()[1] - 1;
        answer.clone().narrow(1, column, 1).sum().mul_scalar(at as f64 + 1.0)
    };
    let sum = answers.iter().enumerate().map(weighted).reduce(|sum, one| sum + one).unwrap();
    let gradient = table.grad(&sum.backward()).unwrap();
    answers.into_iter().map(bits).chain([bits(gradient)]).collect()
}

fn check<B: SequenceBackend, E>(backend: &str, name: &str, encoder: &E, table: &Tensor<Autodiff<B>, 2>)
where
    E: Encoder<Autodiff<B>, Input = SequenceInput> + AutodiffModule<Autodiff<B>>,
    E::InnerModule: Encoder<B, Input = SequenceInput>,
{
    let requests = requests();
    let ahead = |planner: Planner<SequenceInput>| {
        std::thread::scope(|scope| {
            let requests = &requests;
            scope.spawn(move || planner(requests)).join().unwrap()
        })
    };
    let planner = encoder.planner();
    assert_eq!(planner.is_some(), compiles_kernels(backend), "GPUs alone have something to make ready");
    let Some(planner) = planner else { return };
    let (planned, expected) = (ahead(planner), answered(encoder.encode(&requests), table));
    for turn in 0..2 {
        let found = answered(encoder.encode_planned(&requests, &planned), table);
        assert!(found == expected, "{name} on {backend}, turn {turn}");
    }
    // A copy of the model, without a tape.
    let copy = encoder.valid();
    let planned = ahead(copy.planner().unwrap());
    let [found, expected] = [copy.encode_planned(&requests, &planned), copy.encode(&requests)]
        .map(|answers| answers.into_iter().map(bits).collect::<Vec<_>>());
    assert!(found == expected, "a copy of {name} on {backend}");
}

fn planned_requests_have_the_same_answers<B: SequenceBackend>(backend: &str) {
    for (norm, pooling) in
        [(Norm::Query, Pooling::Last), (Norm::Post, Pooling::Mean), (Norm::Pre, Pooling::Flatten)]
    {
        let config = SasRecConfig {
            dim: 8,
            blocks: 1,
            heads: 2,
            norm,
            pooling,
            max_length: 9,
            ..SasRecConfig::default()
        };
        let encoder = config.init(ITEMS as usize, StreamKey::root(3), &Default::default());
        check::<B, _>(backend, &format!("{config:?}"), &encoder, &encoder.transformer.items.val());
    }
    let config = Bert4RecConfig { dim: 8, blocks: 1, max_length: 9, ..Bert4RecConfig::default() };
    let encoder = config.init(ITEMS as usize, StreamKey::root(3), &Default::default());
    check::<B, _>(backend, "bert4rec", &encoder, &encoder.transformer.items.val());
    let config = Gru4RecConfig { dim: 8, hidden: 12, max_length: 9, ..Gru4RecConfig::default() };
    let encoder = config.init(ITEMS as usize, StreamKey::root(3), &Default::default());
    check::<B, _>(backend, "gru4rec", &encoder, &encoder.items.val());
}

on_each_backend!(planned_requests_have_the_same_answers);
