//! The last K keys.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use cl_core::contrast::ABSENT;

/// A ring of the last `capacity` keys, on the device, with what is known of each on the host.
///
/// Pieces of any size are pushed, larger than the ring too; of those the last `capacity` rows stay. Where a piece meets the end of
/// the ring it goes on at its beginning, so that no size has to divide another.
///
/// # Cost
///
/// A push copies the pushed rows, as long as nobody else holds the ring's tensor; else it copies the ring first. Memory is
/// `capacity · dim` numbers from the first push on.
#[derive(Debug, Clone)]
pub struct Fifo<B: Backend> {
    pub(crate) capacity: usize,
    /// `[capacity, dim]`, made by the first push.
    pub(crate) ring: Option<Tensor<B, 2>>,
    /// Of each place of the ring.
    pub(crate) ids: Vec<u32>,
    pub(crate) origins: Vec<u32>,
    pub(crate) born: Vec<u64>,
    /// The place that is written next.
    pub(crate) next: usize,
    /// Keys that are held: those before `next`.
    pub(crate) length: usize,
}

/// What is held, oldest first.
#[derive(Debug, Clone)]
pub struct Entries<B: Backend> {
    /// The keys `[m, dim]`; `None` before the first push.
    pub keys: Option<Tensor<B, 2>>,
    /// Who each is.
    pub ids: Vec<u32>,
    /// What each was made of.
    pub origins: Vec<u32>,
    /// The step that each was pushed at.
    pub born: Vec<u64>,
}

