//! The normalised adjacency matrix of a graph, or of what a view leaves of it.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::bipartite::BipartiteGraph;

/// How edges are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// `D^-1/2 A D^-1/2` (LightGCN, equation 7).
    #[default]
    Symmetric,
    /// `D^-1 A`: the mean over neighbours.
    Left,
}

/// A sparse matrix in compressed rows, with pieces of about equal numbers of edges for threads to share.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr {
    /// Where each row starts, `rows + 1` numbers.
    pub offsets: Vec<u32>,
    /// The columns of the stored values.
    pub columns: Vec<u32>,
    /// The stored values.
    pub values: Vec<f32>,
    /// Row ranges of about equal numbers of values; the first starts at 0, each ends where the next starts.
    pub pieces: Vec<u32>,
}

/// Values in a piece: enough to be worth a task, few enough that two threads finish together.
const PIECE: usize = 16_384;

impl Csr {
    /// A matrix from its rows.
    #[must_use]
    pub fn new(offsets: Vec<u32>, columns: Vec<u32>, values: Vec<f32>) -> Self {
        let rows = offsets.len() - 1;
        let mut pieces = vec![0];
        let mut start = 0;
        for row in 0..rows {
            // An empty row still costs a write, so rows count too.
            let weight = offsets[row + 1] as usize + row + 1;
            if weight - start >= PIECE || row + 1 == rows {
                pieces.push(row as u32 + 1);
                start = weight;
            }
        }
        Self { offsets, columns, values, pieces }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The range of a row's values.
    #[must_use]
    pub fn row(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }
}

/// A handle to a normalised adjacency: the host matrix, its transpose, and device copies made on first use.
///
/// Clones are the same adjacency; [`same`](Self::same) tells whether two handles are.
#[derive(Clone)]
pub struct Adjacency(Arc<Shared>);

struct Shared {
    graph: Arc<BipartiteGraph>,
    normalization: Normalization,
    forward: Csr,
    /// `None` where the matrix is symmetric.
    transposed: Option<Csr>,
    device: Mutex<Vec<Box<dyn Any + Send + Sync>>>,
}

impl Adjacency {
    /// The adjacency of a whole graph. O(nodes + edges).
    #[must_use]
    pub fn new(graph: Arc<BipartiteGraph>, normalization: Normalization) -> Self {
        Self::build(graph, normalization, None, true)
    }

    /// The adjacency of the edges that `keep` marks. With `renormalize` their weights come from the degrees that are
    /// left (SGL); without, they keep the weights of the whole graph. O(nodes + edges).
    ///
    /// # Panics
    ///
    /// If `keep` has not one mark an edge.
    #[must_use]
    pub fn dropped(&self, keep: &[bool], renormalize: bool) -> Self {
        assert_eq!(keep.len(), self.0.graph.edges(), "marks and edges must be equally many");
        Self::build(self.0.graph.clone(), self.0.normalization, Some(keep), renormalize)
    }

    fn build(
        graph: Arc<BipartiteGraph>,
        normalization: Normalization,
        keep: Option<&[bool]>,
        renormalize: bool,
    ) -> Self {
        let (users, items) = (graph.users(), graph.items());
        let kept = |edge: usize| keep.is_none_or(|keep| keep[edge]);
        let (mut offsets, mut columns) = (Vec::with_capacity(users + items + 1), Vec::new());
        columns.reserve_exact(2 * graph.edges());
        offsets.push(0);
        for user in 0..users {
            let edges = graph.edges_of(user).zip(graph.items_of(user));
            columns.extend(edges.filter(|(edge, _)| kept(*edge)).map(|(_, &item)| users as u32 + item));
            offsets.push(columns.len() as u32);
        }
        for item in 0..items {
            let edges = graph.item_edges_of(item).iter().zip(graph.users_of(item));
            columns.extend(edges.filter(|(edge, _)| kept(**edge as usize)).map(|(_, &user)| user));
            offsets.push(columns.len() as u32);
        }
        let degree = |node: usize| -> u32 {
            if renormalize {
                offsets[node + 1] - offsets[node]
            } else if node < users {
                graph.items_of(node).len() as u32
            } else {
                graph.users_of(node - users).len() as u32
            }
        };
        // f64 roots, so that a weight is the nearest f32 to 1/√(d_u d_i).
        let inverse: Vec<f64> = (0..users + items)
            .map(|node| match (degree(node), normalization) {
                (0, _) => 0.0,
                (degree, Normalization::Symmetric) => 1.0 / f64::from(degree).sqrt(),
                (degree, Normalization::Left) => 1.0 / f64::from(degree),
            })
            .collect();
        let values = |of: &dyn Fn(usize, usize) -> f64| -> Vec<f32> {
            (0..users + items)
                .flat_map(|row| {
                    columns[offsets[row] as usize..offsets[row + 1] as usize].iter().map(move |&c| (row, c))
                })
                .map(|(row, column)| of(row, column as usize) as f32)
                .collect()
        };
        let (forward, transposed) = match normalization {
            Normalization::Symmetric => (values(&|row, column| inverse[row] * inverse[column]), None),
            Normalization::Left => {
                (values(&|row, _| inverse[row]), Some(values(&|_, column| inverse[column])))
            }
        };
        // The pattern is symmetric, so the transpose has the same rows and columns and other values.
        let transposed = transposed.map(|values| Csr::new(offsets.clone(), columns.clone(), values));
        let forward = Csr::new(offsets, columns, forward);
        Self(Arc::new(Shared { graph, normalization, forward, transposed, device: Mutex::default() }))
    }

