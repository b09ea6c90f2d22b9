//! The host kernels against the portable bodies on random plans, their bits against the rows asked for and the number of
//! threads.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;
mod graphs;

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};
use cl_core::rng::below;
use cl_core::{Encoder, Request, Rows, StreamKey};
use cl_graph::kernels::portable;
use cl_graph::{
    Adjacency, GraphBackend, GraphEncoder, GraphInput, Keep, Kept, LightGcnConfig, Noise, Normalization,
    Output, PerLayer, Plan, Share, Storage, Structure, propagate,
};
use common::{Worst, bits, compiles_kernels, error, on_each_backend, random, tensor, values, with_threads};

/// f32 against f32, sums in another order.
const TOLERANCE: f64 = 1e-5;
const DIMS: [usize; 7] = [1, 7, 32, 50, 64, 128, 200];

fn primitive<B: GraphBackend>(tensor: Tensor<B, 2>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn wrap<B: GraphBackend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Whole and dropped graphs over the same nodes, by marks and by rules, renormalised or not, one for each layer, and one
/// without any edge.
fn structures(key: StreamKey, users: usize, items: usize, normalization: Normalization) -> Vec<Structure> {
    let graph = Arc::new(graphs::random(key, users, items, 6));
    let whole = Adjacency::new(graph.clone(), normalization);
    let keep = |name: &str, of: u32| -> Vec<bool> {
        let key = key.child(name);
        (0..graph.edges() as u32).map(|edge| below(key.words(edge, 0)[0], 10) < of).collect()
    };
    let base = whole.clone();
    let share = move |name: &str, rate, keep| Share { key: key.child(name), rate, keep };
    vec![
        Structure::Same(whole.clone()),
        Structure::Same(whole.dropped(&keep("a", 9), true)),
        Structure::Same(whole.kept(Kept::Edges(share("b", 0.5, Keep::Each)), false)),
        Structure::Same(whole.dropped(&keep("none", 0), true)),
        Structure::PerLayer(PerLayer::new(graph.nodes(), move |layer| {
            base.kept(Kept::Edges(share(&format!("layer {layer}"), 0.2, Keep::Floor)), true)
        })),
    ]
}

/// A random list of requests: few kinds of passes, so that some are shared, and rows with repeats, ranges, and none.
fn requests(key: StreamKey, structures: &[Structure], layers: usize) -> Vec<Request<GraphInput>> {
    let nodes = structures[0].nodes() as u32;
    let count = below(key.words(0, 0)[0], 7);
    (1..=count)
        .map(|request| {
            let [a, b, c, d] = key.words(request, 0);
            let [e, f, ..] = key.words(request, 1);
            let noise = match below(b, 3) {
                0 => None,
                kind => Some(Noise { key: key.child("noise").at(u64::from(kind)), magnitude: 0.1 }),
            };
            let output = match below(c, 3) {
                0 => Output::Layer(below(d, layers as u32 + 1) as usize),
                _ => Output::Final,
            };
            let rows = match below(e, 5) {
                0 => Rows::List([].into()),
                1 => Rows::Range(below(f, nodes)..nodes),
                2 => Rows::Range(0..0),
                _ => {
                    let row = |at| below(key.words(request, 2 + at)[0], nodes);
                    Rows::List((0..below(f, 150)).map(row).collect())
                }
            };
            let structure = structures[below(a, structures.len() as u32) as usize].clone();
            Request { input: GraphInput { structure, noise, output }, rows }
        })
        .collect()
}

fn random_plans<B: GraphBackend>(backend: &str) {
    let mut forward = Worst::new(format!("propagate on {backend}"), TOLERANCE);
    let mut backward = Worst::new(format!("propagate_backward on {backend}"), TOLERANCE);
    // A sum whose last bit differs may be rounded the other way, by one of 2^8; gradients are rounded more often here.
    let mut forward_bf16 = Worst::new(format!("propagate, bf16, on {backend}"), 8e-3);
    let mut backward_bf16 = Worst::new(format!("propagate_backward, bf16, on {backend}"), 2e-2);
    for (at, dim) in DIMS.into_iter().enumerate() {
        for layers in 0..=4 {
            for draw in 0..24_u64 {
                let key = StreamKey::root(41).at(dim as u64).at(layers as u64).at(draw);
                let (users, items) = ([1, 37, 310][draw as usize % 3], [1, 53, 90][(draw as usize + at) % 3]);
                let normalization =
                    if draw % 4 == 3 { Normalization::Left } else { Normalization::Symmetric };
                let structures = structures(key, users, items, normalization);
                let mut requests = requests(key.child("requests"), &structures, layers);
                let storage = if draw / 3 % 2 == 0 { Storage::F32 } else { Storage::Bf16 };
                if storage == Storage::Bf16 && (dim == 1 || compiles_kernels(backend)) {
                    // Noise has the sign of the sum that it is added to, and rounding leaves sums that are 0 but for the
                    // order of addition, or for a product and a sum in one instruction.
                    requests.iter_mut().for_each(|request| request.input.noise = None);
                }
                let (forward, backward) = match storage {
                    Storage::F32 => (&mut forward, &mut backward),
                    Storage::Bf16 => (&mut forward_bf16, &mut backward_bf16),
                };
                let plan = Plan::new(layers, draw % 2 == 0, users + items, &requests).stored(storage);
                let plan = Arc::new(plan);
                let name = format!("dim {dim}, {layers} layers, draw {draw}: {plan:?}");

                let table =
                    tensor::<B, 2>(&random(key.child("table"), (users + items) * dim), [users + items, dim]);
                let found = wrap::<B>(B::propagate(&plan, primitive(table.clone())));
                let expected = wrap::<B>(portable::propagate::<B>(&plan, primitive(table)));
                assert_eq!(found.dims(), [plan.rows(), dim], "{name}");
                forward.check(&values(found), &values(expected), &name);

                let grad = tensor::<B, 2>(&random(key.child("grad"), plan.rows() * dim), [plan.rows(), dim]);
                let found = wrap::<B>(B::propagate_backward(&plan, primitive(grad.clone())));
                let expected = wrap::<B>(portable::propagate_backward::<B>(&plan, primitive(grad)));
                assert_eq!(found.dims(), [users + items, dim], "{name}");
                backward.check(&values(found), &values(expected), &name);
            }
        }
    }
}

fn products<B: GraphBackend>(backend: &str) {
    let mut worst = Worst::new(format!("spmm on {backend}"), TOLERANCE);
    for dim in DIMS {
        for normalization in [Normalization::Symmetric, Normalization::Left] {
            let key = StreamKey::root(42).at(dim as u64);
            for structure in &structures(key, 70, 91, normalization)[..4] {
                let Structure::Same(adjacency) = structure else { unreachable!() };
                let x = tensor::<B, 2>(&random(key.child("x"), 161 * dim), [161, dim]);
                // Also a matrix that is not contiguous.
                let turned = tensor::<B, 2>(&random(key.child("turned"), 161 * dim), [dim, 161]).transpose(); // [161, dim]
                for x in [x, turned] {
                    for transposed in [false, true] {
                        let found = wrap::<B>(B::spmm(adjacency, transposed, primitive(x.clone())));
                        let expected =
                            wrap::<B>(portable::spmm::<B>(adjacency, transposed, primitive(x.clone())));
                        worst.check(&values(found), &values(expected), &format!("dim {dim}"));
                    }
                }
            }
        }
    }
}

/// Users 0 to 599 took item 0, every tenth user item 1, user 600 all of 300 items, user 601 none, and no one item 300.
fn star() -> Adjacency {
    let row = |user: u32| -> Vec<u32> {
        match user {
            600 => (0..300).collect(),
            601 => vec![],
            user if user % 10 == 0 => vec![0, 1],
            _ => vec![0],
        }
    };
    let rows: Vec<_> = (0..602).map(row).collect();
    Adjacency::new(Arc::new(graphs::from_rows(&rows, 301)), Normalization::Symmetric)
}

/// Rows that are longer than what one unit of a GPU sums, beside rows of one value and none.
fn long_rows_and_empty_ones<B: GraphBackend>(backend: &str) {
    let mut worst = Worst::new(format!("long rows on {backend}"), TOLERANCE);
    let adjacency = star();
    let nodes = adjacency.nodes();
    for dim in DIMS {
        let key = StreamKey::root(48).at(dim as u64);
        let x = tensor::<B, 2>(&random(key.child("x"), nodes * dim), [nodes, dim]);
        for transposed in [false, true] {
            let found = values(wrap::<B>(B::spmm(&adjacency, transposed, primitive(x.clone()))));
            let expected = wrap::<B>(portable::spmm::<B>(&adjacency, transposed, primitive(x.clone())));
            worst.check(&found, &values(expected), &format!("dim {dim}"));
            // User 601 and item 300.
            for row in [601, 902] {
                assert!(found[row * dim..][..dim].iter().all(|&x| x == 0.0), "row {row}, dim {dim}");
            }
        }
        // Item 0 and item 1 wanted often, so that their gradients are long sums too.
        let rows = Rows::List((0..900).map(|at| [602, 603, at, 600][at as usize % 4]).collect());
        let noise = Noise { key, magnitude: 0.1 };
        let input = GraphInput::clean(adjacency.clone());
        let requests = [
            Request { input: input.with_noise(noise), rows: rows.clone() },
            Request { input, rows: Rows::List([0, 601, 902, 602].into()) },
        ];
        let plan = Arc::new(Plan::new(2, true, nodes, &requests));
        let found = wrap::<B>(B::propagate(&plan, primitive(x.clone())));
        let expected = wrap::<B>(portable::propagate::<B>(&plan, primitive(x)));
        worst.check(&values(found), &values(expected), &format!("propagate, dim {dim}"));
        let grad = tensor::<B, 2>(&random(key.child("grad"), plan.rows() * dim), [plan.rows(), dim]);
        let found = wrap::<B>(B::propagate_backward(&plan, primitive(grad.clone())));
        let expected = wrap::<B>(portable::propagate_backward::<B>(&plan, primitive(grad)));
        worst.check(&values(found), &values(expected), &format!("propagate_backward, dim {dim}"));
    }
}

fn runs_give_the_same_bits<B: GraphBackend>(_backend: &str) {
    let adjacency = star();
    let (nodes, key) = (adjacency.nodes(), StreamKey::root(49));
    for (dim, storage) in [(50, Storage::F32), (64, Storage::F32), (64, Storage::Bf16)] {
        let clean = GraphInput::clean(adjacency.clone());
        let noise = Noise { key, magnitude: 0.1 };
        let rows = Rows::List((0..3000).map(|at| below(key.words(at, 0)[0], nodes as u32)).collect());
        let requests =
            [Request { input: clean.with_noise(noise), rows: rows.clone() }, Request { input: clean, rows }];
        let plan = Arc::new(Plan::new(3, true, nodes, &requests).stored(storage));
        let run = || {
            let table = tensor::<B, 2>(&random(key.child("table"), nodes * dim), [nodes, dim]);
            let grad = tensor::<B, 2>(&random(key.child("grad"), plan.rows() * dim), [plan.rows(), dim]);
            let product = wrap::<B>(B::spmm(&adjacency, false, primitive(table.clone())));
            let grad = wrap::<B>(B::propagate_backward(&plan, primitive(grad)));
            [bits(product), bits(propagate(&plan, table)), bits(grad)]
        };
        let first = run();
        for again in 1..=5 {
            assert!(first == run(), "run {again}, dim {dim}, {storage:?}");
        }
    }
}

/// What an encoder's rows are does not depend on who else is asked for.
fn some_rows_are_the_same_rows_of_all<B: GraphBackend>(_backend: &str) {
    for dim in [7, 64] {
        for (layers, include_layer_zero) in [(0, true), (1, false), (2, true), (3, false)] {
            let key = StreamKey::root(43).at(dim as u64);
            let structures = structures(key, 37, 53, Normalization::Symmetric);
            let table = tensor::<B, 2>(&random(key.child("table"), 90 * dim), [90, dim]);
            let noise = Noise { key, magnitude: 0.2 };
            for (structure, storage) in structures
                .iter()
                .flat_map(|structure| [(structure, Storage::F32), (structure, Storage::Bf16)])
            {
                for (noise, output) in [
                    (None, Output::Final),
                    (Some(noise), Output::Final),
                    (Some(noise), Output::Layer(layers.min(1))),
                    (Some(noise), Output::Layer(layers)),
                ] {
                    let input = GraphInput { structure: structure.clone(), noise, output };
                    let run = |requests: &[Request<GraphInput>]| {
                        let plan = Plan::new(layers, include_layer_zero, 90, requests).stored(storage);
                        let plan = Arc::new(plan);
                        bits(propagate(&plan, table.clone()))
                    };
                    let request = |rows| Request { input: input.clone(), rows };
                    let all = run(&[request(Rows::Range(0..90))]);
                    let some: Vec<u32> = vec![3, 88, 3, 40, 0];
                    let list = Rows::List(some.clone().into());
                    let expected: Vec<u32> =
                        some.iter().flat_map(|&row| all[row as usize * dim..][..dim].to_vec()).collect();
                    assert_eq!(run(&[request(list.clone())]), expected, "alone");
                    // Beside a clean and a noisier pass over the same graph, which share their first product.
                    let clean = GraphInput { noise: None, output: Output::Final, ..input.clone() };
                    let other = clean.with_noise(Noise { key: key.child("other"), magnitude: 0.3 });
                    let beside = run(&[
                        Request { input: clean, rows: Rows::Range(0..90) },
                        request(list.clone()),
                        Request { input: other, rows: Rows::Range(5..9) },
                    ]);
                    assert_eq!(beside[90 * dim..95 * dim], expected, "beside other passes");
                }
            }
        }
    }
}

/// What is made ready by another thread is what the kernels would have made.
fn prepared_plans_give_the_same_bits<B: GraphBackend>(backend: &str) {
    for (draw, layers) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (5, 2)] {
        let key = StreamKey::root(50).at(draw);
        let (users, items, dim) = (310, 90, [16, 7][draw as usize % 2]);
        let structures = structures(key, users, items, Normalization::Symmetric);
        let requests = requests(key.child("requests"), &structures, layers);
        let plan = || Arc::new(Plan::new(layers, draw % 2 == 0, users + items, &requests));
        let table = tensor::<B, 2>(&random(key.child("table"), (users + items) * dim), [users + items, dim]);
        let run = |plan: &Arc<Plan>| {
            let grad = tensor::<B, 2>(&random(key.child("grad"), plan.rows() * dim), [plan.rows(), dim]);
            let out = wrap::<B>(B::propagate(plan, primitive(table.clone())));
            [bits(out), bits(wrap::<B>(B::propagate_backward(plan, primitive(grad))))]
        };
        let ahead = plan();
        let prepare = B::preparer(&Default::default(), draw % 3 > 0);
        assert_eq!(prepare.is_some(), compiles_kernels(backend), "GPUs alone have something to make ready");
        let Some(prepare) = prepare else { return };
        std::thread::scope(|scope| {
            let ahead = &ahead;
            scope.spawn(move || prepare(ahead)).join().unwrap();
        });
        assert!(run(&ahead) == run(&plan()), "draw {draw}: {ahead:?}");
        assert!(run(&ahead) == run(&plan()), "draw {draw}, once more: {ahead:?}");
    }
}

