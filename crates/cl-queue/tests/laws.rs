//! What holds of queues and momentum copies for any input.
#![allow(clippy::unwrap_used)]

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use cl_core::contrast::{Contrast, InfoNceConfig, KeyKind, Keys, Pair};
use cl_core::kernels::KeyMask;
use cl_core::negatives::{Direction, Fresh, Negatives};
use cl_core::registry::Component;
use cl_core::source::Group;
use cl_queue::{CrossBatchMemoryConfig, Enqueue, Fifo, MomentumEncoder, QueueConfig};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

type Train = Autodiff<Flex>;

fn quiet() -> ProptestConfig {
    ProptestConfig {
        cases: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    }
}

fn column(values: &[f32]) -> Tensor<Flex, 2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), &Default::default())
}

fn bits<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<u32> {
    tensor.into_data().iter::<f32>().map(f32::to_bits).collect()
}

// ---- FIFO ---------------------------------------------------------------------------------------------------------

proptest! {
    #![proptest_config(quiet())]

    /// Whatever the sizes: the queue holds the last `capacity` of all that was pushed, oldest first, less what was dropped.
    #[test]
    fn first_in_first_out(
        capacity in 1_usize..40,
        pushes in prop::collection::vec((0_usize..60, prop::option::of(0_u64..6)), 1..12),
    ) {
        let mut queue = Fifo::<Flex>::new(capacity);
        let mut all: Vec<(u32, u64)> = Vec::new();
        for (step, (size, drop)) in (0_u64..).zip(pushes) {
            let ids: Vec<u32> = (0..size as u32).map(|at| 1000 * step as u32 + at).collect();
            let keys: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
            let origins: Vec<u32> = ids.iter().map(|&id| id + 7).collect();
            queue.push(column(&keys), &ids, &origins, step);
            all.extend(ids.iter().map(|&id| (id, step)));
            all.drain(..all.len().saturating_sub(capacity));
            if let Some(age) = drop {
                let first = step.saturating_sub(age);
                queue.drop_before(first);
                all.retain(|&(_, born)| born >= first);
            }
            let held = queue.in_order();
            let expected: Vec<u32> = all.iter().map(|&(id, _)| id).collect();
            prop_assert_eq!(&held.ids, &expected);
            prop_assert_eq!(held.origins, expected.iter().map(|id| id + 7).collect::<Vec<_>>());
            prop_assert_eq!(held.born, all.iter().map(|&(_, born)| born).collect::<Vec<_>>());
            let keys: Vec<f32> = held.keys.unwrap().into_data().to_vec().unwrap();
            prop_assert_eq!(keys, expected.iter().map(|&id| id as f32).collect::<Vec<_>>());
            // As it lies: the same pairs of key and id, in whatever order.
            let (keys, ids) = queue.keys().map_or((vec![], vec![]), |(keys, ids)| {
                (keys.into_data().to_vec::<f32>().unwrap(), ids.to_vec())
            });
            prop_assert!(keys.iter().zip(&ids).all(|(&key, &id)| key == id as f32));
            let mut ids = ids;
            ids.sort_unstable();
            let mut expected = expected;
            expected.sort_unstable();
            prop_assert_eq!(ids, expected);
        }
    }
}

// ---- Momentum -----------------------------------------------------------------------------------------------------

/// A module with everything that a module can hold.
#[derive(Module, Debug)]
struct Everything<B: Backend> {
    table: Param<Tensor<B, 2>>,
    frozen: Param<Tensor<B, 1>>,
    layer: Linear<B>,
    norm: BatchNorm<B>,
    counts: Param<Tensor<B, 1, Int>>,
}

fn everything(shift: f32, count: i32) -> Everything<Train> {
    let device = Default::default();
    let table = TensorData::new((0..6).map(|x| x as f32 * 0.25 + shift).collect::<Vec<_>>(), [3, 2]);
    let frozen: Param<Tensor<Train, 1>> = Param::from_data(TensorData::from([shift, 2.0]), &device);
    Everything {
        table: Param::from_data(table, &device),
        frozen: frozen.set_require_grad(false),
        layer: LinearConfig::new(2, 2).init(&device),
        norm: BatchNormConfig::new(2).init(&device),
        counts: Param::initialized(burn::module::ParamId::new(), Tensor::from_data([count, 5], &device)),
    }
}

fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[test]
fn a_copy_is_the_closed_form_of_its_average() {
    // ξ_T = m^T θ_0 + (1 − m) Σ_t m^{T−t} θ_t.
    let (m, steps) = (0.9_f64, 30);
    let theta = |step: usize| ((step * step) as f32 * 0.7).sin() * 3.0;
    let mut copy = MomentumEncoder::new(&everything(theta(0), 0));
    for step in 1..=steps {
        copy.update(&everything(theta(step), step as i32), m);
    }
    let average = m.powi(steps as i32) * f64::from(theta(0))
        + (1..=steps).map(|t| (1.0 - m) * m.powi((steps - t) as i32) * f64::from(theta(t))).sum::<f64>();
    for (at, found) in values(copy.copy().table.val()).into_iter().enumerate() {
        let expected = at as f64 * 0.25 + average;
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
    // No average of what no gradient trains: taken over as it is.
    assert_eq!(values(copy.copy().frozen.val()), [f64::from(theta(steps)), 2.0]);
    let counts: Vec<i64> = copy.copy().counts.val().into_data().iter::<i64>().collect();
    assert_eq!(counts, [steps as i64, 5]);
}

#[test]
fn running_statistics_are_taken_over() {
    let model = everything(1.0, 1);
    let mut copy = MomentumEncoder::new(&model);
    let device = Default::default();
    // A pass in training changes the running mean of the model, not of the copy.
    let batch = Tensor::<Train, 2>::from_data([[4.0, -2.0], [6.0, 2.0], [8.0, 6.0]], &device);
    model.norm.forward(batch);
    let of = |module: &BatchNorm<Flex>| values(module.running_mean.value_sync());
    assert_eq!(of(&copy.copy().norm), [0.0, 0.0]);
    copy.update(&model, 0.5);
    let expected = of(&burn::module::AutodiffModule::valid(&model).norm);
    assert!(expected[0] > 0.1, "{expected:?}");
    assert_eq!(of(&copy.copy().norm), expected);
}

#[test]
fn the_ends_of_momentum() {
    let (first, second) = (everything(0.0, 0), everything(0.3, 1));
    let table = |module: &Everything<Flex>| bits(module.table.val());
    let (was, is) = (bits(first.table.val().inner()), bits(second.table.val().inner()));
    let mut copy = MomentumEncoder::new(&first);
    copy.update(&second, 1.0);
    assert_eq!(table(copy.copy()), was);
    copy.update(&second, 0.0);
    assert_eq!(table(copy.copy()), is);
}

/// MoCo updates before the keys are encoded, BYOL after the optimizer's step: with one constant m, the same keys.
#[test]
fn before_the_keys_is_after_the_step() {
    let model = |step: usize| everything((step as f32 * 0.37).cos(), 0);
    let (mut before, mut after) = (MomentumEncoder::new(&model(0)), MomentumEncoder::new(&model(0)));
    for step in 0..10 {
        before.update(&model(step), 0.8);
        let encode = |copy: &MomentumEncoder<Train, Everything<Train>>| bits(copy.copy().table.val());
        if step == 0 {
            // ξ = m ξ + (1 − m) ξ.
            let near = values(before.copy().table.val()).into_iter().zip(values(after.copy().table.val()));
            near.for_each(|(x, y)| assert!((x - y).abs() < 1e-6));
        } else {
            assert_eq!(encode(&before), encode(&after), "step {step}");
        }
        after.update(&model(step + 1), 0.8);
    }
}

#[test]
#[should_panic(expected = "a parameter is")]
fn a_copy_follows_a_model_of_its_own_shape_alone() {
    let device = Default::default();
    let of = |width| -> Linear<Train> { LinearConfig::new(2, width).init(&device) };
    MomentumEncoder::new(&of(3)).update(&of(4), 0.5);
}

// ---- Sources of negatives -----------------------------------------------------------------------------------------

const DIM: usize = 5;

fn rows(seed: u64, n: usize) -> Tensor<Train, 2> {
    let key = cl_core::StreamKey::root(seed);
    let values: Vec<f32> = (0..n * DIM).map(|at| key.signed_unit(at as u32, 0)).collect();
    Tensor::from_data(TensorData::new(values, [n, DIM]), &Default::default())
}

fn group(ids: &[u32]) -> Group {
    Group {
        name: "user",
        rows: ids.into(),
        ids: ids.into(),
        everyone: 0..1000,
        origins: ids.iter().map(|id| id * 2).collect(),
    }
}

fn queue(config: QueueConfig) -> Box<dyn Negatives<Train>> {
    Component::<dyn Negatives<Train>>::validate(&config).unwrap();
    config.build()
}

/// Anchors and positives of a step, and the loss with the source's keys.
fn step(negatives: &mut dyn Negatives<Train>, ids: &[u32], seed: u64) -> [Tensor<Train, 2>; 3] {
    let anchors = rows(seed, ids.len()).require_grad();
    let positives = rows(seed + 500, ids.len()).require_grad();
    let group = group(ids);
    let fresh = Fresh { positives: positives.clone(), everyone: None };
    let keys = negatives.keys(&group, Direction::AToB, fresh);
    let pair = Pair { anchors: anchors.clone(), positives: positives.clone(), ids: group.ids.clone(), keys };
    let loss = InfoNceConfig::default().loss(pair, 0.0);
    negatives.step_done();
    [anchors, positives, loss.reshape([1, 1])]
}

/// The loss of two tables with the other rows of the second as negatives.
fn in_batch([anchors, positives, _]: &[Tensor<Train, 2>; 3]) -> Tensor<Train, 1> {
    let ids = (0..anchors.dims()[0] as u32).collect();
    let pair = Pair { anchors: anchors.clone(), positives: positives.clone(), ids, keys: Keys::Own };
    InfoNceConfig::default().loss(pair, 0.0)
}

#[test]
fn a_queue_that_holds_the_batch_is_the_batch() {
    let ids: Vec<u32> = (10..26).collect();
    let config = |mask_own_id| QueueConfig {
        size: 16,
        enqueue: Enqueue::Before,
        mask_own_id,
        ..QueueConfig::default()
    };
    for mask in [true, false] {
        let mut negatives = queue(config(mask));
        // What an earlier step left is pushed out.
        step(&mut *negatives, &[1, 2, 3], 9);
        let found = step(&mut *negatives, &ids, 1);
        let expected = in_batch(&found);
        let (loss, reference) = (found[2].clone(), expected.clone().into_scalar());
        assert!((loss.clone().into_scalar() - reference).abs() < 1e-6 * reference, "mask {mask}");
        // The anchors' gradient too: it does not know who moves the keys.
        let of = |grads: &<Train as burn::tensor::backend::AutodiffBackend>::Gradients| {
            values(found[0].grad(grads).unwrap())
        };
        let (found, expected) = (of(&loss.backward()), of(&expected.backward()));
        found.iter().zip(&expected).for_each(|(x, y)| assert!((x - y).abs() < 1e-6, "{x} {y}"));
    }
}

#[test]
fn no_gradient_reaches_remembered_keys() {
    let mut negatives = queue(QueueConfig { size: 64, with_batch: false, ..QueueConfig::default() });
    let [_, old, _] = step(&mut *negatives, &[1, 2, 3, 4], 1);
    let [anchors, positives, loss] = step(&mut *negatives, &[5, 6, 7], 2);
    let grads = loss.backward();
    assert!(old.grad(&grads).is_none(), "a gradient flows into keys of an earlier step");
    assert!(anchors.grad(&grads).is_some() && positives.grad(&grads).is_some());
}

/// A memory that holds the batch alone: the loss of the batch, and the positives' gradient without what they get as negatives of
/// other anchors: (p_i − 1) a_i / (τ n) through the normalisation, whatever stands between.
#[test]
fn a_memory_teaches_positives_as_positives_alone() {
    for (mask_own_id, size) in [(true, 64), (false, 64), (false, 3), (false, 2)] {
        let config = CrossBatchMemoryConfig { size, mask_own_id, ..CrossBatchMemoryConfig::default() };
        let found = step(&mut *config.build(), &[5, 6, 7], 2);
        let gradient = values(found[1].grad(&found[2].backward()).unwrap());
        let [a, b] = [&found[0], &found[1]].map(|rows| values(rows.clone().inner()));
        let unit = |rows: &[f64], row: usize| -> Vec<f64> {
            let row = &rows[row * DIM..(row + 1) * DIM];
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter().map(|x| x / length).collect()
        };
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        // The last `size` rows of the batch are keys; the positive always is one.
        for row in 0..3 {
            let (x, y) = (unit(&a, row), unit(&b, row));
            let held = (3_usize.saturating_sub(size)..3).filter(|&key| key != row);
            let others: f64 = held.map(|key| (dot(&x, &unit(&b, key)) / 0.2).exp()).sum();
            let own = (dot(&x, &y) / 0.2).exp();
            let factor = (own / (own + others) - 1.0) / (0.2 * 3.0);
            let length = dot(&b[row * DIM..(row + 1) * DIM], &y);
            let cosine = dot(&x, &y);
            for at in 0..DIM {
                let expected = factor * (x[at] - cosine * y[at]) / length;
                let found = gradient[row * DIM + at];
                assert!(
                    (found - expected).abs() < 1e-5,
                    "mask {mask_own_id}, size {size}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn own_keys_are_hidden_unless_asked_for() {
    let loss = |mask_own_id, ids: &[u32]| {
        let mut negatives = queue(QueueConfig { size: 8, mask_own_id, ..QueueConfig::default() });
        step(&mut *negatives, &[1, 2, 3], 1);
        step(&mut *negatives, ids, 2)[2].clone().into_scalar()
    };
    // Nobody comes again: nothing to hide.
    assert_eq!(loss(true, &[4, 5, 6]), loss(false, &[4, 5, 6]));
    assert!(loss(true, &[1, 2, 3]) < loss(false, &[1, 2, 3]) - 1e-3);
    // All keys hidden: no negative, no loss.
    let mut negatives = queue(QueueConfig { size: 8, ..QueueConfig::default() });
    step(&mut *negatives, &[7, 7, 7], 1);
    assert_eq!(step(&mut *negatives, &[7, 7], 2)[2].clone().into_scalar(), 0.0);
}

#[test]
fn the_batch_may_stand_beside_the_queue() {
    // No two ids are equal: the positive alone is hidden, by its id or by its place.
    let losses = [true, false].map(|mask_own_id| {
        let config = QueueConfig { size: 8, with_batch: true, mask_own_id, ..QueueConfig::default() };
        let mut both = queue(config);
        // An empty queue: the batch alone.
        let first = step(&mut *both, &[1, 2, 3], 1);
        assert!((first[2].clone().into_scalar() - in_batch(&first).into_scalar()).abs() < 1e-6);
        let second = step(&mut *both, &[4, 5, 6], 2);
        assert!(second[2].clone().into_scalar() > in_batch(&second).into_scalar() + 0.1);
        if mask_own_id {
            assert_eq!(key_ids(&mut *both, &[8, 9]), [8, 9, 1, 2, 3, 4, 5, 6]);
        }
        second[2].clone().into_scalar()
    });
    assert_eq!(losses[0], losses[1]);
}

/// Who the keys of the next step are, of a source that hides an anchor's own.
fn key_ids(negatives: &mut dyn Negatives<Train>, ids: &[u32]) -> Vec<u32> {
    let fresh = Fresh { positives: rows(3, ids.len()), everyone: None };
    match negatives.keys(&group(ids), Direction::AToB, fresh) {
        Keys::Others { vectors, mask: Some(KeyMask::Ids { anchors, keys }) } => {
            assert_eq!((&anchors[..], vectors.dims()[0]), (ids, keys.len()));
            keys.to_vec()
        }
        keys => panic!("{keys:?}"),
    }
}

#[test]
fn old_keys_are_dropped() {
    let mut negatives = queue(QueueConfig { size: 64, max_age: Some(2), ..QueueConfig::default() });
    let seen = |negatives: &mut dyn Negatives<Train>, ids: &[u32]| {
        let ids = key_ids(negatives, ids);
        negatives.step_done();
        ids
    };
    assert!(seen(&mut *negatives, &[1, 2]).is_empty());
    assert_eq!(seen(&mut *negatives, &[3]), [1, 2]);
    assert_eq!(seen(&mut *negatives, &[4]), [1, 2, 3]);
    assert_eq!(seen(&mut *negatives, &[5]), [3, 4]);
    let kept = negatives.kept();
    assert_eq!(
        (&kept[0].ids[..], &kept[0].ages[..], &kept[0].origins[..]),
        (&[4, 5][..], &[2, 1][..], &[8, 10][..])
    );
}

#[test]
fn directions_have_queues_of_their_own() {
    let mut negatives = queue(QueueConfig { size: 4, ..QueueConfig::default() });
    for direction in [Direction::AToB, Direction::BToA] {
        let fresh = Fresh { positives: rows(1, 2), everyone: None };
        negatives.keys(&group(&[1, 2]), direction, fresh);
    }
    negatives.step_done();
    let names: Vec<String> = negatives.kept().into_iter().map(|kept| kept.name).collect();
    assert_eq!(names, ["user", "user.b_to_a"]);
}

#[test]
fn what_is_saved_goes_on_to_the_same_bits() {
    let config = || QueueConfig { size: 7, max_age: Some(3), ..QueueConfig::default() };
    let ids =
        |at: u64| -> Vec<u32> { (0..1 + at as u32 % 5).map(|row| (at as u32 * 3 + row) % 11).collect() };
    for cut in 0..6 {
        let (mut whole, mut first) = (queue(config()), queue(config()));
        for at in 0..cut {
            step(&mut *whole, &ids(at), at);
            step(&mut *first, &ids(at), at);
        }
        let mut second = queue(config());
        second.load(&first.save().unwrap(), &Default::default()).unwrap();
        assert_eq!(second.save(), whole.save());
        for at in cut..12 {
            let (x, y) = (step(&mut *whole, &ids(at), at), step(&mut *second, &ids(at), at));
            assert_eq!(bits(x[2].clone()), bits(y[2].clone()), "cut {cut}, step {at}");
        }
        assert_eq!(second.save(), whole.save());
    }
}

#[test]
fn other_files_are_no_queues() {
    let said = |bytes: &[u8], size| {
        let mut negatives = queue(QueueConfig { size, ..QueueConfig::default() });
        negatives.load(bytes, &Default::default()).unwrap_err()
    };
    let mut negatives = queue(QueueConfig { size: 4, ..QueueConfig::default() });
    step(&mut *negatives, &[1, 2, 3], 1);
    let saved = negatives.save().unwrap();
    assert_eq!(said(&saved, 5), "it holds a queue of 4 keys, and the file asks for 5");
    assert!(said(b"nonsense", 4).starts_with("it holds no queues: "));
    assert!(said(&saved[..saved.len() - 3], 4).starts_with("it holds no queues: "));
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let said = |config: QueueConfig| {
        let (key, why) = Component::<dyn Negatives<Train>>::validate(&config).unwrap_err();
        format!("{key} {why}")
    };
    let default = QueueConfig::default;
    assert!(said(QueueConfig { size: 0, ..default() }).starts_with("size must be from 1 to"));
    assert!(said(QueueConfig { max_age: Some(0), ..default() }).starts_with("max_age must be 1 step"));
    assert!(
        said(QueueConfig { momentum: 1.5.into(), ..default() }).starts_with("momentum must be from 0 to 1")
    );
    let twice = QueueConfig { with_batch: true, enqueue: Enqueue::Before, ..default() };
    assert!(said(twice).starts_with("with_batch needs enqueue = \"after\""));
    assert_eq!(queue(default()).kind(), KeyKind::Others);
}
