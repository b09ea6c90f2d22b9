//! The host kernels against the portable bodies on random shapes, and their bits against the number of threads.
#![allow(clippy::unwrap_used)]

mod common;

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};
use cl_core::StreamKey;
use cl_core::contrast::{Reduction, normalize_rows, row_lse};
use cl_core::kernels::{AdamStep, ContrastBackend, KeyMask, List, OptimizerBackend, Places, portable};
use cl_core::rng::below;
use common::{Worst, bits, compiles_kernels, on_each_backend, random, tensor, values, with_threads};

/// f32 against f32, of which each is within some 1e-6 of the truth.
const TOLERANCE: f64 = 1e-5;
const DIMS: [usize; 7] = [1, 7, 32, 50, 64, 128, 200];
/// Numbers of anchors and keys: one, below, above and between the tiles of 128 × 512.
const SIZES: [(usize, usize); 5] = [(1, 1), (65, 63), (130, 517), (63, 1030), (5, 2)];

fn primitive<B: ContrastBackend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn numbers<B: ContrastBackend, const D: usize>(primitive: FloatTensor<B>) -> Vec<f64> {
    values(Tensor::<B, D>::from_primitive(TensorPrimitive::Float(primitive)))
}

/// Random ids below `kinds`.
fn ids(key: StreamKey, count: usize, kinds: u32) -> List<u32> {
    (0..count as u32).map(|row| below(key.words(row, 0)[0], kinds)).collect()
}

/// No mask, few and many shared ids, ids that hide every key from some or all anchors, and one key of each anchor.
fn masks(key: StreamKey, n: usize, m: usize) -> Vec<(&'static str, Option<KeyMask>)> {
    let random =
        |kinds| KeyMask::Ids { anchors: ids(key.child("a"), n, kinds), keys: ids(key.child("b"), m, kinds) };
    let hidden =
        KeyMask::Ids { anchors: (0..n as u32).map(|row| row % 3).collect(), keys: vec![1; m].into() };
    let all = KeyMask::Ids { anchors: vec![9; n].into(), keys: vec![9; m].into() };
    // Some places are before or behind all keys, and some anchors have none.
    let place = |row: u32| match below(key.child("c").words(row, 0)[0], m as u32 + 9) {
        0 => u32::MAX,
        place => place + 2995,
    };
    let places = Places { numbers: (0..n as u32).map(place).collect(), first: 3000 };
    vec![
        ("no mask", None),
        ("few ids", Some(random(4))),
        ("many ids", Some(random(1 << 20))),
        ("every third row masked", Some(hidden)),
        ("all rows masked", Some(all)),
        ("places", Some(KeyMask::Places(places))),
        ("diagonal", Some(KeyMask::Diagonal)),
    ]
}

fn unit_rows_and_their_backward<B: ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("normalize_rows on {backend}"), TOLERANCE);
    // Above and below the 256 rows that one thread takes.
    for (dim, n) in DIMS.into_iter().flat_map(|dim| [1, 3, 257, 600].map(|n| (dim, n))) {
        let key = StreamKey::root(10).at(dim as u64).at(n as u64);
        let mut numbers_of_rows = random(key.child("rows"), n * dim);
        numbers_of_rows[..dim].fill(if n == 3 { 1e-14 } else { 0.0 }); // without direction
        let rows = tensor::<B, 2>(&numbers_of_rows, [n, dim]);
        let grad = tensor::<B, 2>(&random(key.child("grad"), n * dim), [n, dim]);
        let turned = |name| {
            tensor::<B, 2>(&random(key.child(name), (n + 2) * dim), [dim, n + 2])
                .slice([0..dim, 1..n + 1])
                .transpose() // [n, dim], not contiguous
        };
        for (rows, grad) in
            [(rows.clone(), grad.clone()), (turned("rows"), turned("grad")), (rows, turned("grad"))]
        {
            let before = [bits(rows.clone()), bits(grad.clone())];
            let name = format!("{n} rows of {dim}");
            let of = |normalize: fn(_) -> _| numbers::<B, 2>(normalize(primitive(rows.clone())));
            worst.check(&of(B::normalize_rows), &of(portable::normalize_rows::<B>), &name);
            let of = |backward: fn(_, _) -> _| {
                numbers::<B, 2>(backward(primitive(rows.clone()), primitive(grad.clone())))
            };
            let found = of(B::normalize_rows_backward);
            if dim == 1 {
                // The gradient of a sign is 0; what is found is what rounding leaves of g / ‖x‖.
                for ((found, x), g) in found.iter().zip(values(rows.clone())).zip(values(grad.clone())) {
                    assert!(found.abs() <= 1e-6 * (g / x).abs().min(f64::MAX), "{name}: {found}");
                }
                continue;
            }
            worst.check(&found, &of(portable::normalize_rows_backward::<B>), &name);
            // The kernels write in place where they may.
            assert_eq!([bits(rows), bits(grad)], before);
        }
    }
}