fn bits_do_not_depend_on_threads<B: GraphBackend>(_backend: &str) {
    let key = StreamKey::root(44);
    // Several pieces of work, and not as many values as the loops of a software Vulkan have turns (65,535): there the
    // portable product, which goes through all values in one loop, leaves the others out.
    let graph = Arc::new(graphs::random(key, 1250, 1000, 30));
    let nodes = graph.nodes();
    let whole = Adjacency::new(graph.clone(), Normalization::Symmetric);
    assert!(whole.csr().pieces.len() > 4, "{:?}", whole.csr().pieces);
    assert!(whole.csr().values.len() < 65_535, "{} values", whole.csr().values.len());
    for (dim, storage, tolerance) in [
        (9, Storage::F32, TOLERANCE),
        (64, Storage::F32, TOLERANCE),
        (9, Storage::Bf16, 2e-2),
        (64, Storage::Bf16, 2e-2),
    ] {
        let clean = GraphInput::clean(whole.clone());
        let noise = |name| Noise { key: key.child(name), magnitude: 0.1 };
        let dropped = whole.dropped(&(0..graph.edges()).map(|edge| edge % 7 > 0).collect::<Vec<_>>(), true);
        let rows = |name: &str| {
            Rows::List((0..800).map(|at| below(key.child(name).words(at, 0)[0], nodes as u32)).collect())
        };
        let requests = [
            Request { input: clean.clone(), rows: rows("a") },
            Request { input: clean.with_noise(noise("a")), rows: rows("b") },
            Request { input: clean.with_noise(noise("b")).with_output(Output::Layer(1)), rows: rows("c") },
            Request { input: clean.with_structure(Structure::Same(dropped)), rows: rows("d") },
        ];
        let plan = Arc::new(Plan::new(3, true, nodes, &requests).stored(storage));
        let run = || {
            let table = tensor::<B, 2>(&random(key.child("table"), nodes * dim), [nodes, dim]);
            let grad = tensor::<B, 2>(&random(key.child("grad"), plan.rows() * dim), [plan.rows(), dim]);
            let out = propagate(&plan, table);
            (bits(out), bits(wrap::<B>(B::propagate_backward(&plan, primitive(grad)))))
        };
        let alone = with_threads(1, run);
        for threads in [2, 4] {
            assert!(alone == with_threads(threads, run), "{threads} threads, dim {dim}");
        }
        // And they are the right ones, where the work is cut into pieces.
        let table = tensor::<B, 2>(&random(key.child("table"), nodes * dim), [nodes, dim]);
        let grad = tensor::<B, 2>(&random(key.child("grad"), plan.rows() * dim), [plan.rows(), dim]);
        let numbers =
            |bits: &[u32]| -> Vec<f64> { bits.iter().map(|&x| f64::from(f32::from_bits(x))).collect() };
        let out = wrap::<B>(portable::propagate::<B>(&plan, primitive(table)));
        let found = error(&numbers(&alone.0), &values(out));
        assert!(found < tolerance, "propagate, dim {dim}, {storage:?}: {found}");
        let out = wrap::<B>(portable::propagate_backward::<B>(&plan, primitive(grad)));
        let found = error(&numbers(&alone.1), &values(out));
        assert!(found < tolerance, "propagate_backward, dim {dim}, {storage:?}: {found}");
    }
}

