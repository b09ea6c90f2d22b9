//! Sampled negatives: what a backend draws against the host's list, and scores of sampled items against plain loops in f64,
//! values, gradients and bits.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::tensor::{Int, Tensor, TensorData, TensorPrimitive, backend::Backend};
use cl_core::StreamKey;
use cl_core::kernels::{ContrastBackend, draw, portable, sampled_scores};
use cl_core::rng::below;
use cl_core::sampling::{Draw, NegativeSampler, Owners, Sampling};
use common::{Worst, bits, compiles_kernels, on_each_backend, random, tensor, values, with_threads};

const TOLERANCE: f64 = 1e-5;

struct Lists(Vec<Vec<u32>>);

impl Owners for Lists {
    fn owners(&self) -> usize {
        self.0.len()
    }

    fn items_of(&self, owner: usize) -> &[u32] {
        &self.0[owner]
    }
}

fn ids<B: Backend>(ids: &[u32]) -> Tensor<B, 1, Int> {
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let count = ids.len();
    Tensor::from_data(TensorData::new(ids, [count]), &Default::default())
}

fn listed<B: Backend>(ids: Tensor<B, 1, Int>) -> Vec<u32> {
    ids.into_data().iter::<i64>().map(|id| id as u32).collect()
}

fn drawn(sampling: Sampling, counts: &[u32], lists: Vec<Vec<u32>>, anchors: usize, each: usize) -> Draw {
    let owners = (0..anchors).map(|anchor| (anchor / 2 % lists.len()) as u32).collect();
    let sampler = NegativeSampler::new(sampling, counts, Arc::new(Lists(lists))).unwrap();
    Draw::new(sampler, StreamKey::root(91).at(counts.len() as u64), owners, each)
}

/// Draws for four owners: the first has all items but two (of many items every other one), the second none, the others some.
fn some_draw(sampling: Sampling, items: u32, anchors: usize, each: usize) -> Draw {
    let key = StreamKey::root(93);
    let counts: Vec<u32> = (0..items).map(|item| item * 7 % 5).collect();
    let most: Vec<u32> = match items {
        ..=40 => (0..items).filter(|&item| item != items - 1 && item != items - 4).collect(),
        _ => (0..items).step_by(2).take(50_000).collect(),
    };
    let some = |owner: u32| {
        let mut own: Vec<u32> = (0..20).map(|block| below(key.words(owner, block)[0], items - 4)).collect();
        own.sort_unstable();
        own.dedup();
        own
    };
    drawn(sampling, &counts, vec![most, Vec::new(), some(2), some(3)], anchors, each)
}

/// Holds what the backend draws to what a generator of each anchor's row gives, one after another.
fn compare<B: ContrastBackend>(of: &Draw) {
    let (law, owners) = (of.sampler().law(), of.sampler().owners());
    let found = listed(draw::<B>(of, &Default::default()));
    assert_eq!(found.len(), of.owners().len() * of.each());
    for (row, (&owner, found)) in of.owners().iter().zip(found.chunks(of.each())).enumerate() {
        let mut rng = of.key().rng(row as u32);
        let own = owners.items_of(owner as usize);
        for &item in found {
            let expected = law.draw_other(&mut rng, |item| own.contains(&item));
            assert_eq!(item, expected, "{:?} of {} items, anchor {row}", law.sampling(), law.items());
        }
    }
}

fn what_is_drawn_is_what_the_streams_give<B: ContrastBackend>(_backend: &str) {
    for sampling in [Sampling::Uniform, Sampling::Popularity] {
        for (items, anchors, each) in [(12, 1, 1), (12, 130, 5), (40, 64, 33), (3000, 700, 2)] {
            compare::<B>(&some_draw(sampling, items, anchors, each));
        }
    }
    // Of so many items, a word in 200 asks for another, which says whether to round up.
    compare::<B>(&some_draw(Sampling::Uniform, 20_000_000, 400, 9));
    // Events by the billion: products of 64 bits carry, and above 2^32 in all a GPU takes the host's list.
    let lists = || vec![vec![0], vec![2, 3]];
    for counts in [[1_200_000_000, 900_000_000, 1_100_000_000, 0, 7], [4_000_000_000; 5]] {
        compare::<B>(&drawn(Sampling::Popularity, &counts, lists(), 300, 7));
    }
}