fn dots_of_rows_and_their_backward<B: ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("row_dot on {backend}"), TOLERANCE);
    for (dim, n) in DIMS.into_iter().flat_map(|dim| [1, 17, 300].map(|n| (dim, n))) {
        let key = StreamKey::root(12).at(dim as u64).at(n as u64);
        let table = |name| random(key.child(name), n * dim);
        let (a, b, grad) = (table("a"), table("b"), random(key.child("grad"), n));
        let dots: Vec<f64> = (0..n)
            .map(|row| (0..dim).map(|column| a[row * dim + column] * b[row * dim + column]).sum())
            .collect();
        let times = |table: &[f64]| -> Vec<f64> {
            table.iter().enumerate().map(|(at, x)| x * grad[at / dim]).collect()
        };
        let name = format!("{n} rows of {dim}");
        let on = |table: &[f64]| primitive(tensor::<B, 2>(table, [n, dim]));
        worst.check(&numbers::<B, 1>(B::row_dot(on(&a), on(&b))), &dots, &name);
        let (of_a, of_b) = B::row_dot_backward(on(&a), on(&b), primitive(tensor::<B, 1>(&grad, [n])));
        worst.check(&numbers::<B, 2>(of_a), &times(&b), &name);
        worst.check(&numbers::<B, 2>(of_b), &times(&a), &name);
        // A table with itself, and one that does not lie row after row.
        let columns: Vec<f64> = (0..dim)
            .flat_map(|column| (0..n).map(move |row| (row, column)))
            .map(|(row, column)| a[row * dim + column])
            .collect();
        let turned = || primitive(tensor::<B, 2>(&columns, [dim, n]).transpose()); // [n, dim]
        let squares: Vec<f64> =
            (0..n).map(|row| (0..dim).map(|column| a[row * dim + column].powi(2)).sum()).collect();
        worst.check(&numbers::<B, 1>(B::row_dot(turned(), turned())), &squares, &name);
    }
}

fn logarithms_of_sigmoids<B: ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("floored_log_sigmoid on {backend}"), 1e-6);
    // Each number by itself, held to what it is in f64: close to 0, far out on both sides, where f32 has no exp.
    for x in [0.0_f64, -0.0, 1e-6, 0.3, -0.3, 2.5, -2.5, 11.0, -11.0, 17.0, -17.0, 60.0, -60.0, 110.0, -110.0]
    {
        for floor in [0.0_f32, 1e-5] {
            let name = format!("x {x} floor {floor}");
            let on = |x: f64| primitive(tensor::<B, 2>(&[x], [1, 1]));
            // σ is lost below e^-745 alone.
            let (of_x, other) = (1.0 / (1.0 + (-x).exp()), 1.0 / (1.0 + x.exp()));
            let floor_64 = f64::from(floor);
            let expected = match floor {
                0.0 if x < 0.0 => x - x.exp().ln_1p(),
                0.0 => -(-x).exp().ln_1p(),
                _ if x < 0.0 => (floor_64 + of_x).ln(),
                _ => (floor_64 - other).ln_1p(),
            };
            let slope = if floor == 0.0 { other } else { of_x * other / (floor_64 + of_x) };
            let found = numbers::<B, 2>(B::floored_log_sigmoid(on(x), floor))[0];
            // Near 0 a logarithm is as exact as its argument.
            assert!(
                (found - expected).abs() <= 1e-6 * expected.abs().max(0.2),
                "{name}: {found} for {expected}"
            );
            let found = numbers::<B, 2>(B::floored_log_sigmoid_backward(on(x), floor, on(-3.0)))[0];
            assert!(
                (found + 3.0 * slope).abs() <= 1e-5 * (3.0 * slope) + 1e-30,
                "{name}: {found} for {}",
                -3.0 * slope
            );
        }
    }
    for [n, k] in [[1, 1], [300, 1], [17, 5]] {
        let key = StreamKey::root(13).at(n as u64).at(k as u64);
        let x: Vec<f64> = random(key.child("x"), n * k).into_iter().map(|x| 9.0 * x).collect();
        let on = || primitive(tensor::<B, 2>(&x, [k, n]).transpose()); // [n, k]
        let grad = || primitive(tensor::<B, 2>(&random(key.child("grad"), n * k), [n, k]));
        for floor in [0.0, 1e-5] {
            let name = format!("[{n}, {k}] floor {floor}");
            let of = |floored_log_sigmoid: fn(_, f32) -> _| numbers::<B, 2>(floored_log_sigmoid(on(), floor));
            worst.check(&of(B::floored_log_sigmoid), &of(portable::floored_log_sigmoid::<B>), &name);
            let of = |backward: fn(_, f32, _) -> _| numbers::<B, 2>(backward(on(), floor, grad()));
            worst.check(
                &of(B::floored_log_sigmoid_backward),
                &of(portable::floored_log_sigmoid_backward::<B>),
                &name,
            );
        }
    }
}