fn bf16_rounds_layers_and_nothing_else<B: GraphBackend>(_backend: &str) {
    let key = StreamKey::root(47);
    let structure = structures(key, 37, 53, Normalization::Symmetric).swap_remove(0);
    let table = tensor::<B, 2>(&random(key.child("table"), 90 * 64), [90, 64]);
    let run = |layers, output, storage| {
        let input = GraphInput { structure: structure.clone(), noise: None, output };
        let request = Request { input, rows: Rows::Range(0..90) };
        values(propagate(&Arc::new(Plan::new(layers, true, 90, &[request]).stored(storage)), table.clone()))
    };
    for (layers, output) in
        [(1, Output::Final), (3, Output::Final), (3, Output::Layer(1)), (3, Output::Layer(3))]
    {
        let (exact, rounded) = (run(layers, output, Storage::F32), run(layers, output, Storage::Bf16));
        let found = error(&rounded, &exact);
        assert!((1e-4..1e-2).contains(&found), "{layers} layers, {output:?}: {found}");
    }
    // The table itself is not touched, and layer 1 of 3 is a number of 8 bits.
    assert_eq!(run(3, Output::Layer(0), Storage::Bf16), run(3, Output::Layer(0), Storage::F32));
    let of_eight_bits = |x: f64| (x as f32).to_bits() & 0xffff == 0;
    assert!(run(3, Output::Layer(1), Storage::Bf16).into_iter().all(of_eight_bits));
}