fn a_draw_is_what_it_was<B: ContrastBackend>(_backend: &str) {
    // Written down once: a stream that is read otherwise gives other negatives in every experiment.
    let of = some_draw(Sampling::Uniform, 40, 4, 3);
    assert_eq!(listed(draw::<B>(&of, &Default::default())), UNIFORM);
    let of = some_draw(Sampling::Popularity, 40, 4, 3);
    assert_eq!(listed(draw::<B>(&of, &Default::default())), POPULARITY);
}

const UNIFORM: [u32; 12] = [36, 36, 39, 36, 39, 36, 26, 12, 9, 35, 37, 29];
const POPULARITY: [u32; 12] = [36, 39, 39, 39, 36, 36, 12, 38, 32, 37, 22, 38];

fn log_probabilities_are_those_of_the_draws<B: ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("log_q on {backend}"), 1e-6);
    for sampling in [Sampling::Uniform, Sampling::Popularity] {
        let of = some_draw(sampling, 12, 130, 5);
        let law = of.sampler().law();
        let expected: Vec<f64> = of
            .items()
            .iter()
            .enumerate()
            .map(|(place, &item)| {
                let own = of.sampler().owners().items_of(of.owners()[place / 5] as usize);
                let others = (0..12).filter(|other| !own.contains(other));
                (law.probability(item) / others.map(|other| law.probability(other)).sum::<f64>()).ln()
            })
            .collect();
        let device = Default::default();
        for ids in [None, Some(draw::<B>(&of, &device))] {
            let found = of.log_q(ids, &device);
            assert_eq!(found.dims(), [130, 5]);
            worst.check(&values(found), &expected, &format!("{sampling:?}"));
        }
    }
}

/// Anchors, k, items, and columns: one, below and above what cubes and stripes take; the last with ids in several chunks.
const SHAPES: [(usize, usize, usize, usize); 7] = [
    (1, 1, 1, 1),
    (3, 7, 5, 7),
    (17, 1, 40, 64),
    (5, 256, 30, 50),
    (300, 3, 9, 33),
    (70, 40, 3, 16),
    (3000, 10, 100_000, 2),
];

/// Anchors, table, ids and the gradient of the scores.
struct Case {
    anchors: Vec<f64>,
    table: Vec<f64>,
    ids: Vec<u32>,
    grad: Vec<f64>,
}

impl Case {
    fn new((n, k, items, d): (usize, usize, usize, usize)) -> Self {
        let key = StreamKey::root(92).at((n * k) as u64).at(items as u64);
        let numbers = |name: &str, count| -> Vec<f64> {
            random(key.child(name), count).into_iter().map(|x| f64::from(x as f32)).collect()
        };
        // Half of the ids are one of two items, others any but the last, which nobody asks for if there are several.
        let id = |place: usize| {
            let words = key.child("ids").words(place as u32, 0);
            let most = if words[0].is_multiple_of(2) { items.min(2) } else { items.max(2) - 1 };
            below(words[1], most as u32)
        };
        Self {
            anchors: numbers("anchors", n * d),
            table: numbers("table", items * d),
            ids: (0..n * k).map(id).collect(),
            grad: numbers("grad", n * k),
        }
    }

    /// The scores, and the gradients of anchors and table.
    fn by_loops(&self, (n, k, items, d): (usize, usize, usize, usize)) -> [Vec<f64>; 3] {
        let (mut scores, mut of_anchors, mut of_table) =
            (vec![0.0; n * k], vec![0.0; n * d], vec![0.0; items * d]);
        for (place, (score, &id)) in scores.iter_mut().zip(&self.ids).enumerate() {
            let (anchor, row) = (place / k * d, id as usize * d);
            for column in 0..d {
                *score += self.anchors[anchor + column] * self.table[row + column];
                of_anchors[anchor + column] += self.grad[place] * self.table[row + column];
                of_table[row + column] += self.grad[place] * self.anchors[anchor + column];
            }
        }
        [scores, of_anchors, of_table]
    }