    /// The graph that this is an adjacency of (with all edges, also those that were dropped).
    #[must_use]
    pub fn graph(&self) -> &Arc<BipartiteGraph> {
        &self.0.graph
    }

    /// The matrix.
    #[must_use]
    pub fn csr(&self) -> &Csr {
        &self.0.forward
    }

    /// Its transpose; the matrix itself where it is symmetric.
    #[must_use]
    pub fn transposed(&self) -> &Csr {
        self.0.transposed.as_ref().unwrap_or(&self.0.forward)
    }

    /// Number of rows and columns.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.forward.rows()
    }

    /// Whether both handles are of one adjacency.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What a backend keeps beside the host matrix, made on first use and shared by all clones of the handle.
    pub fn on_device<T: Any + Clone + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> T {
        // A panic while the lock was held left a complete list behind: entries are pushed whole.
        let mut cache = self.0.device.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = cache.iter().find_map(|entry| entry.downcast_ref::<T>()) {
            return found.clone();
        }
        let made = make(self);
        cache.push(Box::new(made.clone()));
        made
    }
}

impl std::fmt::Debug for Adjacency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Adjacency({} nodes, {} values)", self.nodes(), self.0.forward.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bipartite::tests::small;

    #[test]
    fn symmetric_weights_by_hand() {
        // Degrees: u0 2, u1 0, u2 2, i0 1, i1 2, i2 0, i3 1; nodes of items start at 3.
        let adjacency = Adjacency::new(Arc::new(small()), Normalization::Symmetric);
        let csr = adjacency.csr();
        assert_eq!(csr.offsets, [0, 2, 2, 4, 5, 7, 7, 8]);
        assert_eq!(csr.columns, [4, 6, 3, 4, 2, 0, 2, 0]);
        let root = std::f32::consts::FRAC_1_SQRT_2;
        assert_eq!(csr.values, [0.5, root, root, 0.5, root, 0.5, 0.5, root]);
        assert_eq!(adjacency.transposed(), csr);
    }

    #[test]
    fn left_weights_are_means_and_the_transpose_is_not_the_matrix() {
        let adjacency = Adjacency::new(Arc::new(small()), Normalization::Left);
        assert_eq!(adjacency.csr().values, [0.5, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5, 1.0]);
        // Row u0 of the transpose: from i1 (degree 2) and i3 (degree 1).
        assert_eq!(adjacency.transposed().values[..2], [0.5, 1.0]);
    }

    #[test]
    fn dropped_edges_are_gone_and_weights_renormalised_or_not() {
        let whole = Adjacency::new(Arc::new(small()), Normalization::Symmetric);
        let keep = [true, false, true, true]; // without u0-i3
        let renormalised = whole.dropped(&keep, true);
        assert_eq!(renormalised.csr().offsets, [0, 1, 1, 3, 4, 6, 6, 6]);
        // u0 has degree 1 now: 1/sqrt(1 * 2).
        assert_eq!(renormalised.csr().values[0], std::f32::consts::FRAC_1_SQRT_2);
        assert_eq!(whole.dropped(&keep, false).csr().values[0], 0.5);
        assert!(!whole.same(&renormalised) && whole.same(&whole.clone()));
    }

    #[test]
    fn pieces_cover_all_rows_once() {
        let rows = 5000_u32;
        let offsets: Vec<u32> = (0..=rows).map(|row| row * 10).collect();
        let csr = Csr::new(offsets, vec![0; 50_000], vec![1.0; 50_000]);
        assert_eq!((csr.pieces[0], *csr.pieces.last().unwrap()), (0, rows));
        assert!(csr.pieces.is_sorted_by(|a, b| a < b) && csr.pieces.len() > 3, "{:?}", csr.pieces);
    }
}