/// A batch without negatives asks for no rows; that is an answer of no rows, with a gradient.
fn an_encoder_answers_empty_requests<B: GraphBackend>(_backend: &str) {
    let graph = graphs::random(StreamKey::root(45), 7, 9, 3);
    let config = LightGcnConfig { dim: 5, layers: 2, ..LightGcnConfig::default() };
    let encoder = config.init::<Autodiff<B>>(&graph, StreamKey::root(1), &Default::default());
    let clean = GraphInput::clean(Adjacency::new(Arc::new(graph), Normalization::Symmetric));
    let ask = |rows| Request { input: clean.clone(), rows };
    let none = || Rows::List([].into());
    let found = encoder.encode(&[ask(none()), ask(Rows::Range(2..5)), ask(none())]);
    assert_eq!(found.iter().map(Tensor::dims).collect::<Vec<_>>(), [[0, 5], [3, 5], [0, 5]]);
    let grads = found[1].clone().sum().backward();
    assert!(error(&values(encoder.table.val().grad(&grads).unwrap()), &[0.0; 80]) > 0.0);
    assert_eq!(encoder.encode(&[ask(none())])[0].dims(), [0, 5]);
    assert!(encoder.encode(&[]).is_empty());
}

/// What training uses: the gradients of an encoder's answers, some of which no loss looks at, joined and taken back.
fn gradients_of_answers_are_joined<B: GraphBackend>(backend: &str) {
    let mut worst = Worst::new(format!("joined gradients on {backend}"), TOLERANCE);
    let key = StreamKey::root(46);
    for (layers, dim) in [(0, 5), (1, 7), (3, 64)] {
        let structures = structures(key, 37, 53, Normalization::Symmetric);
        let rows = |name: &str, count: u32| {
            let key = key.child(name);
            Rows::List((0..count).map(|at| below(key.words(at, 0)[0], 90)).collect())
        };
        let noise = Noise { key, magnitude: 0.2 };
        let input = |at: usize, output| GraphInput { structure: structures[at].clone(), noise: None, output };
        let requests = [
            Request { input: input(0, Output::Final), rows: rows("a", 20) },
            Request { input: input(1, Output::Final), rows: rows("none", 0) },
            Request { input: input(0, Output::Layer(0)), rows: rows("b", 9) },
            Request { input: input(1, Output::Final), rows: rows("c", 30) },
            Request { input: input(0, Output::Final).with_noise(noise), rows: rows("d", 11) },
        ];
        let table = tensor::<B, 2>(&random(key.child("table"), 90 * dim), [90, dim]);
        let plan = Arc::new(Plan::new(layers, true, 90, &requests));
        // Every answer used, and two subsets, by a weighted sum of all its numbers.
        for used in [&[true; 5][..], &[true, false, false, true, true], &[false, true, true, false, true]] {
            let outer = Tensor::<Autodiff<B>, 2>::from_inner(table.clone()).require_grad();
            let parts = <Autodiff<B> as GraphBackend>::propagate_parts(&plan, primitive(outer.clone()));
            let mut loss = Tensor::<Autodiff<B>, 1>::zeros([1], &Default::default());
            let mut weights = Vec::new();
            for (at, (part, request)) in parts.into_iter().zip(&requests).enumerate() {
                let count = request.rows.len() * dim;
                let weight = random(key.child("weight").at(at as u64), count);
                if used[at] && count > 0 {
                    let weight = tensor::<Autodiff<B>, 2>(&weight, [request.rows.len(), dim]);
                    loss = loss + (wrap::<Autodiff<B>>(part) * weight).sum();
                }
                weights.extend(weight.into_iter().map(|x| if used[at] { x } else { 0.0 }));
            }
            let found = outer.grad(&loss.backward()).unwrap();
            let grad = tensor::<B, 2>(&weights, [plan.rows(), dim]);
            let expected = wrap::<B>(portable::propagate_backward::<B>(&plan, primitive(grad)));
            worst.check(&values(found), &values(expected), &format!("{layers} layers, {used:?}"));
        }
    }
}

