//! From requests to one pass and back: the same for every encoder that has a state after each event.

use burn::tensor::{Device, Tensor};
use cl_core::encoder::{Planned, Planner};
use cl_core::kernels::List;
use cl_core::{Request, Rows};

use crate::input::{Numbering, Row, SequenceInput};
use crate::kernels::{Operand, SequenceBackend, gather};
use crate::pass::{Pass, Reading};
use crate::pooling::{Pooled, Pooling};

/// Takes operands one after another.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(Operand<'_>);

/// Tells the operands of a pass.
pub(crate) type Operands = Box<dyn Fn(&Pass, Visit<'_>) + Send>;

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

    /// Tells all that [`states`](Self::states) reads besides parameters, so that it can be made ready.
    fn operands(&self) -> Operands;

    /// What of states is compared with items, `[rows, d]` → `[rows, width]`.
    fn foretell(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        states
    }
}

/// What a request comes to.
enum Answer {
    /// No row is asked for.
    None,
    /// Items that follow one another.
    Items { first: usize, count: usize },
    /// Items in any order.
    Listed(List<i32>),
    /// Whole sequences of a pass.
    Sequences(Of, Pooled),
    /// States of a pass, by its tokens.
    States(Of, List<i32>),
}

/// Which pass: without dropout, or with it.
type Of = usize;

/// What a list of requests comes to: a pass over all sequences without dropout and one over all with, and what is read of
/// them.
pub(crate) struct Plan {
    passes: [Pass; 2],
    answers: Vec<Answer>,
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

impl Plan {
    fn new(reading: Reading, pooling: Pooling, requests: &[Request<SequenceInput>]) -> Self {
        let items = reading.items;
        let numbering = |input: &SequenceInput| {
            let of = input.items as usize;
            assert_eq!(of, items, "the input is of a catalogue of {of} items, the encoder of one of {items}");
            input.numbering()
        };
        let kinds: Vec<_> =
            requests.iter().map(|request| kind(&request.rows, numbering(&request.input))).collect();
        // Every distinct input that is asked for states, without and with dropout apart.
        let mut inputs: [Vec<&SequenceInput>; 2] = Default::default();
        for (request, kind) in requests.iter().zip(&kinds) {
            let of = &mut inputs[usize::from(request.input.dropout.is_some())];
            if matches!(kind, Some(Row::Sequence(_) | Row::State(_)))
                && !of.iter().any(|input| input.same(&request.input))
            {
                of.push(&request.input);
            }
        }
        let passes = [0, 1].map(|of| Pass::new(&inputs[of], reading));
        let answer = |(request, kind): (&Request<SequenceInput>, &Option<Row>)| {
            let Request { input, rows } = request;
            let (numbering, of) = (numbering(input), usize::from(input.dropout.is_some()));
            let pass = &passes[of];
            // First sequence and first token of the input.
            let start = || pass.starts[inputs[of].iter().position(|other| other.same(input)).unwrap_or(0)];
            match (kind, rows) {
                (None, _) => Answer::None,
                (Some(Row::Item(_)), Rows::Range(rows)) => {
                    Answer::Items { first: rows.start as usize, count: rows.len() }
                }
                (Some(Row::Item(_)), Rows::List(rows)) => {
                    Answer::Listed(rows.iter().map(|&row| row as i32).collect())
                }
                (Some(Row::Sequence(_)), rows) => {
                    let (first, _) = start();
                    let sequence = |row| (row - numbering.wholes().start) as usize + first;
                    let sequences: Vec<usize> = rows.iter().map(sequence).collect();
                    Answer::Sequences(of, pooling.pooled(pass, &sequences, reading.longest))
                }
                (Some(Row::State(_)), rows) => {
                    let ((_, first), events) = (start(), input.sequences.len());
                    let token = |row| {
                        let event = (row - numbering.state(0)) as usize;
                        // Views differ in their lengths, so that a state of one batch is none of the other's.
                        assert!(
                            event < events,
                            "state {event} is asked for, and the batch has {events} events"
                        );
                        (first + event) as i32
                    };
                    Answer::States(of, rows.iter().map(token).collect())
                }
            }
        };
        let answers = requests.iter().zip(&kinds).map(answer).collect();
        Self { passes, answers }
    }

    fn run<B: SequenceBackend>(&self, encoder: &impl States<B>) -> Vec<Tensor<B, 2>> {
        let states = self.passes.each_ref().map(|pass| {
            let any = !pass.items.is_empty();
            any.then(|| encoder.states(pass))
        });
        let states =
            |of: Of| states[of].clone().unwrap_or_else(|| panic!("the batch has no event, and so no state"));
        let table = encoder.table();
        let answers = self.answers.iter().map(|answer| match answer {
            Answer::None => Tensor::zeros([0, table.dims()[1]], &table.device()),
            Answer::Items { first, count } => table.clone().narrow(0, *first, *count),
            Answer::Listed(rows) => gather(table.clone(), rows),
            Answer::Sequences(of, pooled) => pooled.of(states(*of)),
            Answer::States(of, tokens) => encoder.foretell(gather(states(*of), tokens)),
        });
        answers.collect()
    }
}

/// The answers to requests, one pass over all sequences with dropout and one over all without.
pub(crate) fn encode<B: SequenceBackend>(
    encoder: &impl States<B>,
    requests: &[Request<SequenceInput>],
) -> Vec<Tensor<B, 2>> {
    Plan::new(encoder.reading(), encoder.pooling(), requests).run(encoder)
}

/// See [`Encoder::planner`](cl_core::Encoder::planner).
pub(crate) fn planner<B: SequenceBackend>(
    encoder: &impl States<B>,
    device: &Device<B>,
) -> Option<Planner<SequenceInput>> {
    let prepare = B::preparer(device, false)?;
    let (reading, pooling, operands) = (encoder.reading(), encoder.pooling(), encoder.operands());
    Some(Box::new(move |requests| {
        let plan = Plan::new(reading, pooling, requests);
        for pass in plan.passes.iter().filter(|pass| !pass.items.is_empty()) {
            operands(pass, &mut |operand| prepare(operand));
        }
        for answer in &plan.answers {
            match answer {
                Answer::None | Answer::Items { .. } => {}
                Answer::Listed(rows) | Answer::States(_, rows) => prepare(Operand::Ids(rows)),
                Answer::Sequences(_, pooled) => prepare(Operand::Ids(pooled.tokens())),
            }
        }
        Box::new(plan)
    }))
}

/// See [`Encoder::encode_planned`](cl_core::Encoder::encode_planned).
///
/// # Panics
///
/// If the plan is of something else.
pub(crate) fn encode_planned<B: SequenceBackend>(
    encoder: &impl States<B>,
    requests: &[Request<SequenceInput>],
    planned: &Planned,
) -> Vec<Tensor<B, 2>> {
    let Some(plan) = planned.downcast_ref::<Plan>() else {
        panic!("what was planned is no plan of a sequence encoder")
    };
    let (made, asked) = (plan.answers.len(), requests.len());
    assert_eq!(made, asked, "the plan is of {made} requests, and {asked} are made");
    plan.run(encoder)
}
