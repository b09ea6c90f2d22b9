//! This crate in somebody else's training loop: next-item prediction on sequences that count upwards.
//!
//!     cargo run --release -p cl-seq --example foreign_loop_seq

use burn::backend::{Autodiff, Flex};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Int, Tensor, activation::log_softmax};
use cl_core::{Encoder, Request, Rows, StreamKey};
use cl_seq::{SasRecConfig, SequenceEncoder, SequenceInput};

type B = Autodiff<Flex>;
const ITEMS: u32 = 30;

fn main() {
    let device = Default::default();
    let config = SasRecConfig { dim: 32, dropout: 0.1, max_length: 8, ..SasRecConfig::default() };
    let mut encoder = config.init::<B>(ITEMS as usize, StreamKey::root(1).child("init"), &device);
    let mut optimizer = AdamConfig::new().init();
    // User u saw items u, u + 1, … u + 5; the next one is to be found after each.
    let seen: Vec<Vec<u32>> = (0..24).map(|user| (user..user + 6).collect()).collect();
    let next: Vec<i32> = seen.iter().flatten().map(|item| *item as i32 + 1).collect();
    let next = Tensor::<B, 1, Int>::from_ints(next.as_slice(), &device).unsqueeze_dim::<2>(1);
    for step in 0..60 {
        let mut input = SequenceInput::newest(seen.iter().map(Vec::as_slice), 8, ITEMS);
        input.dropout = Some(StreamKey::root(1).child("dropout").at(step));
        let rows = input.numbering();
        let states = Rows::Range(rows.state(0)..rows.state(24 * 6));
        let items = Rows::Range(rows.items());
        let request = |rows| Request { input: input.clone(), rows };
        let [states, items] =
            encoder.encode(&[request(states), request(items)]).try_into().expect("two answers");
        let loss = -log_softmax(states.matmul(items.transpose()), 1).gather(1, next.clone()).mean();
        if step % 10 == 9 {
            println!("step {}: loss {:.3}", step + 1, loss.clone().into_scalar());
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &encoder);
        encoder = optimizer.step(1e-2, encoder, gradients);
    }
}
