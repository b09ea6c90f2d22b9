//! Sampled negatives as a rule: a batch says how they are drawn, and who needs them draws them, the host or a kernel.

use std::fmt;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;

use super::{ItemSampler, Sampling};
use crate::encoder::Rows;
use crate::kernels::{ContrastBackend, List, OnDevice, draw};
use crate::rng::StreamKey;

/// Who has which items.
pub trait Owners: Send + Sync {
    /// Number of owners.
    fn owners(&self) -> usize;

    /// The items of an owner, ascending, without repeats, all of them of the catalogue.
    fn items_of(&self, owner: usize) -> &[u32];
}

/// Draws items that an owner has not; a clone shares what it knows.
#[derive(Clone)]
pub struct NegativeSampler {
    law: ItemSampler,
    owners: Arc<dyn Owners>,
    on_device: Arc<OnDevice>,
}

impl NegativeSampler {
    /// Draws from a catalogue whose items have so many events, for these owners. O(items, and items of all owners).
    ///
    /// # Errors
    ///
    /// The first owner who has every item that could be drawn.
    ///
    /// # Panics
    ///
    /// If an owner has an item that is none of the catalogue, and the law is that of popularity.
    pub fn new(sampling: Sampling, counts: &[u32], owners: Arc<dyn Owners>) -> Result<Self, usize> {
        let law = ItemSampler::new(sampling, counts);
        match law.without_negative((0..owners.owners()).map(|owner| owners.items_of(owner))) {
            Some(owner) => Err(owner),
            None => Ok(Self { law, owners, on_device: Arc::default() }),
        }
    }

    /// The law of the draws.
    #[must_use]
    pub fn law(&self) -> &ItemSampler {
        &self.law
    }

    /// Who has which items.
    #[must_use]
    pub fn owners(&self) -> &dyn Owners {
        &*self.owners
    }

    /// What backends keep of it.
    #[must_use]
    pub fn on_device(&self) -> &OnDevice {
        &self.on_device
    }

    /// ln of the share of all draws that an owner has not.
    fn log_left(&self, owner: u32) -> f32 {
        let items = self.owners.items_of(owner as usize);
        let taken: f64 = match self.law.sampling() {
            Sampling::Uniform => items.len() as f64 * self.law.probability(0),
            Sampling::Popularity => items.iter().map(|&item| self.law.probability(item)).sum(),
        };
        (1.0 - taken).ln() as f32
    }

    /// ln of how likely each item is drawn, `[items]`, kept on the device.
    fn log_probabilities<B: ContrastBackend>(&self, device: &B::Device) -> Tensor<B, 1> {
        let here = |made: &Tensor<B, 1>| made.device() == *device;
        self.on_device.get(here, || {
            let items = self.law.items();
            let logs: Vec<f32> = (0..items).map(|item| self.law.probability(item).ln() as f32).collect();
            Tensor::from_data(TensorData::new(logs, [items as usize]), device)
        })
    }
}

impl fmt::Debug for NegativeSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("NegativeSampler");
        out.field("law", &self.law).field("owners", &self.owners.owners()).finish_non_exhaustive()
    }
}

/// How negatives are drawn: k for each anchor, those of anchor i from row i of a stream. A clone shares the list, if one is
/// made.
#[derive(Debug, Clone)]
pub struct Draw(Arc<Rule>);

#[derive(Debug)]
struct Rule {
    sampler: NegativeSampler,
    key: StreamKey,
    owners: List<u32>,
    each: usize,
    listed: OnceLock<Arc<[u32]>>,
}

impl Draw {
    /// `each` negatives for every anchor, told by its owner, from the stream `key`.
    ///
    /// # Panics
    ///
    /// If an owner is none of the sampler's.
    #[must_use]
    pub fn new(sampler: NegativeSampler, key: StreamKey, owners: Arc<[u32]>, each: usize) -> Self {
        let known = sampler.owners.owners();
        if let Some(owner) = owners.iter().find(|&&owner| owner as usize >= known) {
            panic!("negatives are asked for owner {owner}, and there are {known}");
        }
        Self(Arc::new(Rule { sampler, key, owners: owners.into(), each, listed: OnceLock::new() }))
    }

    /// What draws them.
    #[must_use]
    pub fn sampler(&self) -> &NegativeSampler {
        &self.0.sampler
    }

