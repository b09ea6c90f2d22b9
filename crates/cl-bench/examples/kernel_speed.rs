//! Seconds of single kernels, one JSON line each: beside other programs (`tests/bench_peers.py`), and under a tool that
//! counts instructions (`tests/count_instructions.py`).
//!
//! `cargo run --release --example kernel_speed -- spmm --data FOLDER`, or `info_nce --rows 16384`, `info_nce --keys 65536`, or `top_k`, or `attention --rows 256`
#![allow(clippy::unwrap_used)]

#[path = "../src/allocator.rs"]
mod allocator;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use cl_bench::Clock;
use cl_core::StreamKey;
use cl_core::contrast::{Keys, Pair, Reduction, Similarity, info_nce, info_nce_with_keys, normalize_rows};
use cl_core::kernels::{KeyMask, List};
use cl_core::rng::unit;
use cl_data::{DataConfig, SyntheticConfig};
use cl_eval::{Score, rank_embeddings};
use cl_graph::{Adjacency, BipartiteGraph, Normalization, spmm};
use cl_seq::{Attention, SequenceBackend};
use clap::{Parser, ValueEnum};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kernel {
    /// One product of a graph's normalised adjacency with a table
    Spmm,
    /// InfoNCE of two views, forward and backward
    InfoNce,
    /// The best 20 items of each user
    TopK,
    /// Causal attention in sequences of one length, its backward, and the products alone that this must do
    Attention,
}

#[derive(Parser)]
struct Args {
    kernel: Kernel,
    /// spmm: a folder with train and test files in LightGCN text [default: made-up data of 40,000 interactions]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Rows of a table: those of each view, or users
    #[arg(long, default_value_t = 2048)]
    rows: usize,
    /// top_k: items
    #[arg(long, default_value_t = 8192)]
    items: usize,
    /// attention: events of a sequence; `rows` is their number
    #[arg(long, default_value_t = 50)]
    length: usize,
    /// attention: heads
    #[arg(long, default_value_t = 2)]
    heads: usize,
    /// attention: share of weights that are dropped
    #[arg(long, default_value_t = 0.0)]
    dropout: f32,
    /// info_nce: keys of a queue, without gradient, as the negatives; 0: the rows of the other view
    #[arg(long, default_value_t = 0)]
    keys: usize,
    /// Width of a row
    #[arg(long, default_value_t = 64)]
    dim: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Calls that are timed; one more comes before them
    #[arg(long, default_value_t = 5)]
    times: usize,
    #[arg(long, value_enum, default_value = "wall")]
    clock: Clock,
}

/// A table of numbers in [−0.5, 0.5).
fn table(name: &str, rows: usize, dim: usize) -> TensorData {
    let key = StreamKey::root(1).child(name);
    let number = |at: usize| unit(key.words((at / dim) as u32, (at % dim) as u32)[0]) - 0.5;
    TensorData::new((0..rows * dim).map(number).collect::<Vec<f32>>(), [rows, dim])
}

/// Resident MiB as `/proc/self/status` has them under this name.
fn resident(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib = line.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse::<f64>().ok()?;
    Some(kib / 1024.0)
}