fn row_lse_and_its_backward<B: ContrastBackend>(backend: &str) {
    let mut forward = Worst::new(format!("row_lse on {backend}"), TOLERANCE);
    // On a GPU, Burn's product adds a thousand numbers one after another, where the kernel adds them in tiles.
    let tolerance = if compiles_kernels(backend) { 3e-5 } else { TOLERANCE };
    let mut backward = Worst::new(format!("row_lse_backward on {backend}"), tolerance);
    let dims = if compiles_kernels(backend) { &[1, 50, 64, 200][..] } else { &DIMS };
    for (&dim, (n, m)) in dims.iter().flat_map(|dim| SIZES.map(|sizes| (dim, sizes))) {
        let key = StreamKey::root(11).at(dim as u64).at(n as u64);
        let anchors = tensor::<B, 2>(&random(key.child("anchors"), n * dim), [n, dim]);
        let keys = tensor::<B, 2>(&random(key.child("keys"), m * dim), [m, dim]);
        let grad = tensor::<B, 1>(&random(key.child("grad"), n), [n]);
        for (kind, mask) in masks(key, n, m) {
            // As the losses call it: unit rows at temperatures 1 and 0.1. A mask is one whatever the scale.
            let scales = [(10.0, true), (1.0, false), (1.0, true)];
            let all = !compiles_kernels(backend) || mask.is_none();
            for (scale, unit) in scales.into_iter().take(if all { 3 } else { 1 }) {
                let prepare = |rows: &Tensor<B, 2>| {
                    primitive(if unit { normalize_rows(rows.clone()) } else { rows.clone() })
                };
                let (a, k) = (prepare(&anchors), prepare(&keys));
                let name = format!("dim {dim}, {n} × {m}, {kind}, scale {scale}, unit {unit}");
                let expected = portable::row_lse::<B>(a.clone(), k.clone(), scale, mask.clone());
                let found = B::row_lse(a.clone(), k.clone(), scale, mask.clone());
                forward.check(&numbers::<B, 1>(found), &numbers::<B, 1>(expected.clone()), &name);

                let grad = primitive(grad.clone());
                let (of_anchors, of_keys) = B::row_lse_backward(
                    a.clone(),
                    k.clone(),
                    expected.clone(),
                    grad.clone(),
                    scale,
                    mask.clone(),
                );
                let of = |kernel: fn(_, _, _, _) -> (_, _)| kernel(a.clone(), k.clone(), scale, mask.clone());
                let ((lse, mean), with_mean) = (of(B::row_lse_and_mean), of(portable::row_lse_and_mean::<B>));
                forward.check(&numbers::<B, 1>(lse), &numbers::<B, 1>(expected.clone()), &name);
                let of_portable = portable::row_lse_backward::<B>(a, k, expected, grad, scale, mask.clone());
                let pairs = [(of_anchors, of_portable.0), (of_keys, of_portable.1), (mean, with_mean.1)];
                for (found, expected) in pairs {
                    backward.check(&numbers::<B, 2>(found), &numbers::<B, 2>(expected), &name);
                }
            }
        }
    }
}

/// A queue's keys at a concentration of 0: all keys weigh alike.
fn a_scale_of_zero_gives_the_mean_key<B: ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("row_lse_and_mean at scale 0 on {backend}"), TOLERANCE);
    let key = StreamKey::root(18);
    let keys = random(key.child("keys"), 70 * 7);
    let anchors = tensor::<B, 2>(&random(key.child("anchors"), 3 * 7), [3, 7]);
    let (lse, mean) =
        B::row_lse_and_mean(primitive(anchors), primitive(tensor::<B, 2>(&keys, [70, 7])), 0.0, None);
    let expected: Vec<f64> =
        (0..3 * 7).map(|at| (0..70).map(|k| keys[k * 7 + at % 7]).sum::<f64>() / 70.0).collect();
    worst.check(&numbers::<B, 2>(mean), &expected, "mean");
    worst.check(&numbers::<B, 1>(lse), &[70_f64.ln(); 3], "lse");
}

