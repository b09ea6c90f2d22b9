//! Projection heads and the effective rank.

use burn::backend::Autodiff;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use cl_core::StreamKey;
use cl_core::diagnostics::{Table, effective_rank};
use cl_core::projection::{LinearConfig, MlpConfig, Projection, ProjectionHead};
use serde::Deserialize;

use crate::TOLERANCE;
use crate::common::{Worst, on_each_backend, values};
use crate::read::{Matrix, file};

#[derive(Deserialize)]
struct Layer {
    weight: Matrix,
    bias: Matrix,
    grad_weight: Matrix,
    grad_bias: Matrix,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    name: String,
    input: Matrix,
    layers: Vec<Layer>,
    output: Matrix,
    upstream: Matrix,
    grad_input: Matrix,
}

#[derive(Deserialize)]
struct File<C> {
    cases: Vec<C>,
}

/// A head of any widths, as another crate could add one.
struct Widths(Vec<usize>);

impl Projection for Widths {
    fn widths(&self) -> Vec<usize> {
        self.0.clone()
    }
}

/// Puts the given numbers in the place of the parameters, in their order.
struct Fill<'a>(std::vec::IntoIter<&'a Matrix>);

impl<B: Backend> ModuleMapper<B> for Fill<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let matrix = self.0.next().unwrap();
        let (id, tensor, mapper) = param.consume();
        assert_eq!(tensor.shape().to_vec(), matrix.shape);
        let data = TensorData::new(matrix.data.clone(), matrix.shape.clone()).convert::<f32>();
        let tensor = Tensor::from_data(data, &tensor.device()).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// The gradients of the parameters, in their order.
struct Collect<'a, B: AutodiffBackend> {
    grads: &'a B::Gradients,
    found: Vec<Vec<f64>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Collect<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.found.push(values(param.val().grad(self.grads).unwrap()));
    }
}

fn projection_heads<B: Backend>(backend: &str) {
    let File::<Head> { cases } = file("projection");
    let mut worst = Worst::new(format!("projection heads on {backend}, values and gradients"), TOLERANCE);
    for case in &cases {
        let widths: Vec<usize> = case.layers.iter().map(|layer| layer.weight.shape[1]).collect();
        // The shapes of our own components, where the golden head has one width for all hidden layers.
        match (case.name.as_str(), &widths[..]) {
            ("linear", &[dim]) => assert_eq!(LinearConfig { dim }.widths(), widths),
            ("mlp", &[hidden, dim]) => assert_eq!(MlpConfig { dim, hidden, layers: 2 }.widths(), widths),
            ("mlp", _) => {}
            other => panic!("unknown head {other:?}"),
        }
        let head = ProjectionHead::<Autodiff<B>>::new(
            &Widths(widths),
            case.input.shape[1],
            StreamKey::root(1),
            &Default::default(),
        );
        let parameters: Vec<&Matrix> =
            case.layers.iter().flat_map(|layer| [&layer.weight, &layer.bias]).collect();
        let head = head.map(&mut Fill(parameters.into_iter()));
        let input = case.input.tensor::<Autodiff<B>>().require_grad();
        let output = head.forward(input.clone());
        worst.check(&values(output.clone()), &case.output.data, &case.name);
        let grads = (output * case.upstream.tensor()).sum().backward();
        worst.check(&values(input.grad(&grads).unwrap()), &case.grad_input.data, &case.name);
        let mut collect = Collect::<Autodiff<B>> { grads: &grads, found: Vec::new() };
        head.visit(&mut collect);
        let expected = case.layers.iter().flat_map(|layer| [&layer.grad_weight, &layer.grad_bias]);
        assert_eq!(collect.found.len(), 2 * case.layers.len());
        for (found, expected) in collect.found.iter().zip(expected) {
            worst.check(found, &expected.data, &case.name);
        }
    }
}

on_each_backend!(projection_heads);

#[derive(Deserialize)]
struct RankCase {
    name: String,
    matrix: Matrix,
    effective_rank: f64,
}

#[test]
fn effective_ranks() {
    let File::<RankCase> { cases } = file("effective_rank");
    assert_eq!(cases.len(), 8);
    // The roots of the Gram matrix's eigenvalues: a singular value that is zero in exact arithmetic comes out as up to
    // 1e-8 of the largest, and p ln p of it as 2e-7.
    let mut worst = Worst::new("effective rank", 1e-6);
    for case in &cases {
        let data: Vec<f32> = case.matrix.data.iter().map(|&x| x as f32).collect();
        let found = effective_rank(Table::new(&data, case.matrix.shape[1])).unwrap();
        worst.check(&[found], &[case.effective_rank], &case.name);
    }
}
