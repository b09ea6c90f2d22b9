//! InfoNCE on any embeddings, in a loop of one's own with Burn's optimizer: two tables learn which rows belong together.
//!
//! `cargo run --release -p cl-core --example foreign_loop_core`

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Distribution, Tensor, backend::Backend};
use cl_core::contrast::{Reduction, Similarity, info_nce};

/// Any model; here, two tables.
#[derive(Module, Debug)]
struct Model<B: Backend> {
    a: Param<Tensor<B, 2>>,
    b: Param<Tensor<B, 2>>,
}

fn main() {
    type Train = Autodiff<Flex>;
    let device = Default::default();
    let table = || Param::from_tensor(Tensor::<Train, 2>::random([256, 32], Distribution::Default, &device));
    let mut model = Model { a: table(), b: table() };
    let mut optimizer = AdamConfig::new().init();
    for step in 0..=200 {
        let (a, b) = (model.a.val(), model.b.val()); // [256, 32]: row i of one belongs to row i of the other
        let loss = info_nce(a, b, Similarity::Cosine, 0.2, Reduction::Mean);
        if step % 50 == 0 {
            println!("step {step:3}: loss {:.4}", loss.clone().into_scalar());
        }
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.01, model, grads);
    }
}