    /// The stream.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        self.0.key
    }

    /// The owner of each anchor, `[n]`.
    #[must_use]
    pub fn owners(&self) -> &List<u32> {
        &self.0.owners
    }

    /// k, negatives of an anchor.
    #[must_use]
    pub fn each(&self) -> usize {
        self.0.each
    }

    /// n · k, how many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.owners.len() * self.0.each
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items, those of an anchor together, `[n · k]`; drawn by the host when this is first called, in
    /// O(n k log(items of an owner)) shared by all threads, by popularity also log(items). An owner who has most of what could
    /// be drawn has draws repeated as often.
    #[must_use]
    pub fn items(&self) -> Arc<[u32]> {
        let Rule { sampler, key, owners, each, listed } = &*self.0;
        if let Some(items) = listed.get() {
            return items.clone();
        }
        let mut items = vec![0; self.len()];
        let rows = items.par_chunks_mut((*each).max(1)).zip(&owners[..]).enumerate();
        rows.with_min_len(256).for_each(|(row, (items, &owner))| {
            let (mut rng, own) = (key.rng(row as u32), sampler.owners.items_of(owner as usize));
            let has = |item| own.binary_search(&item).is_ok();
            items.fill_with(|| sampler.law.draw_other(&mut rng, has));
        });
        // Kept when it is whole: threads of a pool that waited for one another's list could not make it.
        listed.get_or_init(|| items.into()).clone()
    }

    /// ln q of each, how likely its anchor draws it: its probability over the share of all that the anchor's owner has not.
    /// `[n, k]`
    ///
    /// `drawn` is what [`draw`] gave, `[n · k]`, if it was asked for; of a law that does not tell items apart it is not
    /// needed.
    ///
    /// # Cost
    ///
    /// O(n k), and on the host by popularity the items of every owner, one after another.
    ///
    /// # Panics
    ///
    /// If `drawn` is of another length, and the law tells items apart.
    #[must_use]
    pub fn log_q<B: ContrastBackend>(
        &self,
        drawn: Option<Tensor<B, 1, Int>>,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        let Rule { sampler, owners, each, .. } = &*self.0;
        let (n, law) = (owners.len(), &sampler.law);
        let mut last = None;
        let left: Vec<f32> = owners
            .iter()
            .map(|&owner| match last {
                // Anchors of one sequence stand together.
                Some((same, left)) if same == owner => left,
                _ => last.insert((owner, sampler.log_left(owner))).1,
            })
            .collect();
        let left = Tensor::<B, 2>::from_data(TensorData::new(left, [n, 1]), device).expand([n, *each]); // [n, k]
        match law.sampling() {
            Sampling::Uniform => left.neg().add_scalar(law.probability(0).ln()),
            Sampling::Popularity => {
                let items = drawn.unwrap_or_else(|| draw::<B>(self, device));
                let of_items = sampler.log_probabilities::<B>(device).select(0, items); // [n · k]
                of_items.reshape([n, *each]) - left
            }
        }
    }
}

/// The negatives of a batch. They are listed when the list is first asked for; a GPU backend draws the same items itself.
#[derive(Debug, Clone, Default)]
pub struct BatchNegatives {
    draw: Option<Draw>,
    /// The row of item 0.
    first: u32,
}

impl BatchNegatives {
    /// `each` negatives for every anchor, told by its owner, from the stream `key`. Item 0 is row `first`.
    ///
    /// # Panics
    ///
    /// If some are wanted, and there is nothing to draw them with, or an owner is none of the sampler's.
    #[must_use]
    pub fn new(
        sampler: Option<&NegativeSampler>,
        key: StreamKey,
        owners: Arc<[u32]>,
        each: usize,
        first: u32,
    ) -> Self {
        if each == 0 || owners.is_empty() {
            return Self::default();
        }
        let Some(sampler) = sampler.cloned() else {
            panic!("negatives are asked of a source that was made without");
        };
        Self { draw: Some(Draw::new(sampler, key, owners, each)), first }
    }

    /// How they are drawn, if there are any.
    #[must_use]
    pub fn draw(&self) -> Option<&Draw> {
        self.draw.as_ref()
    }

    /// n · k, how many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.draw.as_ref().map_or(0, Draw::len)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.draw.is_none()
    }

    /// The list of their items; see [`Draw::items`].
    #[must_use]
    pub fn items(&self) -> Arc<[u32]> {
        self.draw.as_ref().map_or_else(|| [].into(), Draw::items)
    }

    /// The list of their rows, likewise.
    #[must_use]
    pub fn rows(&self) -> Rows {
        let items = self.items();
        Rows::List(match self.first {
            0 => items,
            first => items.iter().map(|item| first + item).collect(),
        })
    }
}
