//! Losses as plain loops in f64 with gradients derived by hand. The gradients are held against finite differences of the
//! loops, and Burn's gradients in f32 against both.
#![allow(clippy::unwrap_used)]

mod common;

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use cl_core::StreamKey;
use cl_core::contrast::{self, Reduction, Similarity, normalize_rows};
use cl_core::kernels::ContrastBackend;
use cl_core::objective::{self, BprForm, L2, L2Form, L2On, Objective, SampledNegatives, Triples};
use common::{Worst, error, on_each_backend, random, tensor, values};

/// Central differences in f64 with steps of 1e-5: the error of the formula is of order 1e-10, of rounding 1e-11.
const STEP: f64 = 1e-5;

/// Rows of numbers.
type Rows = Vec<Vec<f64>>;

fn rows(key: StreamKey, count: usize, dim: usize) -> Rows {
    random(key, count * dim).chunks(dim).map(<[f64]>::to_vec).collect()
}

fn zeros_like(rows: &Rows) -> Rows {
    rows.iter().map(|row| vec![0.0; row.len()]).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `to += weight · from`.
fn add(to: &mut [f64], weight: f64, from: &[f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += weight * from;
    }
}

fn unit(rows: &Rows) -> Rows {
    rows.iter().map(|row| row.iter().map(|x| x / dot(row, row).sqrt()).collect()).collect()
}

/// From the gradient of unit rows to that of the rows: `(g − ⟨g, x̂⟩ x̂) / ‖x‖`.
fn through_unit(rows: &Rows, grad: &Rows) -> Rows {
    let project = |(row, grad): (&Vec<f64>, &Vec<f64>)| {
        let length = dot(row, row).sqrt();
        let along = dot(grad, row) / length;
        grad.iter().zip(row).map(|(g, x)| (g - along * x / length) / length).collect()
    };
    rows.iter().zip(grad).map(project).collect()
}

fn log_sum_exp(terms: &[f64]) -> f64 {
    let peak = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    peak + terms.iter().map(|x| (x - peak).exp()).sum::<f64>().ln()
}

/// A loss of some tables and its gradients.
type Answer = (f64, Vec<Rows>);

/// Softmax cross-entropy of anchors over keys, `positive(i)` the key of anchor i, keys with `hidden(i, j)` left out; the
/// mean over anchors. Gradients of anchors and keys.
fn softmax(
    anchors: &Rows,
    keys: &Rows,
    temperature: f64,
    positive: impl Fn(usize) -> usize,
    hidden: impl Fn(usize, usize) -> bool,
) -> (f64, Rows, Rows) {
    let n = anchors.len() as f64;
    let (mut loss, mut of_anchors, mut of_keys) = (0.0, zeros_like(anchors), zeros_like(keys));
    for (i, anchor) in anchors.iter().enumerate() {
        let seen: Vec<usize> = (0..keys.len()).filter(|&j| !hidden(i, j)).collect();
        let logits: Vec<f64> = seen.iter().map(|&j| dot(anchor, &keys[j]) / temperature).collect();
        let lse = log_sum_exp(&logits);
        loss += (lse - dot(anchor, &keys[positive(i)]) / temperature) / n;
        for (&j, logit) in seen.iter().zip(logits) {
            let target = if j == positive(i) { 1.0 } else { 0.0 };
            let weight = ((logit - lse).exp() - target) / (temperature * n);
            add(&mut of_anchors[i], weight, &keys[j]);
            add(&mut of_keys[j], weight, anchor);
        }
    }
    (loss, of_anchors, of_keys)
}

fn info_nce(tables: &[Rows], similarity: Similarity, temperature: f64) -> Answer {
    let [a, b] = tables else { unreachable!() };
    match similarity {
        Similarity::Dot => {
            let (loss, of_a, of_b) = softmax(a, b, temperature, |i| i, |_, _| false);
            (loss, vec![of_a, of_b])
        }
        Similarity::Cosine => {
            let (loss, of_a, of_b) = softmax(&unit(a), &unit(b), temperature, |i| i, |_, _| false);
            (loss, vec![through_unit(a, &of_a), through_unit(b, &of_b)])
        }
    }
}

fn nt_xent(tables: &[Rows], temperature: f64) -> Answer {
    let [a, b] = tables else { unreachable!() };
    let n = a.len();
    let both = [a.clone(), b.clone()].concat();
    let z = unit(&both);
    let (loss, mut of_anchors, of_keys) = softmax(&z, &z, temperature, |i| (i + n) % (2 * n), |i, j| i == j);
    for (anchor, key) in of_anchors.iter_mut().zip(&of_keys) {
        add(anchor, 1.0, key);
    }
    let mut of_a = through_unit(&both, &of_anchors);
    let of_b = of_a.split_off(n);
    (loss, vec![of_a, of_b])
}

fn bpr(tables: &[Rows], form: BprForm) -> Answer {
    let [users, positives, negatives] = tables else { unreachable!() };
    let k = negatives.len() / users.len();
    let share = 1.0 / negatives.len() as f64;
    let mut grads: Vec<Rows> = tables.iter().map(zeros_like).collect();
    let mut loss = 0.0;
    for (row, negative) in negatives.iter().enumerate() {
        let (user, positive) = (&users[row / k], &positives[row / k]);
        let x = dot(user, positive) - dot(user, negative);
        let sigma = 1.0 / (1.0 + (-x).exp());
        let (value, slope) = match form {
            BprForm::Softplus => ((-x).exp().ln_1p(), sigma - 1.0),
            BprForm::BoundedSigmoid => (-(1e-5 + sigma).ln(), -sigma * (1.0 - sigma) / (1e-5 + sigma)),
        };
        loss += share * value;
        add(&mut grads[0][row / k], share * slope, positive);
        add(&mut grads[0][row / k], -share * slope, negative);
        add(&mut grads[1][row / k], share * slope, user);
        add(&mut grads[2][row], -share * slope, user);
    }
    (loss, grads)
}

fn bce(tables: &[Rows]) -> Answer {
    let [users, positives, negatives] = tables else { unreachable!() };
    let (n, k) = (users.len() as f64, negatives.len() / users.len());
    let mut grads: Vec<Rows> = tables.iter().map(zeros_like).collect();
    let mut loss = 0.0;
    let mut term = |user: usize, which: usize, row: usize, sign: f64| {
        // −log σ(sign · x), which falls by sign · σ(−sign · x).
        let item = &tables[which][row];
        let x = sign * dot(&users[user], item);
        let slope = -sign / (1.0 + x.exp()) / n;
        loss += (-x).exp().ln_1p() / n;
        add(&mut grads[0][user], slope, item);
        add(&mut grads[which][row], slope, &users[user]);
    };
    (0..positives.len()).for_each(|row| term(row, 1, row, 1.0));
    (0..negatives.len()).for_each(|row| term(row / k, 2, row, -1.0));
    (loss, grads)
}

/// t = 0.75 among 9 items; the positive's score is turned as the paper's equation 7 does: ln of 1 / (σ^−β − 1).
fn gbce(tables: &[Rows]) -> Answer {
    let [users, positives, negatives] = tables else { unreachable!() };
    let (n, k) = (users.len() as f64, negatives.len() / users.len());
    let share = k as f64 / 8.0;
    let beta = share * (0.75 * (1.0 - 1.0 / share) + 1.0 / share);
    let mut grads: Vec<Rows> = tables.iter().map(zeros_like).collect();
    let mut loss = 0.0;
    for (row, positive) in positives.iter().enumerate() {
        let sigma = 1.0 / (1.0 + (-dot(&users[row], positive)).exp());
        let turned = (1.0 / (sigma.powf(-beta) - 1.0)).ln();
        loss += (-turned).exp().ln_1p() / n / (k + 1) as f64;
        let slope = -beta * (1.0 - sigma) / n / (k + 1) as f64;
        add(&mut grads[0][row], slope, positive);
        add(&mut grads[1][row], slope, &users[row]);
    }
    for (row, negative) in negatives.iter().enumerate() {
        let x = dot(&users[row / k], negative);
        loss += x.exp().ln_1p() / n / (k + 1) as f64;
        let slope = 1.0 / (1.0 + (-x).exp()) / n / (k + 1) as f64;
        add(&mut grads[0][row / k], slope, negative);
        add(&mut grads[2][row], slope, &users[row / k]);
    }
    (loss, grads)
}

/// Any numbers that could be logarithms of probabilities.
fn log_q(row: usize) -> f64 {
    -0.5 - 0.37 * (row % 11) as f64
}

fn sampled_softmax(tables: &[Rows], corrected: bool) -> Answer {
    let [users, positives, negatives] = tables else { unreachable!() };
    let (n, k) = (users.len() as f64, negatives.len() / users.len());
    let mut grads: Vec<Rows> = tables.iter().map(zeros_like).collect();
    let mut loss = 0.0;
    for (row, user) in users.iter().enumerate() {
        let own = row * k..(row + 1) * k;
        let off = |at: usize| if corrected { log_q(at) + (k as f64).ln() } else { 0.0 };
        let weights: Vec<f64> = own.clone().map(|at| (dot(user, &negatives[at]) - off(at)).exp()).collect();
        let positive = dot(user, &positives[row]).exp();
        let all = positive + weights.iter().sum::<f64>();
        loss += (all.ln() - positive.ln()) / n;
        let slope = (positive / all - 1.0) / n;
        add(&mut grads[0][row], slope, &positives[row]);
        add(&mut grads[1][row], slope, user);
        for (at, weight) in own.zip(&weights) {
            add(&mut grads[0][row], weight / all / n, &negatives[at]);
            add(&mut grads[2][at], weight / all / n, user);
        }
    }
    (loss, grads)
}

/// Anchor i takes item i mod m of the catalogue.
fn cross_entropy(tables: &[Rows]) -> Answer {
    let [anchors, catalogue] = tables else { unreachable!() };
    let m = catalogue.len();
    let (loss, of_anchors, of_catalogue) = softmax(anchors, catalogue, 1.0, |i| i % m, |_, _| false);
    (loss, vec![of_anchors, of_catalogue])
}

fn uniformity(tables: &[Rows]) -> Answer {
    let x = unit(&tables[0]);
    let squared = |i: usize, j: usize| x[i].iter().zip(&x[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let pairs: Vec<(usize, usize)> = (0..x.len()).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
    let sum: f64 = pairs.iter().map(|&(i, j)| (-2.0 * squared(i, j)).exp()).sum();
    let mut grad = zeros_like(&x);
    for &(i, j) in &pairs {
        // d exp(−2 d²) / d x_i = −4 (x_i − x_j) exp(−2 d²).
        let weight = -4.0 * (-2.0 * squared(i, j)).exp() / sum;
        let difference: Vec<f64> = x[i].iter().zip(&x[j]).map(|(a, b)| a - b).collect();
        add(&mut grad[i], weight, &difference);
        add(&mut grad[j], -weight, &difference);
    }
    ((sum / pairs.len() as f64).ln(), vec![through_unit(&tables[0], &grad)])
}

fn direct_au(tables: &[Rows], gamma: f64) -> Answer {
    let [users, items] = tables else { unreachable!() };
    let (u, v) = (unit(users), unit(items));
    let n = users.len() as f64;
    let mut loss = 0.0;
    let mut grads = [zeros_like(users), zeros_like(items)];
    for (row, (u, v)) in u.iter().zip(&v).enumerate() {
        let difference: Vec<f64> = u.iter().zip(v).map(|(a, b)| a - b).collect();
        loss += dot(&difference, &difference) / n;
        add(&mut grads[0][row], 2.0 / n, &difference);
        add(&mut grads[1][row], -2.0 / n, &difference);
    }
    let mut grads = vec![through_unit(users, &grads[0]), through_unit(items, &grads[1])];
    for (table, grad) in tables.iter().zip(&mut grads) {
        let (value, spread) = uniformity(std::slice::from_ref(table));
        loss += gamma / 2.0 * value;
        for (grad, spread) in grad.iter_mut().zip(&spread[0]) {
            add(grad, gamma / 2.0, spread);
        }
    }
    (loss, grads)
}

fn l2(tables: &[Rows], weight: f64, form: L2Form) -> Answer {
    let n = tables[0].len() as f64;
    let mut loss = 0.0;
    let mut grads = Vec::new();
    for table in tables {
        let squares: f64 = table.iter().map(|row| dot(row, row)).sum();
        let (value, slope) = match form {
            L2Form::Squared => (squares / 2.0, 1.0),
            L2Form::Norm => (squares.sqrt(), 1.0 / squares.sqrt()),
        };
        loss += weight / n * value;
        let scaled = |row: &Vec<f64>| row.iter().map(|x| weight / n * slope * x).collect();
        grads.push(table.iter().map(scaled).collect());
    }
    (loss, grads)
}

/// The gradient by central differences.
fn finite_differences(loss: &dyn Fn(&[Rows]) -> Answer, tables: &[Rows]) -> Vec<f64> {
    let mut moved = tables.to_vec();
    let mut out = Vec::new();
    for (t, table) in tables.iter().enumerate() {
        for (r, row) in table.iter().enumerate() {
            for (c, &x) in row.iter().enumerate() {
                let mut at = |x: f64| {
                    moved[t][r][c] = x;
                    loss(&moved).0
                };
                out.push((at(x + STEP) - at(x - STEP)) / (2.0 * STEP));
                moved[t][r][c] = x;
            }
        }
    }
    out
}

/// Holds the loops' gradient against finite differences, and Burn's loss and gradient against the loops.
fn check<B: ContrastBackend>(
    worst: &mut [Worst; 3],
    name: &str,
    tables: &[Rows],
    reference: &dyn Fn(&[Rows]) -> Answer,
    burn: &dyn Fn(Vec<Tensor<Autodiff<B>, 2>>) -> Tensor<Autodiff<B>, 1>,
) {
    let (loss, grads) = reference(tables);
    let grads: Vec<f64> = grads.concat().concat();
    let differences = finite_differences(reference, tables);
    worst[0].check(&grads, &differences, name);
    let leaves: Vec<Tensor<Autodiff<B>, 2>> = tables
        .iter()
        .map(|table| tensor(&table.concat(), [table.len(), table[0].len()]).require_grad())
        .collect();
    let found = burn(leaves.clone());
    let tape = found.backward();
    worst[1].check(&values(found), &[loss], name);
    let found: Vec<f64> = leaves.iter().flat_map(|leaf| values(leaf.grad(&tape).unwrap())).collect();
    worst[2].check(&found, &grads, name);
    assert!(error(&found, &differences) <= worst[2].tolerance + 1e-4, "{name}: against finite differences");
}

/// A batch of anchors, positives and negatives, these as they are or as items of a table that holds them from the last to the
/// first.
fn triples<B: Backend>(tables: Vec<Tensor<B, 2>>, by_id: bool, log_q: Option<Tensor<B, 2>>) -> Triples<B> {
    let [anchors, positives, rows] = <[_; 3]>::try_from(tables).unwrap();
    let ids: Tensor<B, 1, Int> = Tensor::arange(0..rows.dims()[0] as i64, &rows.device());
    let negatives = match by_id {
        true => SampledNegatives::Items { table: rows.flip([0]), ids: ids.flip([0]) },
        false => rows.into(),
    };
    Triples { anchors, positives, negatives, catalogue: None, log_q, items: 9 }
}

fn every_loss<B: ContrastBackend>(backend: &str) {
    // burn-ndarray takes the reciprocals in the gradients of log and log_sigmoid from the processor's estimate, which is
    // wrong by 2^-14 = 6e-5 at most with AVX-512, and by 1.5 · 2^-12 = 3.7e-4 with AVX2.
    let tolerance = if backend == "ndarray" { 1e-3 } else { 1e-5 };
    let mut worst = [
        Worst::new("derived gradients against finite differences", 1e-6),
        Worst::new(format!("losses on {backend} against loops"), 1e-5),
        Worst::new(format!("gradients on {backend} against loops"), tolerance),
    ];
    for (n, dim) in [(2, 1), (5, 3), (9, 8), (17, 5), (33, 6)] {
        let key = StreamKey::root(21).at(n as u64);
        let table = |name, count| rows(key.child(name), count, dim);
        let two = [table("a", n), table("b", n)];
        let size = format!("{n} × {dim}");

        // Cosines of rows of width 1 are ±1 whatever the row, and every gradient through them is 0.
        for similarity in [Similarity::Cosine, Similarity::Dot] {
            if dim == 1 && similarity == Similarity::Cosine {
                continue;
            }
            for temperature in [0.2, 1.0] {
                check::<B>(
                    &mut worst,
                    &format!("InfoNCE {size} {similarity:?} {temperature}"),
                    &two,
                    &|tables| info_nce(tables, similarity, temperature),
                    &|t| {
                        contrast::info_nce(
                            t[0].clone(),
                            t[1].clone(),
                            similarity,
                            temperature,
                            Reduction::Mean,
                        )
                    },
                );
            }
        }
        if dim > 1 {
            check::<B>(&mut worst, &format!("NT-Xent {size}"), &two, &|tables| nt_xent(tables, 0.3), &|t| {
                contrast::nt_xent(t[0].clone(), t[1].clone(), Similarity::Cosine, 0.3, Reduction::Mean)
            });
            check::<B>(&mut worst, &format!("uniformity {size}"), &two[..1], &uniformity, &|t| {
                contrast::uniformity(normalize_rows(t[0].clone()))
            });
            check::<B>(
                &mut worst,
                &format!("DirectAU {size}"),
                &two,
                &|tables| direct_au(tables, 0.7),
                &|t| {
                    let config = objective::AlignmentUniformityConfig {
                        uniformity_weight: 0.7,
                        ..objective::AlignmentUniformityConfig::default()
                    };
                    let negatives = Tensor::zeros([1, dim], &t[0].device());
                    config.loss(Triples {
                        anchors: t[0].clone(),
                        positives: t[1].clone(),
                        negatives: negatives.into(),
                        catalogue: None,
                        log_q: None,
                        items: 9,
                    })
                },
            );
        }
        let catalogue = [table("a", n), table("catalogue", 2 * n + 1)];
        check::<B>(&mut worst, &format!("cross-entropy {size}"), &catalogue, &cross_entropy, &|t| {
            let rows: Vec<i32> = (0..n).map(|row| (row % (2 * n + 1)) as i32).collect();
            let rows = Tensor::from_data(burn::tensor::TensorData::new(rows, [n]), &t[0].device());
            let (positives, negatives) =
                (t[1].clone().select(0, rows), Tensor::zeros([0, dim], &t[0].device()));
            let batch = Triples {
                anchors: t[0].clone(),
                positives,
                negatives: negatives.into(),
                catalogue: Some(t[1].clone()),
                log_q: None,
                items: 9,
            };
            Reduction::Mean.apply(objective::cross_entropy(batch))
        });
        for (k, by_id) in [(1, false), (3, false), (1, true), (3, true)] {
            let three = [table("a", n), table("b", n), table("c", n * k)];
            let name = |loss: &str| format!("{loss} {size} k {k}, by id {by_id}");
            for form in [BprForm::Softplus, BprForm::BoundedSigmoid] {
                let name = name(&format!("BPR {form:?}"));
                check::<B>(&mut worst, &name, &three, &|tables| bpr(tables, form), &|t| {
                    Reduction::Mean.apply(objective::bpr(triples(t, by_id, None), form))
                });
            }
            check::<B>(&mut worst, &name("BCE"), &three, &bce, &|t| {
                Reduction::Mean.apply(objective::bce(triples(t, by_id, None)))
            });
            check::<B>(&mut worst, &name("gBCE"), &three, &gbce, &|t| {
                Reduction::Mean.apply(objective::gbce(triples(t, by_id, None), 0.75))
            });
            for corrected in [false, true] {
                let name = name(&format!("sampled softmax, log q {corrected},"));
                check::<B>(&mut worst, &name, &three, &|tables| sampled_softmax(tables, corrected), &|t| {
                    let q: Vec<f64> = (0..n * k).map(log_q).collect();
                    let q = corrected.then(|| tensor(&q, [n, k]));
                    Reduction::Mean.apply(objective::sampled_softmax(triples(t, by_id, q)))
                });
            }
            for form in [L2Form::Squared, L2Form::Norm] {
                let penalty = L2 {
                    weight: 0.3,
                    on: L2On::LayerZero,
                    form,
                    negatives: true,
                    reduction: Reduction::Mean,
                };
                check::<B>(
                    &mut worst,
                    &format!("L2 {size} k {k} {form:?}"),
                    &three,
                    &|tables| l2(tables, 0.3, form),
                    &|t| penalty.loss(t, n),
                );
            }
        }
    }
}

fn a_zero_row_has_no_direction_and_no_gradient<B: ContrastBackend>(_backend: &str) {
    let a = tensor::<Autodiff<B>, 2>(&[0.0, 0.0, 3.0, 4.0], [2, 2]).require_grad();
    let b = tensor::<Autodiff<B>, 2>(&[1.0, 0.0, 0.0, 2.0], [2, 2]).require_grad();
    assert_eq!(values(normalize_rows(a.clone()))[..2], [0.0, 0.0]);
    let loss = contrast::info_nce(a.clone(), b.clone(), Similarity::Cosine, 0.5, Reduction::Sum);
    let grads = loss.backward();
    // Row 0: log(2 e⁰) = ln 2. Row 1: cosines 0.6 and 0.8: ln(1 + exp(−0.2 / 0.5)) = 0.513015.
    assert!((values(loss)[0] - (2.0_f64.ln() + 0.513_015)).abs() < 1e-5);
    assert_eq!(values(a.grad(&grads).unwrap())[..2], [0.0, 0.0]);
    assert!(values(b.grad(&grads).unwrap()).iter().all(|x| x.is_finite()));
}

on_each_backend!(every_loss, a_zero_row_has_no_direction_and_no_gradient);
