//! Sampled negatives as a rule: a batch says how they are drawn, and who needs them draws them, the host or a kernel.

use std::fmt;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;

use super::{ItemSampler, Sampling};
use crate::encoder::Rows;
use crate::kernels::{ContrastBackend, OnDevice};
use crate::rng::StreamKey;

/// Who has which items.
pub trait Owners: Send + Sync {
    /// Number of owners.
    fn owners(&self) -> usize;

    /// The items of an owner, ascending, without repeats.
    fn items_of(&self, owner: usize) -> &[u32];
}

/// Draws items that an owner has not; a clone shares what it knows.
#[derive(Clone)]
pub struct NegativeSampler {
    law: ItemSampler,
    owners: Arc<dyn Owners>,
    device: Arc<OnDevice>,
}

impl NegativeSampler {
    /// Draws from a catalogue whose items have so many events, for these owners.
    ///
    /// # Errors
    ///
    /// The first owner who has every item that could be drawn.
    pub fn new(sampling: Sampling, counts: &[u32], owners: Arc<dyn Owners>) -> Result<Self, usize> {
        let law = ItemSampler::new(sampling, counts);
        match law.without_negative((0..owners.owners()).map(|owner| owners.items_of(owner))) {
            Some(owner) => Err(owner),
            None => Ok(Self { law, owners, device: Arc::default() }),
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
    pub fn device(&self) -> &OnDevice {
        &self.device
    }

    /// ln of the share of all draws that an owner has not.
    fn log_left(&self, owner: u32) -> f32 {
        let items = self.owners.items_of(owner as usize);
        let taken: f64 = items.iter().map(|&item| self.law.probability(item)).sum();
        (1.0 - taken).ln() as f32
    }
}

impl fmt::Debug for NegativeSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("NegativeSampler");
        out.field("law", &self.law).field("owners", &self.owners.owners()).finish_non_exhaustive()
    }
}

/// How the negatives of a batch are drawn: k for each anchor, those of anchor i from row i of a stream.
#[derive(Debug, Clone)]
pub struct Draw {
    /// What draws them.
    pub sampler: NegativeSampler,
    /// The stream.
    pub key: StreamKey,
    /// The owner of each anchor.
    pub anchors: Arc<[u32]>,
    /// k, negatives of an anchor.
    pub each: usize,
}

impl Draw {
    /// n · k, how many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len() * self.each
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items, those of an anchor together, `[n · k]`.
    #[must_use]
    pub fn items(&self) -> Arc<[u32]> {
        let mut items = vec![0; self.len()];
        let rows = items.par_chunks_mut(self.each.max(1)).zip(&self.anchors[..]).enumerate();
        rows.with_min_len(256).for_each(|(row, (items, &owner))| {
            let (mut rng, own) = (self.key.rng(row as u32), self.sampler.owners.items_of(owner as usize));
            let has = |item| own.binary_search(&item).is_ok();
            items.fill_with(|| self.sampler.law.draw_other(&mut rng, has));
        });
        items.into()
    }

    /// ln q of each, how likely its anchor draws it: its probability over the share of all that the anchor's owner has not.
    ///
    /// # Shapes
    /// - `items`: what was drawn, `[n · k]` → `[n, k]`
    #[must_use]
    pub fn log_q<B: ContrastBackend>(&self, items: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        let (n, device, law) = (self.anchors.len(), items.device(), &self.sampler.law);
        let mut last = None;
        let left: Vec<f32> = self
            .anchors
            .iter()
            .map(|&owner| match last {
                // Anchors of one sequence stand together.
                Some((same, left)) if same == owner => left,
                _ => last.insert((owner, self.sampler.log_left(owner))).1,
            })
            .collect();
        let left = Tensor::<B, 2>::from_data(TensorData::new(left, [n, 1]), &device).expand([n, self.each]); // [n, k]
        match law.sampling() {
            Sampling::Uniform => left.neg().add_scalar(law.probability(0).ln()),
            Sampling::Popularity => {
                let of_item: Vec<f32> =
                    (0..law.items()).map(|item| law.probability(item).ln() as f32).collect();
                let rows = of_item.len();
                let of_item = Tensor::<B, 1>::from_data(TensorData::new(of_item, [rows]), &device);
                of_item.select(0, items).reshape([n, self.each]) - left
            }
        }
    }
}

/// The negatives of a batch. They are listed when the list is first asked for; a GPU backend draws the same items itself.
#[derive(Debug, Clone, Default)]
pub struct Negatives(Option<Arc<Drawn>>);

#[derive(Debug)]
struct Drawn {
    draw: Draw,
    /// The row of item 0.
    first: u32,
    listed: OnceLock<Arc<[u32]>>,
}

impl Negatives {
    /// `each` negatives for every anchor, told by its owner, from the stream `key`. Item 0 is row `first`.
    ///
    /// # Panics
    ///
    /// If some are wanted, and there is nothing to draw them with.
    #[must_use]
    pub fn new(
        sampler: Option<&NegativeSampler>,
        key: StreamKey,
        anchors: Arc<[u32]>,
        each: usize,
        first: u32,
    ) -> Self {
        if each == 0 {
            return Self(None);
        }
        let Some(sampler) = sampler.cloned() else {
            panic!("negatives are asked of a source that was made without");
        };
        let draw = Draw { sampler, key, anchors, each };
        Self(Some(Arc::new(Drawn { draw, first, listed: OnceLock::new() })))
    }

    /// How they are drawn, if there are any.
    #[must_use]
    pub fn draw(&self) -> Option<&Draw> {
        self.0.as_ref().map(|drawn| &drawn.draw)
    }

    /// n · k, how many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.draw().map_or(0, Draw::len)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The list of their items, `[n · k]`, drawn by the host when this is first called.
    #[must_use]
    pub fn items(&self) -> Arc<[u32]> {
        self.0
            .as_ref()
            .map_or_else(|| [].into(), |drawn| drawn.listed.get_or_init(|| drawn.draw.items()).clone())
    }

    /// The list of their rows, likewise.
    #[must_use]
    pub fn rows(&self) -> Rows {
        let items = self.items();
        Rows::List(match self.0.as_ref().map_or(0, |drawn| drawn.first) {
            0 => items,
            first => items.iter().map(|item| first + item).collect(),
        })
    }
}