    /// The same by the backend.
    fn found<B: ContrastBackend>(&self, (n, k, items, d): (usize, usize, usize, usize)) -> [Tensor<B, 2>; 3] {
        let anchors = tensor::<Autodiff<B>, 2>(&self.anchors, [n, d]).require_grad();
        let table = tensor::<Autodiff<B>, 2>(&self.table, [items, d]).require_grad();
        let scores = sampled_scores(anchors.clone(), table.clone(), ids(&self.ids));
        let grads = (scores.clone() * tensor(&self.grad, [n, k])).sum().backward();
        [scores.inner(), anchors.grad(&grads).unwrap(), table.grad(&grads).unwrap()]
    }
}

fn scores_of_sampled_items_and_their_gradients<B: ContrastBackend>(backend: &str) {
    let names = ["scores", "gradients of anchors", "gradients of the table"];
    let mut worst = names.map(|name| Worst::new(format!("{name} on {backend}"), TOLERANCE));
    for shape in SHAPES {
        let case = Case::new(shape);
        for ((worst, found), expected) in
            worst.iter_mut().zip(case.found::<B>(shape)).zip(case.by_loops(shape))
        {
            worst.check(&values(found), &expected, &format!("{shape:?}"));
        }
    }
}

fn plain_operations_give_the_same<B: ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("sampled_scores in plain operations on {backend}"), TOLERANCE);
    for shape in SHAPES.into_iter().filter(|shape| shape.2 < 100) {
        let case = Case::new(shape);
        let (n, k, items, d) = shape;
        let primitive = |x: &[f64], shape| tensor::<B, 2>(x, shape).into_primitive().tensor();
        let tables = || (primitive(&case.anchors, [n, d]), primitive(&case.table, [items, d]));
        let (ids, grad) = (|| ids::<B>(&case.ids).into_primitive(), primitive(&case.grad, [n, k]));
        let scores = portable::sampled_scores::<B>(tables().0, tables().1, ids());
        let [of_anchors, of_table] =
            portable::sampled_scores_backward::<B>(tables().0, tables().1, ids(), grad);
        for (found, expected) in [scores, of_anchors, of_table].into_iter().zip(case.by_loops(shape)) {
            let found = Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(found));
            worst.check(&values(found), &expected, &format!("{shape:?}"));
        }
    }
}

fn an_id_that_is_no_row_is_refused_or_counts_for_nothing<B: ContrastBackend>(backend: &str) {
    let run = || {
        let anchors = tensor::<Autodiff<B>, 2>(&[1.0, 2.0], [1, 2]).require_grad();
        let table = tensor::<Autodiff<B>, 2>(&[3.0, 4.0, 5.0, 6.0], [2, 2]).require_grad();
        let wrong = Tensor::from_data(TensorData::new(vec![1, 2, -1, 0], [4]), &Default::default());
        let scores = sampled_scores(anchors.clone(), table.clone(), wrong);
        let grads = scores.clone().sum().backward();
        [values(scores), values(anchors.grad(&grads).unwrap()), values(table.grad(&grads).unwrap())]
    };
    if compiles_kernels(backend) {
        assert_eq!(run(), [vec![17.0, 0.0, 0.0, 11.0], vec![8.0, 10.0], vec![1.0, 2.0, 1.0, 2.0]]);
    } else {
        assert!(std::panic::catch_unwind(run).is_err());
    }
}

