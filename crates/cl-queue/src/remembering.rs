//! A source of negatives that remembers the keys of earlier steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use cl_core::Schedule;
use cl_core::contrast::{KeyKind, Keys};
use cl_core::kernels::{KeyMask, List};
use cl_core::negatives::{Direction, Fresh, Kept, Negatives};
use cl_core::registry::{Check, ensure};
use cl_core::source::Group;
use serde::{Deserialize, Serialize};

use crate::fifo::{Entries, Fifo};
use crate::saved;

/// When the keys of a batch join those that are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enqueue {
    /// Before the loss: a batch's own keys are negatives of each other (cross-batch memory).
    Before,
    /// After the loss: only keys of earlier steps are negatives (MoCo).
    #[default]
    After,
}

/// What is remembered, and who sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// K, how many keys are remembered of each group.
    pub size: usize,
    /// When the keys of a batch join them.
    pub enqueue: Enqueue,
    /// Keys that are older than so many steps are dropped.
    pub max_age: Option<u64>,
    /// Whether keys with an anchor's own id are hidden from it.
    pub mask_own_id: bool,
    /// Whether the rows of the batch stand in the denominator beside what is remembered, with their gradient.
    pub with_batch: bool,
}

impl Settings {
    /// The checks that sources of this kind share.
    pub(crate) fn validate(self) -> Check {
        ensure((1..=1 << 26).contains(&self.size), "size", || {
            format!("must be from 1 to 67108864, got {}", self.size)
        })?;
        ensure(self.max_age != Some(0), "max_age", || {
            "must be 1 step or more, got 0: leave it out to keep keys as long as there is room".into()
        })?;
        ensure(!(self.with_batch && self.enqueue == Enqueue::Before), "with_batch", || {
            "needs enqueue = \"after\": enqueued before the loss, the batch would stand in the denominator twice".into()
        })
    }
}

/// Keys of earlier steps as negatives; a queue for each group and direction.
pub struct Remembering<B: AutodiffBackend> {
    settings: Settings,
    momentum: Option<Schedule>,
    pub(crate) queues: BTreeMap<String, Fifo<B::InnerBackend>>,
    /// Keys that join at the end of the step. A queue whose tensor stands in a loss would have to be copied to be changed.
    pending: Vec<Pending<B>>,
    /// Steps done.
    pub(crate) steps: u64,
}

struct Pending<B: AutodiffBackend> {
    name: String,
    keys: Tensor<B::InnerBackend, 2>,
    ids: List<u32>,
    origins: Arc<[u32]>,
}

impl<B: AutodiffBackend> Remembering<B> {
    /// Remembers nothing yet. `momentum` is that of the copy that encodes the keys, if there is one.
    #[must_use]
    pub fn new(settings: Settings, momentum: Option<Schedule>) -> Self {
        Self { settings, momentum, queues: BTreeMap::new(), pending: Vec::new(), steps: 0 }
    }

    /// The oldest step whose keys may be seen.
    fn oldest(&self) -> u64 {
        self.settings.max_age.map_or(0, |age| self.steps.saturating_sub(age))
    }

    fn push(&mut self, Pending { name, keys, ids, origins }: Pending<B>) {
        let queue = self.queues.entry(name).or_insert_with(|| Fifo::new(self.settings.size));
        queue.push(keys, &ids, &origins, self.steps);
    }
}

/// What the names of the second direction's queues end in.
const B_TO_A: &str = ".b_to_a";

/// The name of a group's queue.
fn name(group: &Group, direction: Direction) -> String {
    match direction {
        Direction::AToB => group.name.into(),
        Direction::BToA => format!("{}{B_TO_A}", group.name),
    }
}

impl<B: AutodiffBackend> Negatives<B> for Remembering<B> {
    fn kind(&self) -> KeyKind {
        KeyKind::Others
    }

    fn keys(&mut self, group: &Group, direction: Direction, fresh: Fresh<B>) -> Keys<B> {
        let Settings { enqueue, with_batch, mask_own_id, .. } = self.settings;
        let rows = fresh.positives;
        let [n, dim] = rows.dims();
        let name = name(group, direction);
        let pending = Pending {
            name: name.clone(),
            keys: rows.clone().inner(),
            ids: group.ids.clone(),
            origins: group.origins.clone(),
        };
        match enqueue {
            Enqueue::Before => self.push(pending),
            Enqueue::After => self.pending.push(pending),
        }
        let oldest = self.oldest();
        let queue = self.queues.get_mut(&name);
        let (mut remembered, mut places) = (None, None);
        if let Some(queue) = queue {
            queue.drop_before(oldest);
            remembered = queue.keys().map(|(keys, ids)| (Tensor::from_inner(keys), ids));
            places = (enqueue == Enqueue::Before).then(|| queue.places_of_last(n));
        }
        let (vectors, ids) = match remembered {
            Some((keys, ids)) if with_batch => {
                (Tensor::cat(vec![rows, keys], 0), [&group.ids[..], &ids[..]].concat().into())
            }
            Some((keys, ids)) => (keys, ids.into()),
            None if with_batch => (rows, group.ids.clone()),
            None => (Tensor::zeros([0, dim], &rows.device()), [].into()),
        };
        let mask = if mask_own_id {
            Some(KeyMask::Ids { anchors: group.ids.clone(), keys: ids })
        } else if with_batch {
            Some(KeyMask::Diagonal)
        } else {
            places.map(|places| KeyMask::Places(List::from(places).into()))
        };
        Keys::Others { vectors, mask }
    }

    fn momentum(&self) -> Option<Schedule> {
        self.momentum
    }

    fn step_done(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            self.push(pending);
        }
        self.steps += 1;
    }

    fn kept(&self) -> Vec<Kept<B>> {
        let oldest = self.oldest();
        let kept = |(name, queue): (&String, &Fifo<B::InnerBackend>)| {
            let direction = if name.ends_with(B_TO_A) { Direction::BToA } else { Direction::AToB };
            let mut queue = queue.clone();
            queue.drop_before(oldest);
            let Entries { keys, ids, origins, born } = queue.in_order();
            let ages = born.into_iter().map(|born| self.steps - born).collect();
            let vectors = Tensor::from_inner(keys?);
            Some(Kept {
                name: name.clone(),
                direction,
                vectors,
                ids: ids.into(),
                origins: origins.into(),
                ages,
            })
        };
        self.queues.iter().filter_map(kept).collect()
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(saved::write(&self.queues, self.steps))
    }

    fn load(&mut self, bytes: &[u8], device: &B::Device) -> Result<(), String> {
        (self.queues, self.steps) = saved::read::<B::InnerBackend>(bytes, self.settings.size, device)?;
        Ok(())
    }
}
