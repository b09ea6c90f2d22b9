//! SASRec against the golden numbers of `tests/golden`, made by PyTorch in f64 on padded batches.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use burn::backend::Autodiff;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use cl_core::{Encoder, Request, Rows, StreamKey};
use cl_seq::{Activation, Norm, Pooling, Positions, SasRecConfig, SequenceBackend, SequenceInput};
use common::{Worst, on_each_backend, tensor, values};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    norm: Norm,
    positions: Positions,
    scale_embeddings: bool,
    activation: Activation,
    heads: usize,
    inner: usize,
    blocks: usize,
    pooling: Pooling,
    parameters: BTreeMap<String, Array>,
    states: Array,
    wholes: Array,
    of_states: Array,
    of_wholes: Array,
    gradients: BTreeMap<String, Array>,
}

#[derive(Deserialize)]
struct File {
    items: usize,
    length: usize,
    dim: usize,
    sequences: Vec<Vec<u32>>,
    cases: Vec<Case>,
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

fn states_and_gradients<B: SequenceBackend>(backend: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/sas_rec.json");
    let File { items, length, dim, sequences, cases } =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(cases.len(), 5);
    let mut forward = Worst::new(format!("SASRec on {backend}, states"), TOLERANCE);
    let mut backward = Worst::new(format!("SASRec on {backend}, gradients"), TOLERANCE);
    for case in &cases {
        let config = SasRecConfig {
            dim,
            blocks: case.blocks,
            heads: case.heads,
            inner: Some(case.inner),
            max_length: length,
            norm: case.norm,
            positions: case.positions,
            scale_embeddings: case.scale_embeddings,
            activation: case.activation,
            pooling: case.pooling,
            ..SasRecConfig::default()
        };
        config.validate().unwrap();
        let encoder = config.init::<Autodiff<B>>(items, StreamKey::root(1), &Default::default());
        let mut load = Load { path: Vec::new(), parameters: &case.parameters, found: 0 };
        let encoder = encoder.map(&mut load);
        assert_eq!(load.found, case.parameters.len());

        let name = format!("{:?}, {:?}, {} heads", case.norm, case.positions, case.heads);
        // Without a key there is no dropout.
        let input = SequenceInput::newest(sequences.iter().map(Vec::as_slice), length, items as u32);
        let rows = input.numbering();
        let ask = |rows| Request { input: input.clone(), rows: Rows::Range(rows) };
        let events = sequences.iter().map(Vec::len).sum::<usize>() as u32;
        let answers = encoder.encode(&[ask(rows.state(0)..rows.state(events)), ask(rows.wholes())]);
        forward.check(&values(answers[0].clone()), &case.states.data, &name);
        forward.check(&values(answers[1].clone()), &case.wholes.data, &name);

        let upstream = [&case.of_states, &case.of_wholes]
            .map(|of| tensor::<Autodiff<B>, 2>(&of.data, [of.shape[0], of.shape[1]]));
        let parts = answers.into_iter().zip(upstream).map(|(answer, of)| (answer * of).sum());
        let grads = parts.reduce(|sum, part| sum + part).unwrap().backward();
        let mut found = Gradients::<Autodiff<B>> { path: Vec::new(), of: &grads, found: BTreeMap::new() };
        encoder.visit(&mut found);
        // A single sequence of keys shifts no softmax, so the gradient of its bias is 0: one scale for all parameters.
        let (mut all, mut expected) = (Vec::new(), Vec::new());
        for (path, of) in &case.gradients {
            all.extend(&found.found[path]);
            expected.extend(&of.data);
        }
        backward.check(&all, &expected, &name);
    }
}

on_each_backend!(states_and_gradients);