fn sums_of_all_numbers<B: ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("total on {backend}"), TOLERANCE);
    for n in [1, 2, 255, 257, 16_384, 16_385, 300_000] {
        let x = random(StreamKey::root(19).at(n as u64), n);
        // All of one sign, so that the sum is no smaller than the numbers.
        let x: Vec<f64> = x.iter().map(|x| x.abs()).collect();
        let sum = numbers::<B, 1>(B::total(primitive(tensor::<B, 1>(&x, [n]))));
        worst.check(&sum, &[x.iter().sum()], &format!("{n} numbers"));
    }
    // Every second number, and one number many times.
    let x = tensor::<B, 2>(&random(StreamKey::root(19), 600), [300, 2]);
    let second = || x.clone().transpose().slice([1..2, 0..300]).reshape([300]); // [300]
    let expected: f64 = values(second()).iter().sum();
    worst.check(&numbers::<B, 1>(B::total(primitive(second()))), &[expected], "strided");
    let one = tensor::<B, 1>(&[0.3], [1]).expand([77]);
    worst.check(&numbers::<B, 1>(B::total(primitive(one))), &[77.0 * f64::from(0.3_f32)], "expanded");
}

fn transposed_inputs<B: ContrastBackend>(backend: &str) {
    // [d, n] swapped: not contiguous, and the kernel must not read it as if it were.
    let mut worst = Worst::new(format!("row_lse of transposed tensors on {backend}"), TOLERANCE);
    let key = StreamKey::root(12);
    let anchors = tensor::<B, 2>(&random(key.child("a"), 7 * 66), [7, 66]).transpose(); // [66, 7]
    let keys = tensor::<B, 2>(&random(key.child("b"), 9 * 70), [9, 70]).slice([2..9, 0..70]).transpose(); // [70, 7]
    let expected = portable::row_lse::<B>(primitive(anchors.clone()), primitive(keys.clone()), 2.0, None);
    worst.check(&values(row_lse(anchors, keys, 2.0, None)), &numbers::<B, 1>(expected), "transposed");
}

fn a_number_that_is_none_is_seen<B: ContrastBackend>(_backend: &str) {
    // A run stops at NaN; a kernel that lost it would train on.
    let mut spoilt = random(StreamKey::root(13), 70 * 8);
    spoilt[3 * 8 + 2] = f64::NAN;
    let rows = tensor::<B, 2>(&spoilt, [70, 8]);
    let own = values(row_lse(rows.clone(), rows.clone(), 1.0, None));
    assert!(own.iter().all(|x| x.is_nan()), "key 3 stands in every denominator: {own:?}");
    let (lse, mean) = B::row_lse_and_mean(primitive(rows.clone()), primitive(rows.clone()), 1.0, None);
    assert!(numbers::<B, 1>(lse).iter().chain(&numbers::<B, 2>(mean)).all(|x| x.is_nan()));
    let clean = rows.clone().slice([4..70, 0..8]);
    let of_anchor = values(row_lse(rows, clean, 1.0, None));
    for (row, value) in of_anchor.iter().enumerate() {
        assert_eq!(value.is_nan(), row == 3, "row {row}: {value}");
    }
}

fn adam_step<B: OptimizerBackend + ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("adam on {backend}"), TOLERANCE);
    for (rows, dim) in [(1, 1), (3, 7), (300, 64), (401, 50)] {
        let key = StreamKey::root(14).at(rows as u64);
        let make = |name| tensor::<B, 2>(&random(key.child(name), rows * dim), [rows, dim]);
        let second = make("second").powi_scalar(2); // [rows, dim], not negative
        for (coupled_decay, decoupled_decay) in [(0.0, 0.0), (0.01, 0.0), (0.0, 0.01)] {
            for time in [1, 2, 1000] {
                let step = AdamStep {
                    rate: 0.01,
                    beta_1: 0.9,
                    beta_2: 0.999,
                    epsilon: 1e-8,
                    coupled_decay,
                    decoupled_decay,
                    time,
                };
                let (parameter, gradient, first) = (make("parameter"), make("gradient"), make("first"));
                let inputs = [&parameter, &gradient, &first, &second];
                let before = inputs.map(|input| bits(input.clone()));
                let [p, g, f, s] = inputs.map(|input| primitive(input.clone()));
                let found = B::adam(p, g, f, s, step);
                // The kernel writes in place where it may: tensors that somebody else holds stay as they are.
                assert_eq!(inputs.map(|input| bits(input.clone())), before);
                let [p, g, f, s] = inputs.map(|input| primitive(input.clone()));
                let expected = portable::adam::<B>(p, g, f, s, step);
                for (found, expected) in found.into_iter().zip(expected) {
                    let name = format!("{rows} × {dim}, step {time}");
                    worst.check(&numbers::<B, 2>(found), &numbers::<B, 2>(expected), &name);
                }
                // A gradient that is not contiguous, parameters that are part of a larger tensor.
                let turned = make("gradient").reshape([dim, rows]).transpose(); // [rows, dim]
                let part = |name| {
                    tensor::<B, 2>(&random(key.child(name), (rows + 2) * dim), [rows + 2, dim])
                        .slice([1..rows + 1, 0..dim])
                };
                let run = |adam: fn(_, _, _, _, _) -> [FloatTensor<B>; 3]| {
                    let [p, g, f] = [part("parameter"), turned.clone(), part("first")].map(primitive);
                    adam(p, g, f, primitive(second.clone()), step).map(numbers::<B, 2>)
                };
                for (found, expected) in run(B::adam).iter().zip(run(portable::adam::<B>)) {
                    worst.check(found, &expected, "views of larger tensors");
                }
            }
        }
    }
}