on_each_backend!(
    random_plans,
    gradients_of_answers_are_joined,
    products,
    long_rows_and_empty_ones,
    runs_give_the_same_bits,
    prepared_plans_give_the_same_bits,
    some_rows_are_the_same_rows_of_all,
    bits_do_not_depend_on_threads,
    bf16_rounds_layers_and_nothing_else,
    an_encoder_answers_empty_requests,
);

/// Not a check: what the kernels take beside the portable body, in one run.
#[cfg(feature = "wgpu")]
#[test]
#[ignore = "a measurement: cargo test --release -p cl-gpu-tests --features wgpu -- --ignored --nocapture"]
fn times_on_wgpu() {
    type B = burn::backend::Wgpu;
    common::needs_an_adapter();
    let key = StreamKey::root(50);
    let graph = graphs::random(key, 1200, 1000, 30); // fewer than 65,535 values, as above
    let (edges, nodes) = (graph.edges(), graph.nodes());
    let adjacency = Adjacency::new(Arc::new(graph), Normalization::Symmetric);
    let x = tensor::<B, 2>(&random(key.child("x"), nodes * 64), [nodes, 64]);
    let clean = GraphInput::clean(adjacency.clone());
    let noise = Noise { key, magnitude: 0.1 };
    let rows = |count| Rows::List((0..count).map(|at| below(key.words(at, 0)[0], nodes as u32)).collect());
    let requests = [
        Request { input: clean.clone(), rows: rows(1500) },
        Request { input: clean.with_noise(noise), rows: rows(500) },
    ];
    let plan = || Arc::new(Plan::new(3, true, nodes, &requests));
    let grad = tensor::<B, 2>(&random(key.child("grad"), 2000 * 64), [2000, 64]);
    let fastest = |run: &dyn Fn() -> FloatTensor<B>| {
        let once = |_| {
            let start = std::time::Instant::now();
            let _ = values(wrap::<B>(run()).sum());
            start.elapsed().as_secs_f64() * 1e3
        };
        (0..4).map(once).fold(f64::INFINITY, f64::min)
    };
    let show = |what: &str, kernel: f64, portable: f64| {
        println!(
            "{what}, {nodes} nodes, {edges} edges, 64 columns: {kernel:.1} ms, portable {portable:.1} ms, {:.2} of it",
            kernel / portable
        );
    };
    let x = || primitive(x.clone());
    show(
        "spmm",
        fastest(&|| B::spmm(&adjacency, false, x())),
        fastest(&|| portable::spmm::<B>(&adjacency, false, x())),
    );
    show(
        "propagate",
        fastest(&|| B::propagate(&plan(), x())),
        fastest(&|| portable::propagate::<B>(&plan(), x())),
    );
    let grad = || primitive(grad.clone());
    show(
        "propagate_backward",
        fastest(&|| B::propagate_backward(&plan(), grad())),
        fastest(&|| portable::propagate_backward::<B>(&plan(), grad())),
    );
}
