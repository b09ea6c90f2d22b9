//! For each sequence and side another operation.

use cl_core::encoder::Perturbs;
use cl_core::registry::{Check, Component, ensure};
use cl_core::views::{At, Drawn, Views};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Operation, OperationTable, Training, applied};
use crate::input::SequenceInput;

/// `type = "one_of"`: each sequence goes through two operations of a menu, one for each view; short sequences may have a menu
/// of their own.
///
/// Source: Xie et al. 2022, CL4SRec (arXiv 2010.14395), section 3.2.2, draws both with replacement (nine pairs of three
/// operations); DuoRec's, RecBole-DA's and SSLRec's codes draw two different ones (six). Liu et al. 2021, CoSeRec
/// (arXiv 2108.06479), in its code's defaults: substitute, insert and mask for sequences of at most 4 events, all five
/// operations for longer ones. The length is that of what the encoder reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OneOfConfig {
    /// The menu; CL4SRec's by default.
    pub of: Vec<OperationTable>,
    /// The menu of short sequences, if they have their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_short: Option<Vec<OperationTable>>,
    /// The most events of a short sequence, one or more; CoSeRec's 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short: Option<usize>,
    /// Whether both views may go through the same operation.
    pub with_replacement: bool,
}

impl Default for OneOfConfig {
    fn default() -> Self {
        Self { of: OperationTable::usual(), of_short: None, short: None, with_replacement: true }
    }
}

impl Component<dyn Views<SequenceInput>> for OneOfConfig {
    const NAME: &'static str = "one_of";
    const SUMMARY: &'static str = "two operations of a menu for each sequence (CL4SRec, Xie et al. 2022)";

    fn complete(&mut self) {
        self.of.iter_mut().chain(self.of_short.iter_mut().flatten()).for_each(OperationTable::complete);
    }

    fn validate(&self) -> Check {
        let enough = if self.with_replacement { 1 } else { 2 };
        for (key, menu) in [("of", Some(&self.of)), ("of_short", self.of_short.as_ref())] {
            let Some(menu) = menu else { continue };
            ensure(menu.len() >= enough, key, || {
                format!("must list {enough} operations at least, got {}", menu.len())
            })?;
            menu.iter().try_for_each(|table| table.validate(key))?;
        }
        ensure(self.of_short.is_none() || self.short.is_some(), "of_short", || {
            "needs `short`, the most events of a short sequence".into()
        })?;
        ensure(self.short.is_none() || self.of_short.is_some(), "short", || {
            "needs `of_short`, the menu of short sequences".into()
        })?;
        ensure(self.short != Some(0), "short", || "must be 1 or more, got 0".into())
    }

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        let menu = |tables: &[OperationTable]| -> Menu {
            tables.iter().filter_map(OperationTable::operation).collect()
        };
        Box::new(OneOf {
            long: menu(&self.of),
            short: self.short.zip(self.of_short.as_deref().map(menu)),
            with_replacement: self.with_replacement,
        })
    }
}

type Menu = Vec<Box<dyn Operation>>;

struct OneOf {
    long: Menu,
    /// The most events of a short sequence, and the menu of these.
    short: Option<(usize, Menu)>,
    with_replacement: bool,
}

impl OneOf {
    /// The menu of a sequence of so many events.
    fn menu(&self, events: usize) -> &Menu {
        match &self.short {
            Some((longest, menu)) if events <= *longest => menu,
            _ => &self.long,
        }
    }
}

impl Views<SequenceInput> for OneOf {
    fn perturbs(&self) -> Perturbs {
        Perturbs { structure: true, ..Perturbs::default() }
    }

    fn prepare(&mut self, train: &SequenceInput) {
        let train = Training::new(train);
        let short = self.short.iter_mut().flat_map(|(_, menu)| menu);
        self.long.iter_mut().chain(short).for_each(|operation| operation.prepare(&train));
    }

    fn draw(&mut self, clean: &SequenceInput, at: At) -> Drawn<SequenceInput> {
        let key = at.step_key();
        // Both choices of each sequence; one without events makes none.
        let chosen: Vec<[&dyn Operation; 2]> = (0..clean.sequences.users())
            .map(|sequence| {
                let menu = self.menu(clean.sequences.of(sequence).len());
                let mut rng = key.child("choice").rng(sequence as u32);
                let a = rng.random_range(0..menu.len());
                let b = if self.with_replacement {
                    rng.random_range(0..menu.len())
                } else {
                    (a + rng.random_range(1..menu.len())) % menu.len()
                };
                [&*menu[a], &*menu[b]]
            })
            .collect();
        let view = |name, side: usize| applied(clean, key, name, |sequence| chosen[sequence][side]);
        Drawn { objective: clean.clone(), a: view("a", 0), b: view("b", 1) }
    }
}
