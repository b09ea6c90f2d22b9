//! Which rows of each layer a step needs.

use std::sync::OnceLock;

use cl_core::kernels::OnDevice;
use fixedbitset::FixedBitSet;

use crate::adjacency::{Adjacency, Csr};
use crate::input::{Output, Structure};
use crate::plan::{Gather, Plan};

/// Whose rows a product reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbours {
    /// Those of the neighbours that are left.
    Left,
    /// Those of all neighbours in the whole graph: a device that keeps dropped values as zeros.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    All,
}

impl Neighbours {
    fn of(self, adjacency: &Adjacency) -> &Csr {
        match self {
            Self::Left => adjacency.csr(),
            Self::All => adjacency.pattern(),
        }
    }
}

/// Rows of a layer.
#[derive(Debug)]
pub(crate) enum Rows {
    /// All of them, or so many that leaving the others out would not pay.
    All,
    /// These.
    Some(Wanted),
}

/// Rows, each once and ascending.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) rows: Vec<u32>,
    nodes: usize,
    place: OnceLock<Vec<u32>>,
    on_device: OnDevice,
}

impl Wanted {
    /// The rows that are marked, of so many nodes.
    fn of_marked(marked: &FixedBitSet) -> Self {
        let all = marked.is_full();
        let rows = if all {
            (0..marked.len() as u32).collect()
        } else {
            marked.ones().map(|row| row as u32).collect()
        };
        Self { rows, nodes: marked.len(), place: OnceLock::new(), on_device: OnDevice::default() }
    }

    /// The rows that the chosen gathers read.
    pub(crate) fn of_gathers(plan: &Plan, chosen: impl Fn(&Gather) -> bool) -> Self {
        let mut marked = FixedBitSet::with_capacity(plan.nodes);
        for gather in plan.wanted.iter().filter(|gather| chosen(gather)) {
            match &gather.rows {
                cl_core::Rows::Range(range) => marked.insert_range(range.start as usize..range.end as usize),
                cl_core::Rows::List(rows) => rows.iter().for_each(|&row| marked.insert(row as usize)),
            }
        }
        Self::of_marked(&marked)
    }

    /// Number of nodes that there are.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    /// What backends keep of it.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    pub(crate) fn on_device(&self) -> &OnDevice {
        &self.on_device
    }

    /// Whether these are so many that a product of all rows takes hardly longer, and needs no list of its own.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    pub(crate) fn are_most(&self) -> bool {
        self.rows.len() * 10 >= self.nodes * 9
    }

    /// Whether these are all rows that there are.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    pub(crate) fn are_all(&self) -> bool {
        self.rows.len() == self.nodes
    }

    /// Where each node's row stands in the list; `u32::MAX` for a node that is not among them.
    #[cfg_attr(not(any(feature = "flex", feature = "ndarray")), allow(dead_code))]
    pub(crate) fn place(&self) -> &[u32] {
        self.place.get_or_init(|| {
            let mut place = vec![u32::MAX; self.nodes];
            for (&row, at) in self.rows.iter().zip(0..) {
                place[row as usize] = at;
            }
            place
        })
    }
}

/// Rows that are marked, and how many edges they have together.
struct Marked<'a> {
    rows: FixedBitSet,
    edges: usize,
    of: &'a Csr,
}

impl Marked<'_> {
    /// Marks a row; how many edges all marked ones have.
    fn row(&mut self, row: u32) -> usize {
        if !self.rows.put(row as usize) {
            self.edges += self.of.row(row as usize).len();
        }
        self.edges
    }

    /// Marks the rows of a gather; ranges of tens of thousands of rows at once.
    fn all_of(&mut self, rows: &cl_core::Rows) {
        match rows {
            cl_core::Rows::List(rows) => rows.iter().for_each(|&row| {
                self.row(row);
            }),
            cl_core::Rows::Range(range) => {
                let places = range.start as usize..range.end as usize;
                if self.rows.contains_any_in_range(places.clone()) {
                    range.clone().for_each(|row| {
                        self.row(row);
                    });
                } else {
                    self.edges += (self.of.offsets[places.end] - self.of.offsets[places.start]) as usize;
                    self.rows.insert_range(places);
                }
            }
        }
    }
}