impl<B: Backend> Fifo<B> {
    /// An empty ring.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs room for at least one key");
        Self { capacity, ring: None, ids: vec![], origins: vec![], born: vec![], next: 0, length: 0 }
    }

    /// Number of keys held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Most keys that it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Adds keys `[n, dim]`, row 0 first; the oldest make room. `ids` say who they are, `origins` what they were made of, `step`
    /// when.
    ///
    /// # Panics
    ///
    /// If the numbers of rows, ids and origins differ, or the width is not that of the first push.
    #[track_caller]
    pub fn push(&mut self, keys: Tensor<B, 2>, ids: &[u32], origins: &[u32], step: u64) {
        let [n, dim] = keys.dims();
        assert_eq!((ids.len(), origins.len()), (n, n), "{n} keys need {n} ids and {n} origins");
        let capacity = self.capacity;
        let ring = self.ring.take().unwrap_or_else(|| Tensor::zeros([capacity, dim], &keys.device()));
        let [_, width] = ring.dims();
        assert_eq!(dim, width, "keys are {dim} wide, the queue's are {width}");
        self.ids.resize(capacity, 0);
        self.origins.resize(capacity, 0);
        self.born.resize(capacity, 0);
        let mut ring = ring;
        // Of a piece larger than the ring the first rows would be pushed out by its own last.
        let mut row = n.saturating_sub(capacity);
        while row < n {
            let (start, rows) = (self.next, (n - row).min(capacity - self.next));
            ring = ring.slice_assign([start..start + rows, 0..dim], keys.clone().narrow(0, row, rows));
            self.ids[start..start + rows].copy_from_slice(&ids[row..row + rows]);
            self.origins[start..start + rows].copy_from_slice(&origins[row..row + rows]);
            self.born[start..start + rows].fill(step);
            self.next = (start + rows) % capacity;
            row += rows;
        }
        self.length = (self.length + n).min(capacity);
        self.ring = Some(ring);
    }

    /// Lets go of keys that were pushed before step `first`.
    pub fn drop_before(&mut self, first: u64) {
        while self.length > 0 && self.born[self.oldest()] < first {
            self.length -= 1;
        }
    }

    /// The place of the oldest key.
    fn oldest(&self) -> usize {
        (self.next + self.capacity - self.length) % self.capacity
    }

    /// The places that are held, oldest first: the second range is what lies behind the end of the ring.
    fn spans(&self) -> [Range<usize>; 2] {
        let start = self.oldest();
        let end = start + self.length;
        [start..end.min(self.capacity), 0..end.saturating_sub(self.capacity)]
    }

    fn gather<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.spans().into_iter().flat_map(|span| values[span].iter().copied()).collect()
    }

    /// What is held, oldest first; the keys are copied where they pass the end of the ring.
    #[must_use]
    pub fn in_order(&self) -> Entries<B> {
        let pieces = |ring: &Tensor<B, 2>| {
            let spans = self.spans().into_iter().filter(|span| !span.is_empty());
            spans.map(|span| ring.clone().narrow(0, span.start, span.len())).collect::<Vec<_>>()
        };
        let keys = self.ring.as_ref().map(|ring| match &mut pieces(ring)[..] {
            [] => Tensor::zeros([0, ring.dims()[1]], &ring.device()),
            [one] => one.clone(),
            several => Tensor::cat(several.to_vec(), 0),
        });
        Entries {
            keys,
            ids: self.gather(&self.ids),
            origins: self.gather(&self.origins),
            born: self.gather(&self.born),
        }
    }

    /// Where the last n rows that were pushed stand among [`keys`](Self::keys), [`ABSENT`] of those that are not held.
    #[must_use]
    pub fn places_of_last(&self, n: usize) -> Arc<[u32]> {
        let full = self.length == self.capacity;
        let place = |row: usize| {
            let back = n - row; // 1: the newest
            let at = if full {
                (self.next + self.capacity).checked_sub(back)
            } else {
                self.length.checked_sub(back)
            };
            match at.filter(|_| back <= self.length) {
                Some(at) => (at % self.capacity) as u32,
                None => ABSENT,
            }
        };
        (0..n).map(place).collect()
    }

    /// The keys and who they are, in the order that costs least: a full ring is given as it lies. `None` if none is held.
    #[must_use]
    pub fn keys(&self) -> Option<(Tensor<B, 2>, Arc<[u32]>)> {
        let ring = self.ring.as_ref().filter(|_| self.length > 0)?;
        if self.length == self.capacity {
            return Some((ring.clone(), self.ids[..].into()));
        }
        let Entries { keys, ids, .. } = self.in_order();
        keys.map(|keys| (keys, ids.into()))
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    fn rows(values: &[f32]) -> Tensor<Flex, 2> {
        Tensor::<Flex, 1>::from_data(values, &Default::default()).reshape([values.len(), 1])
    }

    fn held(queue: &Fifo<Flex>) -> Vec<f32> {
        queue.in_order().keys.map_or(vec![], |keys| keys.into_data().to_vec().unwrap())
    }

    #[test]
    fn a_piece_goes_on_at_the_beginning_of_the_ring() {
        let mut queue = Fifo::new(3);
        assert!(queue.keys().is_none() && held(&queue).is_empty());
        queue.push(rows(&[1.0, 2.0]), &[1, 2], &[7, 8], 0);
        assert_eq!((held(&queue), queue.len()), (vec![1.0, 2.0], 2));
        queue.push(rows(&[3.0, 4.0]), &[3, 4], &[9, 6], 1);
        assert_eq!(held(&queue), [2.0, 3.0, 4.0]);
        let Entries { ids, origins, born, .. } = queue.in_order();
        assert_eq!((ids, origins, born), (vec![2, 3, 4], vec![8, 9, 6], vec![0, 1, 1]));
        // The ring as it lies: 4 took the place of 1.
        let (keys, ids) = queue.keys().unwrap();
        assert_eq!(
            (keys.into_data().to_vec::<f32>().unwrap(), &ids[..]),
            (vec![4.0, 2.0, 3.0], &[4, 2, 3][..])
        );
        assert_eq!(queue.places_of_last(2)[..], [2, 0]);
    }

    #[test]
    fn of_a_piece_larger_than_the_ring_the_last_rows_stay() {
        let mut queue = Fifo::new(2);
        queue.push(rows(&[9.0]), &[9], &[9], 0);
        queue.push(rows(&[1.0, 2.0, 3.0, 4.0, 5.0]), &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], 1);
        assert_eq!((held(&queue), queue.in_order().ids), (vec![4.0, 5.0], vec![4, 5]));
        assert_eq!(queue.places_of_last(5)[..], [ABSENT, ABSENT, ABSENT, 1, 0]);
        queue.push(rows(&[6.0]), &[6], &[6], 2);
        assert_eq!(held(&queue), [5.0, 6.0]);
    }

    #[test]
    fn old_keys_are_let_go_of() {
        let mut queue = Fifo::new(4);
        for step in 0..5 {
            queue.push(rows(&[step as f32]), &[step], &[step], step.into());
        }
        queue.drop_before(3);
        assert_eq!(held(&queue), [3.0, 4.0]);
        assert_eq!(queue.keys().unwrap().1[..], [3, 4]);
        assert_eq!(queue.places_of_last(3)[..], [ABSENT, 0, 1]);
        queue.push(rows(&[5.0]), &[5], &[5], 5);
        assert_eq!(held(&queue), [3.0, 4.0, 5.0]);
        queue.drop_before(9);
        assert!(queue.is_empty() && queue.keys().is_none());
    }

    #[test]
    #[should_panic(expected = "keys are 2 wide, the queue's are 1")]
    fn other_widths_are_a_mistake() {
        let mut queue = Fifo::new(4);
        queue.push(rows(&[1.0]), &[1], &[1], 0);
        queue.push(rows(&[1.0, 2.0]).reshape([1, 2]), &[1], &[1], 0);
    }
}
