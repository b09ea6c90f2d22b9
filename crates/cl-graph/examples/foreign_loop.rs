//! LightGCN with XSimGCL's views in a loop of one's own, with Burn's optimizer.
//!
//! `cargo run --release -p cl-graph --example foreign_loop_graph`

use std::sync::Arc;

use burn::backend::{Autodiff, Flex};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use cl_core::contrast::{Reduction, Similarity, info_nce};
use cl_core::objective::{BprForm, Triples, bpr};
use cl_core::registry::Component;
use cl_core::sampling::Sampling;
use cl_core::source::Source;
use cl_core::views::{At, Views};
use cl_core::{Encoder, Request, StreamKey};
use cl_graph::views::CrossLayerConfig;
use cl_graph::{
    BipartiteGraph, GraphEncoder, GraphInput, GraphSource, LightGcnConfig, Normalization, Sampler,
};

/// 200 users and 120 items in four groups: a user takes 12 of the 30 items of its own group.
fn graph() -> BipartiteGraph {
    let rows = (0..200).map(|user| {
        let mut items: Vec<u32> =
            (0..12).map(|k| (user % 4) * 30 + (user * 7 + k * (1 + user % 2)) % 30).collect();
        items.sort_unstable();
        items
    });
    BipartiteGraph::new(
        &(0..=200).map(|user| 12 * user).collect::<Vec<_>>(),
        &rows.flatten().collect::<Vec<_>>(),
        120,
    )
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    type Train = Autodiff<Flex>;
    let (graph, key) = (Arc::new(graph()), StreamKey::root(2024));
    let mut source = GraphSource::new(
        graph.clone(),
        Normalization::Symmetric,
        Sampler::Edges,
        256,
        Some(Sampling::Uniform),
    )?;
    let mut views: Box<dyn Views<GraphInput>> = CrossLayerConfig { layer: 1, noise: 0.2 }.build();
    let config = LightGcnConfig { dim: 32, include_layer_zero: false, ..LightGcnConfig::default() };
    let mut encoder = config.init::<Train>(&graph, key, &Default::default());
    let mut optimizer = AdamConfig::new().init();
    for epoch in 0..20 {
        let mut sum = 0.0;
        for step in 0..source.steps() as u64 {
            let at = |name| At { key: key.child(name), epoch, step };
            let batch = source.batch(at("batches"), 1);
            let drawn = views.draw(&source.clean(&batch), at("views"));
            let ask =
                |input: &GraphInput, rows: &_| Request { input: input.clone(), rows: Clone::clone(rows) };
            let requests = [&batch.anchors, &batch.positives, &batch.negatives.rows()]
                .map(|rows| ask(&drawn.objective, rows));
            let pairs =
                [&batch.anchors, &batch.positives].map(|rows| [ask(&drawn.a, rows), ask(&drawn.b, rows)]);
            // One pass over the graph answers all seven requests.
            let mut rows = encoder.encode(&[&requests[..], &pairs.concat()].concat()).into_iter();
            let mut next = || rows.next().unwrap_or_else(|| unreachable!("one answer a request"));
            let triples = Triples {
                anchors: next(),
                positives: next(),
                negatives: next().into(),
                catalogue: None,
                log_q: None,
                items: 9,
            };
            let mut loss = Reduction::Mean.apply(bpr(triples, BprForm::Softplus));
            for _ in ["users", "items"] {
                loss = loss
                    + info_nce(next(), next(), Similarity::Cosine, 0.15, Reduction::Mean).mul_scalar(0.2);
            }
            sum += loss.clone().into_scalar();
            let grads = GradientsParams::from_grads(loss.backward(), &encoder);
            encoder = optimizer.step(0.005, encoder, grads);
        }
        println!("epoch {epoch:2}: loss {:.4}", sum / source.steps() as f32);
    }
    Ok(())
}
