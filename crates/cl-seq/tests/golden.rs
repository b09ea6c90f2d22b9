//! Encoders against the golden numbers of `tests/golden`, made by PyTorch in f64 on padded batches.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;

use burn::backend::Autodiff;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use cl_core::{Encoder, Request, Rows, StreamKey};
use cl_seq::{Bert4RecConfig, Gru4RecConfig, SasRecConfig, SequenceBackend, SequenceEncoder, SequenceInput};
use common::{Worst, on_each_backend, tensor, values};
use serde::Deserialize;
use serde::de::DeserializeOwned;

const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

#[derive(Deserialize)]
struct Case<C> {
    config: C,
    parameters: BTreeMap<String, Array>,
    outputs: BTreeMap<String, Array>,
    upstream: BTreeMap<String, Array>,
    gradients: BTreeMap<String, Array>,
}

#[derive(Deserialize)]
struct File<C> {
    items: usize,
    length: usize,
    dim: usize,
    sequences: Vec<Vec<u32>>,
    cases: Vec<Case<C>>,
}

/// Puts parameters into a module by their paths.
struct Load<'a> {
    path: Vec<String>,
    parameters: &'a BTreeMap<String, Array>,
    found: usize,
}

impl<B: Backend> ModuleMapper<B> for Load<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let of = &self.parameters[&self.path.join(".")];
        assert_eq!(param.val().dims().to_vec(), of.shape, "{:?}", self.path);
        self.found += 1;
        let values: Vec<f32> = of.data.iter().map(|&x| x as f32).collect();
        Param::from_data(TensorData::new(values, of.shape.clone()), &param.val().device())
    }
}

/// The gradients of a module by path.
struct Gradients<'a, B: AutodiffBackend> {
    path: Vec<String>,
    of: &'a B::Gradients,
    found: BTreeMap<String, Vec<f64>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Gradients<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let grad = param.val().grad(self.of).unwrap();
        self.found.insert(self.path.join("."), values(grad));
    }
}

/// Holds outputs and gradients of each case against the file's; `init` makes an encoder of a configuration.
fn check<B: SequenceBackend, C: DeserializeOwned + Debug, E>(
    name: &str,
    backend: &str,
    count: usize,
    init: impl Fn(C, usize, usize, usize) -> E,
) where
    E: Encoder<Autodiff<B>, Input = SequenceInput> + Module<Autodiff<B>>,
{
    let file = format!("{}/../../tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let File::<C> { items, length, dim, sequences, cases } =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(cases.len(), count);
    let mut forward = Worst::new(format!("{name} on {backend}, outputs"), TOLERANCE);
    let mut backward = Worst::new(format!("{name} on {backend}, gradients"), TOLERANCE);
    for case in cases {
        let context = format!("{:?}", case.config);
        let encoder = init(case.config, items, dim, length);
        let mut load = Load { path: Vec::new(), parameters: &case.parameters, found: 0 };
        let encoder = encoder.map(&mut load);
        assert_eq!(load.found, case.parameters.len());

        // Without a key there is no dropout.
        let input = SequenceInput::newest(sequences.iter().map(Vec::as_slice), length, items as u32);
        let rows = input.numbering();
        let events = sequences.iter().map(Vec::len).sum::<usize>() as u32;
        let asked = [
            ("states", rows.state(0)..rows.state(events)),
            ("wholes", rows.wholes()),
            ("items", rows.items()),
        ];
        let requests = asked
            .each_ref()
            .map(|(_, rows)| Request { input: input.clone(), rows: Rows::Range(rows.clone()) });
        let answers = encoder.encode(&requests);
        let mut loss = Tensor::zeros([1], &Default::default());
        for ((what, _), answer) in asked.iter().zip(answers) {
            forward.check(&values(answer.clone()), &case.outputs[*what].data, &format!("{what}, {context}"));
            let of = &case.upstream[*what];
            let upstream = tensor::<Autodiff<B>, 2>(&of.data, [of.shape[0], of.shape[1]]);
            loss = loss + (answer * upstream).sum();
        }
        let grads = loss.backward();
        let mut found = Gradients::<Autodiff<B>> { path: Vec::new(), of: &grads, found: BTreeMap::new() };
        encoder.visit(&mut found);
        // A single sequence of keys shifts no softmax, so the gradient of its bias is 0: one scale for all parameters.
        let (mut all, mut expected) = (Vec::new(), Vec::new());
        for (path, of) in &case.gradients {
            all.extend(&found.found[path]);
            expected.extend(&of.data);
        }
        backward.check(&all, &expected, &context);
    }
}

fn sas_rec<B: SequenceBackend>(backend: &str) {
    check::<B, SasRecConfig, _>("sas_rec", backend, 5, |config, items, dim, max_length| {
        let config = SasRecConfig { dim, max_length, ..config };
        config.validate().unwrap();
        config.init(items, StreamKey::root(1), &Default::default())
    });
}

fn bert4rec<B: SequenceBackend>(backend: &str) {
    check::<B, Bert4RecConfig, _>("bert4rec", backend, 3, |config, items, dim, max_length| {
        let config = Bert4RecConfig { dim, max_length, ..config };
        config.validate().unwrap();
        config.init(items, StreamKey::root(1), &Default::default())
    });
}

fn gru4rec<B: SequenceBackend>(backend: &str) {
    check::<B, Gru4RecConfig, _>("gru4rec", backend, 3, |config, items, dim, max_length| {
        let config = Gru4RecConfig { dim, max_length, ..config };
        config.validate().unwrap();
        config.init(items, StreamKey::root(1), &Default::default())
    });
}

on_each_backend!(sas_rec, bert4rec, gru4rec);
