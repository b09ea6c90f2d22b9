//! Adam and AdamW: the rule itself, and behind Burn's adaptor on a module.

use burn::backend::Autodiff;
use burn::module::{Module, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorPrimitive};
use cl_core::kernels::OptimizerBackend;
use cl_core::optimizer::{AdamConfig, AdamWConfig, Rule, UpdateRule};
use serde::Deserialize;

use crate::TOLERANCE;
use crate::common::{Worst, on_each_backend, values};
use crate::read::{Matrix, file};

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "type")]
    name: String,
    lr: f64,
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    /// The parameter after each step.
    float64: Vec<Matrix>,
    float32: Vec<Matrix>,
}

#[derive(Deserialize)]
struct File {
    initial: Matrix,
    gradients: Vec<Matrix>,
    cases: Vec<Case>,
}

fn rule<B: OptimizerBackend>(case: &Case) -> Box<dyn UpdateRule<B>> {
    let Case { betas, eps, weight_decay, .. } = *case;
    let lr = case.lr.into();
    match case.name.as_str() {
        "adam" => Box::new(AdamConfig { lr, betas, eps, weight_decay }),
        "adamw" => Box::new(AdamWConfig { lr, betas, eps, weight_decay }),
        other => panic!("unknown optimizer {other}"),
    }
}

#[derive(Module, Debug)]
struct OneTable<B: Backend> {
    table: Param<Tensor<B, 2>>,
}

fn adam_and_adam_w<B: OptimizerBackend>(backend: &str) {
    let File { initial, gradients, cases } = file("adam");
    assert_eq!((cases.len(), gradients.len()), (8, 5));
    let mut worst = Worst::new(format!("Adam and AdamW on {backend}"), TOLERANCE);
    for case in &cases {
        let name = format!("{} lr {} decay {}", case.name, case.lr, case.weight_decay);
        let primitive = |matrix: &Matrix| matrix.tensor::<B>().into_primitive().tensor();

        // The rule itself.
        let of_rule = rule::<B>(case);
        let mut parameter = primitive(&initial);
        let mut state = vec![initial.tensor::<B>().zeros_like().into_primitive().tensor(); of_rule.states()];
        for (step, gradient) in gradients.iter().enumerate() {
            (parameter, state) = of_rule.update(case.lr, step + 1, parameter, primitive(gradient), state);
            let now = values(Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(parameter.clone())));
            worst.check(&now, &case.float64[step].data, &name);
            worst.check(&now, &case.float32[step].data, &name);
        }

        // Behind Burn's adaptor.
        let mut module = OneTable { table: Param::from_tensor(initial.tensor::<Autodiff<B>>()) };
        let mut optimizer = OptimizerAdaptor::from(Rule::<B>::new(rule(case)));
        for (step, gradient) in gradients.iter().enumerate() {
            // d/dθ Σ θ · g = g.
            let grads = (module.table.val() * gradient.tensor()).sum().backward();
            let grads = GradientsParams::from_grads(grads, &module);
            module = optimizer.step(case.lr, module, grads);
            let now = values(module.table.val());
            worst.check(&now, &case.float64[step].data, &format!("{name} on a module"));
        }
    }
}

on_each_backend!(adam_and_adam_w);
