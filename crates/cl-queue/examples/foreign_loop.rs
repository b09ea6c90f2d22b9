//! MoCo in a loop of one's own: any module, Burn's optimizer, a momentum copy and a queue of its keys. Rows that belong
//! together are noisy copies of one hidden vector.
//!
//! `cargo run --release -p cl-queue --example foreign_loop_queue`

use burn::backend::{Autodiff, Flex};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Distribution, Tensor};
use cl_core::contrast::{Keys, Pair, Reduction, info_nce_with_keys, normalize_rows};
use cl_queue::{Fifo, MomentumEncoder};

type Train = Autodiff<Flex>;

fn main() {
    let device = Default::default();
    let noise = || Tensor::<Train, 2>::random([64, 16], Distribution::Normal(0.0, 0.3), &device);
    let mut model: Linear<Train> = LinearConfig::new(16, 32).init(&device);
    let mut copy = MomentumEncoder::new(&model);
    let mut queue = Fifo::<Flex>::new(1000); // no multiple of the batch, and need not be
    let mut optimizer = AdamConfig::new().init();
    for step in 0..=300_u64 {
        let things = Tensor::<Train, 2>::random([64, 16], Distribution::Normal(0.0, 1.0), &device); // [batch, in]
        let ids: Vec<u32> = (0..64).map(|row| step as u32 * 64 + row).collect();

        copy.update(&model, 0.99);
        let anchors = normalize_rows(model.forward(things.clone() + noise())); // [batch, out]
        let positives = normalize_rows(copy.copy().forward((things + noise()).inner())); // [batch, out], no gradient
        let loss = queue.keys().map(|(keys, _)| {
            let keys = Keys::Others { vectors: Tensor::from_inner(keys), mask: None };
            let positives = Tensor::from_inner(positives.clone());
            let pair = Pair { anchors, positives, ids: ids.clone().into(), keys };
            Reduction::Mean.apply(info_nce_with_keys(pair, false, 0.2))
        });
        if let Some(loss) = loss {
            if step % 50 == 0 {
                println!(
                    "step {step:3}: loss {:.4} against {} keys",
                    loss.clone().into_scalar(),
                    queue.len()
                );
            }
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(0.01, model, grads);
        }
        queue.push(positives, &ids, &ids, step);
    }
}