fn measure(args: &Args, name: &str, mut call: impl FnMut()) {
    let before = resident("VmRSS");
    // Sets the peak back. Where that is not allowed, it is of all that the process did.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    // The first call, when no buffer is there yet.
    call();
    let peak = resident("VmHWM");
    let mut seconds: Vec<f64> = (0..args.times)
        .map(|_| {
            let started = args.clock.now();
            call();
            args.clock.now() - started
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let line = json!({
        "kernel": name,
        "median_s": seconds.get(seconds.len() / 2),
        "min_s": seconds.first(),
        "peak_extra_mib": peak.zip(before).map(|(peak, before)| peak - before),
        "threads": rayon::current_num_threads(),
    });
    println!("{line}");
}

fn graph(data: Option<&Path>) -> BipartiteGraph {
    let config = match data {
        Some(path) => DataConfig { path: Some(path.into()), ..DataConfig::default() },
        None => DataConfig { synthetic: Some(SyntheticConfig::default()), ..DataConfig::default() },
    };
    let loaded = cl_data::load(&config, Path::new(""), 1).unwrap_or_else(|error| panic!("{error}"));
    let train = loaded.source.parts().next().unwrap();
    let pairs = train.user_items();
    BipartiteGraph::new(pairs.offsets(), pairs.items(), train.items.len())
}

fn attention(args: &Args) {
    let device = Default::default();
    let tokens = args.rows * args.length;
    let keys = (0..args.rows as u64).map(StreamKey::root).collect();
    let who = Attention {
        offsets: (0..=args.rows).map(|row| row * args.length).collect(),
        heads: args.heads,
        causal: true,
        dropout: (args.dropout > 0.0).then_some((args.dropout, keys)),
    };
    let primitives = || {
        ["q", "k", "v", "grad"].map(|name| {
            Tensor::<Flex, 2>::from_data(table(name, tokens, args.dim), &device).into_primitive().tensor()
        })
    };
    let [q, k, v, grad] = primitives();
    measure(args, "attention", || {
        std::hint::black_box(Flex::attend(&who, q.clone(), k.clone(), v.clone()));
    });
    measure(args, "attention_backward", || {
        std::hint::black_box(Flex::attend_backward(&who, q.clone(), k.clone(), v.clone(), grad.clone()));
    });
    // Scores, ∂values, ∂weights, ∂queries, ∂keys, over the whole square: the causal half is half of it.
    let (blocks, width) = (args.rows * args.heads, args.dim / args.heads);
    let wide = Tensor::<Flex, 2>::from_data(table("x", blocks * args.length, width), &device).reshape([
        blocks,
        args.length,
        width,
    ]);
    let square = wide.clone().matmul(wide.clone().swap_dims(1, 2));
    measure(args, "attention_products", || {
        for _ in 0..2 {
            std::hint::black_box(wide.clone().matmul(wide.clone().swap_dims(1, 2)));
        }
        for _ in 0..3 {
            std::hint::black_box(square.clone().matmul(wide.clone()));
        }
    });
}

fn main() {
    let args = Args::parse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).use_current_thread();
    pool.build_global().unwrap();
    let device = Default::default();
    match args.kernel {
        Kernel::Spmm => {
            let graph = graph(args.data.as_deref());
            let adjacency = Adjacency::new(Arc::new(graph), Normalization::Symmetric);
            let x = Tensor::<Flex, 2>::from_data(table("x", adjacency.nodes(), args.dim), &device);
            measure(&args, "spmm", || {
                std::hint::black_box(spmm(&adjacency, x.clone()));
            });
        }
        Kernel::InfoNce => {
            type B = Autodiff<Flex>;
            let table = |name, rows| Tensor::<B, 2>::from_data(table(name, rows, args.dim), &device);
            let step = |a: &Tensor<B, 2>, b: &Tensor<B, 2>, queue: Option<&Tensor<B, 2>>| {
                let Some(queue) = queue else {
                    return info_nce(a.clone(), b.clone(), Similarity::Cosine, 0.2, Reduction::Mean)
                        .backward();
                };
                let [anchors, positives, vectors] = [a, b, queue].map(|rows| normalize_rows(rows.clone()));
                // As a queue does: keys with the anchor's own id are hidden, here none.
                let keys = (0..vectors.dims()[0] as u32).collect();
                let own: List<u32> = (0..anchors.dims()[0] as u32).map(|row| u32::MAX - 1 - row).collect();
                let mask = KeyMask::Ids { anchors: own.clone(), keys };
                let pair =
                    Pair { anchors, positives, ids: own, keys: Keys::Others { vectors, mask: Some(mask) } };
                Reduction::Mean.apply(info_nce_with_keys(pair, false, 0.2)).backward()
            };
            let inputs = |rows, keys| {
                let [a, b] = ["a", "b"].map(|name| table(name, rows).require_grad()); // [rows, d]
                (a, b, (keys > 0).then(|| table("queue", keys)))
            };
            // Code and thread pools are in memory before the measurement, as in PyTorch's.
            let (a, b, queue) = inputs(64, args.keys.min(64));
            std::hint::black_box(step(&a, &b, queue.as_ref()));
            let (a, b, queue) = inputs(args.rows, args.keys);
            measure(&args, "info_nce", || {
                std::hint::black_box(step(&a, &b, queue.as_ref()));
            });
        }
        Kernel::Attention => attention(&args),
        Kernel::TopK => {
            let users = Tensor::<Flex, 2>::from_data(table("users", args.rows, args.dim), &device);
            let items = Tensor::<Flex, 2>::from_data(table("items", args.items, args.dim), &device);
            let rows: Vec<u32> = (0..args.rows as u32).collect();
            measure(&args, "top_k", || {
                let lists = rank_embeddings(users.clone(), items.clone(), &rows, &[], 20, Score::Raw);
                std::hint::black_box(lists);
            });
        }
    }
}
