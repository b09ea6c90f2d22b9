//! From requests to one pass and back: the same for every encoder that has a state after each event.

use burn::tensor::Tensor;
use cl_core::{Request, Rows};

use crate::input::{Numbering, Row, SequenceInput};
use crate::kernels::{SequenceBackend, gather};
use crate::pass::{Pass, Reading};
use crate::pooling::Pooling;

/// An encoder with a state after each event.
pub(crate) trait States<B: SequenceBackend> {
    /// How it reads sequences.
    fn reading(&self) -> Reading;

    /// What stands for a sequence as a whole.
    fn pooling(&self) -> Pooling;

    /// What states are compared with, `[items, width]` or longer: rows behind the items are not asked for.
    fn table(&self) -> Tensor<B, 2>;

    /// The state after each token, `[tokens, d]`.
    fn states(&self, pass: &Pass) -> Tensor<B, 2>;

    /// What of states is compared with items, `[rows, d]` → `[rows, width]`.
    fn foretell(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        states
    }
}

/// The rows of a request, which are all of one kind.
fn kind(rows: &Rows, numbering: Numbering) -> Option<Row> {
    // Rows of one kind follow one another, so that the ends of a range tell.
    let ends = match rows {
        Rows::Range(range) if !range.is_empty() => Rows::List([range.start, range.end - 1].into()),
        rows => rows.clone(),
    };
    let mut kinds = ends.iter().map(|row| numbering.row(row));
    let first = kinds.next()?;
    let same = |row: Row| std::mem::discriminant(&row) == std::mem::discriminant(&first);
    assert!(kinds.all(same), "a request asks for items, whole sequences or states, and this one mixes them");
    Some(first)
}

/// Distinct inputs, with what came out of the pass over them.
struct Passed<'a, B: SequenceBackend> {
    inputs: Vec<&'a SequenceInput>,
    pass: Pass,
    /// None if no token was there.
    states: Option<Tensor<B, 2>>,
}

impl<'a, B: SequenceBackend> Passed<'a, B> {
    fn new(encoder: &impl States<B>, inputs: Vec<&'a SequenceInput>) -> Self {
        let pass = Pass::new(&inputs, encoder.reading());
        let states = (!pass.items.is_empty()).then(|| encoder.states(&pass));
        Self { inputs, pass, states }
    }

    fn states(&self) -> &Tensor<B, 2> {
        self.states.as_ref().unwrap_or_else(|| panic!("the batch has no event, and so no state"))
    }

    /// First sequence and first token of an input.
    fn start(&self, input: &SequenceInput) -> (usize, usize) {
        self.pass.starts[self.inputs.iter().position(|other| other.same(input)).unwrap_or(0)]
    }
}

/// The answers to requests, one pass over all sequences with dropout and one over all without.
pub(crate) fn encode<B: SequenceBackend>(
    encoder: &impl States<B>,
    requests: &[Request<SequenceInput>],
) -> Vec<Tensor<B, 2>> {
    let (reading, table) = (encoder.reading(), encoder.table());
    let items = reading.items;
    let numbering = |input: &SequenceInput| {
        let of = input.items as usize;
        assert_eq!(of, items, "the input is of a catalogue of {of} items, the encoder of one of {items}");
        input.numbering()
    };
    let kinds: Vec<_> =
        requests.iter().map(|request| kind(&request.rows, numbering(&request.input))).collect();
    // Every distinct input that is asked for states, with and without dropout apart.
    let mut inputs: [Vec<&SequenceInput>; 2] = Default::default();
    for (request, kind) in requests.iter().zip(&kinds) {
        let of = &mut inputs[usize::from(request.input.dropout.is_some())];
        if matches!(kind, Some(Row::Sequence(_) | Row::State(_)))
            && !of.iter().any(|input| input.same(&request.input))
        {
            of.push(&request.input);
        }
    }
    let passed = inputs.map(|inputs| Passed::new(encoder, inputs));

    let answer = |(request, kind): (&Request<SequenceInput>, &Option<Row>)| {
        let Request { input, rows } = request;
        let (numbering, device) = (numbering(input), table.device());
        let passed = &passed[usize::from(input.dropout.is_some())];
        match kind {
            None => Tensor::zeros([0, table.dims()[1]], &device),
            Some(Row::Item(_)) => items_of(&table, rows),
            Some(Row::Sequence(_)) => {
                let (first, _) = passed.start(input);
                let sequence = |row| (row - numbering.wholes().start) as usize + first;
                let sequences: Vec<usize> = rows.iter().map(sequence).collect();
                encoder.pooling().of(passed.states(), &passed.pass, &sequences, reading.longest)
            }
            Some(Row::State(_)) => {
                let (_, first) = passed.start(input);
                let events = input.sequences.len();
                let token = |row| {
                    let event = (row - numbering.state(0)) as usize;
                    // Views differ in their lengths, so that a state of one batch is none of the other's.
                    assert!(event < events, "state {event} is asked for, and the batch has {events} events");
                    (first + event) as i32
                };
                let tokens: Vec<i32> = rows.iter().map(token).collect();
                encoder.foretell(gather(passed.states().clone(), &tokens))
            }
        }
    };
    requests.iter().zip(&kinds).map(answer).collect()
}

/// Rows of the item table.
fn items_of<B: SequenceBackend>(table: &Tensor<B, 2>, rows: &Rows) -> Tensor<B, 2> {
    match rows {
        Rows::Range(rows) => table.clone().narrow(0, rows.start as usize, rows.len()),
        Rows::List(rows) => {
            let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
            gather(table.clone(), &rows)
        }
    }
}