fn tables_that_are_not_contiguous_are_read_right<B: ContrastBackend>(backend: &str) {
    let mut worst = Worst::new(format!("sampled_scores of strided tables on {backend}"), TOLERANCE);
    let shape @ (n, k, items, d) = (6, 4, 9, 5);
    let case = Case::new(shape);
    let turned = |rows: &[f64], shape: [usize; 2]| {
        let rows = tensor::<B, 2>(rows, shape);
        tensor::<B, 2>(&values(rows.transpose()), [shape[1], shape[0]]).transpose()
    };
    let found =
        sampled_scores(turned(&case.anchors, [n, d]), turned(&case.table, [items, d]), ids(&case.ids));
    assert_eq!(found.dims(), [n, k]);
    let [scores, of_anchors, of_table] = case.by_loops(shape);
    worst.check(&values(found), &scores, "scores");
    let primitive = |rows: Tensor<B, 2>| rows.into_primitive().tensor();
    let grads = B::sampled_scores_backward(
        primitive(turned(&case.anchors, [n, d])),
        primitive(turned(&case.table, [items, d])),
        ids::<B>(&case.ids).into_primitive(),
        primitive(turned(&case.grad, [n, k])),
    );
    for (found, expected) in grads.into_iter().zip([of_anchors, of_table]) {
        let found = Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(found));
        worst.check(&values(found), &expected, "gradients");
    }
}

fn the_same_bits_every_time<B: ContrastBackend>(backend: &str) {
    let shape = (900, 9, 50, 40);
    let case = Case::new(shape);
    let run = || case.found::<B>(shape).map(bits);
    if compiles_kernels(backend) {
        let first = run();
        (0..3).for_each(|_| assert_eq!(run(), first));
    } else {
        let one = with_threads(1, run);
        [2, 3, 8].into_iter().for_each(|threads| assert_eq!(with_threads(threads, run), one));
    }
}

/// Runs of summands that a backend adds by themselves before it adds their sums.
fn runs(backend: &str) -> usize {
    if compiles_kernels(backend) { 8 } else { 1 }
}

fn gradients_of_the_table_are_added_in_the_order_of_places<B: ContrastBackend>(backend: &str) {
    // With several places of an id in each 256 places, and several 256 places in a chunk. All gradients are 1, so that
    // products are exact and the order alone decides the bits.
    for shape @ (n, k, items, d) in [(900, 9, 50, 3), (3000, 10, 100_000, 1)] {
        let case = Case { grad: vec![1.0; n * k], ..Case::new(shape) };
        let mut places = vec![Vec::new(); items];
        case.ids.iter().enumerate().for_each(|(place, &id)| places[id as usize].push(place));
        let mut expected = Vec::new();
        for own in &places {
            let run = own.len().div_ceil(runs(backend)).max(1);
            for column in 0..d {
                let anchor = |&place: &usize| case.anchors[place / k * d + column] as f32;
                let sums = own.chunks(run).map(|run| run.iter().map(anchor).fold(0.0, |sum, x| sum + x));
                expected.push(sums.fold(0.0_f32, |sum, run| sum + run).to_bits());
            }
        }
        let [_, _, of_table] = case.found::<B>(shape);
        let found = bits(of_table);
        let wrong = (0..found.len()).find(|&at| f32::from_bits(found[at]) != f32::from_bits(expected[at]));
        assert_eq!(wrong, None, "{shape:?}");
    }
}

fn without_negatives_there_is_no_score<B: ContrastBackend>(_backend: &str) {
    let table = tensor::<B, 2>(&[1.0; 6], [3, 2]);
    assert_eq!(sampled_scores(table.clone(), table, ids(&[])).dims(), [3, 0]);
}

on_each_backend!(
    what_is_drawn_is_what_the_streams_give,
    a_draw_is_what_it_was,
    log_probabilities_are_those_of_the_draws,
    scores_of_sampled_items_and_their_gradients,
    plain_operations_give_the_same,
    an_id_that_is_no_row_is_refused_or_counts_for_nothing,
    tables_that_are_not_contiguous_are_read_right,
    the_same_bits_every_time,
    gradients_of_the_table_are_added_in_the_order_of_places,
    without_negatives_there_is_no_score,
);
