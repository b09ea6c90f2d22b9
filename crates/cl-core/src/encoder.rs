//! From an input to embeddings: what the training loop asks of every encoder, and how.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Rows of an encoder's output, in the encoder's own numbering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// These rows, in this order, repeats allowed.
    List(Arc<[u32]>),
    /// All rows of a range.
    Range(Range<u32>),
}

impl Rows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::List(rows) => rows.len(),
            Self::Range(range) => range.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows one by one.
    pub fn iter(&self) -> Box<dyn ExactSizeIterator<Item = u32> + '_> {
        match self {
            Self::List(rows) => Box::new(rows.iter().copied()),
            Self::Range(range) => Box::new(range.clone()),
        }
    }
}

/// One thing asked of an encoder: these rows of the pass over this input.
#[derive(Debug, Clone)]
pub struct Request<I> {
    /// What is encoded: structure, noise or dropout key, and which output is wanted.
    pub input: I,
    /// The rows that are wanted.
    pub rows: Rows,
}

/// Turns inputs into embeddings.
///
/// An encoder is asked once a step for a list of requests. Requests whose inputs have the same structure and the same
/// key are the same pass, and the encoder computes it once; what is shared, and how little is computed, is its own
/// affair.
pub trait Encoder<B: Backend> {
    /// What it encodes. Inputs do not name a backend: views make them without knowing the encoder.
    type Input: Clone;

    /// The embeddings of each request, `[request.rows.len(), dim]`, in the order of the requests.
    fn encode(&self, requests: &[Request<Self::Input>]) -> Vec<Tensor<B, 2>>;

    /// What of [`encode`](Self::encode) needs no parameters, to be done a step ahead by another thread: which rows a pass needs,
    /// in what order sums are added, and, on a GPU, the copies of that to the device. `None` if nothing is worth it.
    ///
    /// Asked for on the thread that encodes, as copies join its queue on the device.
    fn planner(&self) -> Option<Planner<Self::Input>> {
        None
    }

    /// As [`encode`](Self::encode) and to the same bits, with what a planner of this encoder, or of one that was made alike, made
    /// of the same requests.
    ///
    /// # Panics
    ///
    /// If it was made by a planner of something else.
    fn encode_planned(&self, requests: &[Request<Self::Input>], _planned: &Planned) -> Vec<Tensor<B, 2>> {
        self.encode(requests)
    }
}

/// Plans requests for an encoder; see [`Encoder::planner`].
pub type Planner<I> = Box<dyn Fn(&[Request<I>]) -> Planned + Send>;

/// What a planner makes, which its encoder alone reads.
pub type Planned = Box<dyn Any + Send>;

/// What an encoder reads of its input: what a view may perturb to any effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Senses {
    /// The structure: edges, items of a sequence.
    pub structure: bool,
    /// The noise key.
    pub noise: bool,
    /// L, number of layers; their outputs 0 to L can be asked for.
    pub layers: usize,
    /// The layer whose output is the final embedding, where that is no mean of several.
    pub final_is: Option<usize>,
}

/// What a view perturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Perturbs {
    /// The structure.
    pub structure: bool,
    /// Noise is added.
    pub noise: bool,
    /// The output of this layer is one of the views.
    pub layer: Option<usize>,
}

impl Senses {
    /// Whether the encoder would notice the perturbation at all.
    ///
    /// # Errors
    ///
    /// Half a sentence on why it would not.
    pub fn notice(&self, view: Perturbs) -> Result<(), String> {
        match view {
            Perturbs { layer: Some(layer), .. } if layer > self.layers => {
                let layers =
                    if self.layers == 1 { "1 layer".into() } else { format!("{} layers", self.layers) };
                Err(format!(
                    "the views contrast layer {layer} with the final embeddings, and the encoder has {layers}"
                ))
            }
            Perturbs { layer: Some(layer), .. } if self.final_is == Some(layer) => {
                Err(format!("layer {layer} is the final embedding itself, so both views would be the same"))
            }
            Perturbs { structure: true, .. } if !self.structure => {
                Err("the views perturb the graph, and the encoder does not read it".into())
            }
            Perturbs { noise: true, .. } if !self.noise => {
                Err("the views add noise, and the encoder takes none".into())
            }
            _ => Ok(()),
        }
    }
}
