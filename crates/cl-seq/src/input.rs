//! What a sequence encoder encodes.

use std::ops::Range;
use std::sync::Arc;

use cl_core::StreamKey;
use cl_data::Sequences;

/// A batch of sequences, oldest item first, and the dropout of the pass over them.
#[derive(Debug, Clone)]
pub struct SequenceInput {
    /// Items are rows of the catalogue, or the mask token.
    pub sequences: Arc<Sequences>,
    /// Number of items of the catalogue; as an item it is the mask token.
    pub items: u32,
    /// The newest events of a sequence that an encoder reads; a view that lengthens sequences keeps to it.
    pub longest: usize,
    /// The item that follows each sequence in the training data, or that its newest masked event was; empty for ranking.
    /// Views may look at it, encoders do not.
    pub next: Arc<[u32]>,
    /// The stream of dropout; `None` drops nothing (ranking).
    pub dropout: Option<StreamKey>,
}

impl SequenceInput {
    /// Whether both are the same pass: the same sequences (not equal ones) with the same dropout. What an encoder does not
    /// read does not matter.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sequences, &other.sequences) && self.dropout == other.dropout
    }

    /// The rows that an encoder has for this batch.
    #[must_use]
    pub fn numbering(&self) -> Numbering {
        Numbering { items: self.items, sequences: self.sequences.users() as u32 }
    }

    /// The same batch with other dropout, if there is any.
    #[must_use]
    pub fn with_other_dropout(&self, name: &str) -> Self {
        Self { dropout: self.dropout.map(|key| key.child(name)), ..self.clone() }
    }

    /// A batch of the newest `longest` events of each sequence.
    pub fn newest<'a>(sequences: impl IntoIterator<Item = &'a [u32]>, longest: usize, items: u32) -> Self {
        let newest = |sequence: &'a [u32]| &sequence[sequence.len().saturating_sub(longest)..];
        let sequences = Sequences::from_rows(sequences.into_iter().map(newest));
        Self { sequences: Arc::new(sequences), items, longest, next: [].into(), dropout: None }
    }
}

/// How a sequence encoder numbers its rows: the items of the catalogue, the batch's sequences as wholes, then the state
/// after each event, sequence after sequence.
///
/// Items and sequences have the same numbers in every view of a batch, whatever a view makes of the lengths. The mask
/// token has no row, so that it can neither be ranked nor be contrasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbering {
    /// Number of items.
    pub items: u32,
    /// Number of sequences of the batch.
    pub sequences: u32,
}

/// What a row of an encoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    Item(u32),
    Sequence(u32),
    State(u32),
}

impl Numbering {
    /// The rows of the items.
    #[must_use]
    pub fn items(self) -> Range<u32> {
        0..self.items
    }

    /// The rows of the sequences as wholes, as a contrast compares them.
    #[must_use]
    pub fn wholes(self) -> Range<u32> {
        self.items..self.items + self.sequences
    }

    /// The row of the state after event `event`, counted through the whole batch.
    #[must_use]
    pub fn state(self, event: u32) -> u32 {
        self.items + self.sequences + event
    }

    pub(crate) fn row(self, row: u32) -> Row {
        match row {
            row if row < self.items => Row::Item(row),
            row if row < self.items + self.sequences => Row::Sequence(row - self.items),
            row => Row::State(row - self.items - self.sequences),
        }
    }
}