/// Whether the gather reads this layer (from 1 on): its own, or any for the mean.
pub(super) fn reads_layer(gather: &Gather, layer: usize) -> bool {
    match gather.output {
        Output::Final => true,
        Output::Layer(own) => own == layer,
    }
}

/// The rows of each layer, from 0 to the highest that the chosen gathers read, that these gathers need: those that they
/// read, and the neighbours of those that the layer above needs. Of the highest layer they are always listed; below, a layer
/// is listed as long as its rows have less than half of the edges.
///
/// The gradient of a layer is zero at all
/// other rows.
pub(crate) fn needed(
    plan: &Plan,
    structure: &Structure,
    chosen: &[bool],
    neighbours: Neighbours,
) -> Vec<Rows> {
    let gathers = || plan.wanted.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(gather, _)| gather);
    let top = gathers().map(|gather| match gather.output {
        Output::Final => plan.layers,
        Output::Layer(layer) => layer,
    });
    let top = top.max().unwrap_or(0);
    let mut needed: Vec<Rows> = (0..=top).map(|_| Rows::All).collect();
    for layer in (0..=top).rev() {
        let own = structure.layer(layer.max(1));
        let own = neighbours.of(&own);
        let mut marked = Marked { rows: FixedBitSet::with_capacity(plan.nodes), edges: 0, of: own };
        for gather in gathers().filter(|gather| layer > 0 && reads_layer(gather, layer)) {
            marked.all_of(&gather.rows);
        }
        if layer < top {
            let Rows::Some(above) = &needed[layer + 1] else { break };
            let next = structure.layer(layer + 1);
            let next = neighbours.of(&next);
            let enough = own.columns.len() / 2;
            let columns = |&row: &u32| &next.columns[next.row(row as usize)];
            // Users stand before items. Taken from both ends in turn, rows have half of the edges long before either
            // kind alone has them.
            let rows = above.rows.len();
            let mut in_turn =
                (0..rows).map(|at| &above.rows[if at % 2 == 0 { at / 2 } else { rows - 1 - at / 2 }]);
            if in_turn.any(|row| columns(row).iter().any(|&column| marked.row(column) > enough)) {
                break;
            }
        }
        needed[layer] = Rows::Some(Wanted::of_marked(&marked.rows));
    }
    needed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cl_core::Request;

    use super::*;
    use crate::adjacency::Normalization;
    use crate::bipartite::BipartiteGraph;
    use crate::input::GraphInput;

    fn rows(needed: &Rows) -> Option<&[u32]> {
        match needed {
            Rows::All => None,
            Rows::Some(wanted) => Some(&wanted.rows),
        }
    }

    #[test]
    fn layers_below_are_listed_while_they_are_few() {
        // A path: user u took the items u and u + 1. Twenty users, so items are nodes 20 to 40.
        let offsets: Vec<usize> = (0..=20).map(|user| 2 * user).collect();
        let items: Vec<u32> = (0..20).flat_map(|user| [user, user + 1]).collect();
        let graph = Arc::new(BipartiteGraph::new(&offsets, &items, 21));
        let input = GraphInput::clean(Adjacency::new(graph, Normalization::Symmetric));
        let structure = input.structure.clone();
        let of = |layers, rows: &[u32]| {
            let request = Request { input: input.clone(), rows: cl_core::Rows::List(rows.into()) };
            needed(&Plan::new(layers, false, 41, &[request]), &structure, &[true], Neighbours::Left)
        };
        let found = of(3, &[9]);
        assert_eq!(rows(&found[3]), Some(&[9][..]));
        assert_eq!(rows(&found[2]), Some(&[9, 29, 30][..]), "itself for the mean, and its items");
        assert_eq!(rows(&found[1]), Some(&[8, 9, 10, 29, 30][..]));
        assert_eq!(rows(&found[0]), Some(&[8, 9, 10, 28, 29, 30, 31][..]));
        let all: Vec<u32> = (0..41).collect();
        let found = of(2, &all);
        assert!(rows(&found[1]).is_none() && rows(&found[0]).is_none());
        assert_eq!(rows(&found[2]).map(<[u32]>::len), Some(41));
    }
}