fn lerp_between_tables<B: OptimizerBackend + ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("lerp on {backend}"), TOLERANCE);
    for (rows, dim) in [(1, 1), (3, 7), (401, 50)] {
        let key = StreamKey::root(16).at(rows as u64);
        let make = |name| tensor::<B, 2>(&random(key.child(name), rows * dim), [rows, dim]);
        for weight in [0.0, 0.001, 0.5, 1.0] {
            let (from, turned) = (make("from"), make("to").reshape([dim, rows]).transpose()); // [rows, dim]
            let before = bits(from.clone());
            let [found, expected] = [B::lerp, portable::lerp::<B>].map(|lerp| {
                numbers::<B, 2>(lerp(primitive(from.clone()), primitive(turned.clone()), weight))
            });
            // The kernel writes in place where it may.
            assert_eq!(bits(from), before);
            worst.check(&found, &expected, &format!("{rows} × {dim}, weight {weight}"));
        }
    }
}

fn bits_do_not_depend_on_threads<B: ContrastBackend + OptimizerBackend>(_backend: &str) {
    let run = || {
        let (n, m, dim) = (700, 1500, 48);
        let key = StreamKey::root(15);
        let anchors = tensor::<B, 2>(&random(key.child("a"), n * dim), [n, dim]);
        let keys = tensor::<B, 2>(&random(key.child("b"), m * dim), [m, dim]);
        let grad = tensor::<B, 1>(&random(key.child("c"), n), [n]);
        let mask = KeyMask::Ids { anchors: ids(key, n, 50), keys: ids(key, m, 50) };
        let lse = row_lse(anchors.clone(), keys.clone(), 5.0, Some(mask.clone()));
        let [a, k] = [&anchors, &keys].map(|rows| primitive(rows.clone()));
        let (lse_again, mean) = B::row_lse_and_mean(a.clone(), k.clone(), 5.0, Some(mask.clone()));
        let (of_anchors, of_keys) =
            B::row_lse_backward(a, k, primitive(lse.clone()), primitive(grad), 5.0, Some(mask));
        let units = B::normalize_rows_backward(primitive(anchors.clone()), primitive(anchors.clone()));
        let step = AdamStep {
            rate: 0.01,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            coupled_decay: 0.0,
            decoupled_decay: 0.0,
            time: 3,
        };
        let [p, g, f, s] =
            [&anchors, &anchors, &anchors, &anchors.clone().abs()].map(|tensor| primitive(tensor.clone()));
        let adam = B::adam(p, g, f, s, step);
        // A sum over more rows than any backend adds in one piece.
        let long = tensor::<B, 1>(&random(key.child("long"), 5_000_000), [5_000_000]);
        let wrap = |primitive| bits(Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(primitive)));
        let mut all = vec![bits(lse), bits(Reduction::Mean.apply(long))];
        all.push(bits(Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(lse_again))));
        all.extend([mean, of_anchors, of_keys, units].map(wrap));
        all.extend(adam.map(wrap));
        all
    };
    let alone = with_threads(1, run);
    for threads in [2, 4] {
        assert_eq!(alone, with_threads(threads, run), "{threads} threads");
    }
}

on_each_backend!(
    unit_rows_and_their_backward,
    dots_of_rows_and_their_backward,
    logarithms_of_sigmoids,
    row_lse_and_its_backward,
    a_scale_of_zero_gives_the_mean_key,
    sums_of_all_numbers,
    transposed_inputs,
    a_number_that_is_none_is_seen,
    adam_step,
    lerp_between_tables,
    bits_do_not_depend_on_threads,
);
