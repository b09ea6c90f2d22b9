//! In which order an epoch goes through its instances.

use std::sync::Arc;

use cl_core::StreamKey;
use cl_core::rng::permutation;

/// Batches whose worth of instances is sorted by length at a time: enough that lengths in a batch are close, and few enough
/// that which instances meet in a batch differs from epoch to epoch.
const POOL: usize = 32;

/// The batches of an epoch, each instance once; one may be smaller than the others. A function of the key alone.
///
/// With `similar`, instances of similar length share a batch: the epoch is cut into pools of 32 batches, each pool is sorted
/// by length and cut, and the batches come in random order. A batch is then hardly longer than its instances, which pays where
/// it is filled up to its longest sequence: by the portable operations, not by the host kernels.
pub(crate) fn batches(
    key: StreamKey,
    instances: usize,
    batch_size: usize,
    similar: Option<&dyn Fn(u32) -> u32>,
) -> Vec<Arc<[u32]>> {
    let mut order = permutation(key, instances);
    let Some(length) = similar else {
        return order.chunks(batch_size).map(Arc::from).collect();
    };
    for pool in order.chunks_mut(batch_size.saturating_mul(POOL)) {
        // Instances of one length stay in their random order.
        pool.sort_by_key(|&instance| length(instance));
    }
    let sorted: Vec<Arc<[u32]>> = order.chunks(batch_size).map(Arc::from).collect();
    permutation(key.child("batches"), sorted.len())
        .into_iter()
        .map(|at| sorted[at as usize].clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of 1,000 instances: 1 to 50, in no order.
    fn length(instance: u32) -> u32 {
        instance * 37 % 50 + 1
    }

    fn epoch(key: u64, similar: bool) -> Vec<Arc<[u32]>> {
        let length: &dyn Fn(u32) -> u32 = &length;
        batches(StreamKey::root(key), 1000, 30, similar.then_some(length))
    }

    #[test]
    fn every_instance_comes_once_in_batches_of_the_size_and_one_rest() {
        for similar in [false, true] {
            let batches = epoch(1, similar);
            let mut sizes: Vec<usize> = batches.iter().map(|batch| batch.len()).collect();
            sizes.sort_unstable();
            assert_eq!(sizes, [vec![10], vec![30; 33]].concat(), "{similar}");
            let mut all: Vec<u32> = batches.iter().flat_map(|batch| batch.to_vec()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..1000).collect::<Vec<_>>(), "{similar}");
        }
    }

    /// Slots that padding to the longest of each batch would take, beside the events.
    fn padded(batches: &[Arc<[u32]>]) -> f64 {
        let longest = |batch: &Arc<[u32]>| batch.iter().map(|&at| length(at)).max().unwrap_or(0);
        let slots: u32 = batches.iter().map(|batch| longest(batch) * batch.len() as u32).sum();
        f64::from(slots) / f64::from((0..1000).map(length).sum::<u32>())
    }

    #[test]
    fn batches_of_similar_lengths_have_little_padding_and_come_in_random_order() {
        let (mixed, similar) = (epoch(1, false), epoch(1, true));
        assert!(padded(&mixed) > 1.8, "{}", padded(&mixed));
        assert!(padded(&similar) < 1.1, "{}", padded(&similar));
        let longest: Vec<u32> = similar.iter().map(|batch| length(batch[batch.len() - 1])).collect();
        let rising = longest.windows(2).filter(|pair| pair[0] <= pair[1]).count();
        assert!((8..26).contains(&rising), "{rising} of 33 batches are longer than the one before");
    }

    #[test]
    fn an_epoch_is_a_function_of_its_key() {
        for similar in [false, true] {
            assert_eq!(epoch(1, similar), epoch(1, similar));
            assert_ne!(epoch(1, similar), epoch(2, similar));
        }
        // Who shares a batch changes from epoch to epoch.
        let with = |key| {
            let batches = epoch(key, true);
            let mut batch = batches.iter().find(|batch| batch.contains(&0)).map(|batch| batch.to_vec());
            batch.iter_mut().for_each(|batch| batch.sort_unstable());
            batch
        };
        assert_ne!(with(1), with(2));
    }
}
