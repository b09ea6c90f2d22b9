//! The normalised adjacency matrix of a graph, or of what a view leaves of it.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use cl_core::kernels::OnDevice;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bipartite::BipartiteGraph;
use crate::kept::Kept;

/// How edges are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// `D^-1/2 A D^-1/2` (LightGCN, equation 7).
    #[default]
    Symmetric,
    /// `D^-1 A`: the mean over neighbours.
    Left,
}

/// What an adjacency is made of besides the graph. A [`Normalization`] alone stands for it without self-loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weighting {
    /// How edges are weighted.
    pub normalization: Normalization,
    /// Whether every node is also its own neighbour: A + I in the place of A, degrees one larger (Kipf & Welling
    /// 2017). Views drop edges between users and items, never these.
    pub self_loops: bool,
}

impl From<Normalization> for Weighting {
    fn from(normalization: Normalization) -> Self {
        Self { normalization, self_loops: false }
    }
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
        let pieces = pieces(&offsets);
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

/// Row ranges of about [`PIECE`] values.
fn pieces(offsets: &[u32]) -> Vec<u32> {
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
    pieces
}

/// A handle to a normalised adjacency, whole or what a view keeps of it: the host matrix and its transpose, and what
/// devices keep of it, made on first use. The host's matrix of a view is made only if somebody asks for it.
///
/// Clones are the same adjacency; [`same`](Self::same) tells whether two handles are.
#[derive(Clone)]
pub struct Adjacency(Arc<Shared>);

struct Shared {
    graph: Arc<BipartiteGraph>,
    weighting: Weighting,
    view: Option<View>,
    host: OnceLock<Matrices>,
    device: OnDevice,
}

/// What is left of a whole adjacency.
pub(crate) struct View {
    pub(crate) whole: Adjacency,
    pub(crate) kept: Kept,
    /// Whether weights come from the degrees that are left.
    pub(crate) renormalize: bool,
}

struct Matrices {
    forward: Csr,
    /// `None` where the matrix is symmetric.
    transposed: Option<Csr>,
}

impl Adjacency {
    /// The adjacency of a whole graph. O(nodes + edges), by all threads.
    #[must_use]
    pub fn new(graph: Arc<BipartiteGraph>, weighting: impl Into<Weighting>) -> Self {
        let whole = Self::of(graph, weighting.into(), None);
        whole.matrices();
        whole
    }

    /// The adjacency of the edges that `keep` marks; see [`kept`](Self::kept).
    ///
    /// # Panics
    ///
    /// If `keep` has not one mark an edge.
    #[must_use]
    pub fn dropped(&self, keep: &[bool], renormalize: bool) -> Self {
        self.kept(Kept::Marked(keep.into()), renormalize)
    }

    /// The adjacency of the edges of the graph that are kept. With `renormalize` their weights come from the degrees that
    /// are left (SGL); without, they keep the weights of the whole graph.
    ///
    /// # Panics
    ///
    /// If there are marks, but not one an edge.
    #[must_use]
    pub fn kept(&self, kept: Kept, renormalize: bool) -> Self {
        if let Kept::Marked(marks) = &kept {
            assert_eq!(marks.len(), self.0.graph.edges(), "marks and edges must be equally many");
        }
        let view = View { whole: self.whole().clone(), kept, renormalize };
        Self::of(self.0.graph.clone(), self.0.weighting, Some(view))
    }

    fn of(graph: Arc<BipartiteGraph>, weighting: Weighting, view: Option<View>) -> Self {
        let (host, device) = (OnceLock::new(), OnDevice::default());
        Self(Arc::new(Shared { graph, weighting, view, host, device }))
    }

    /// The host's matrices.
    fn matrices(&self) -> &Matrices {
        self.0.host.get_or_init(|| {
            let marks = self.0.view.as_ref().map(|view| view.kept.marks(&self.0.graph));
            let renormalize = self.0.view.as_ref().is_none_or(|view| view.renormalize);
            Matrices::new(&self.0.graph, self.0.weighting, marks.as_deref(), renormalize)
        })
    }

    /// The whole graph's adjacency, itself unless it is a view.
    pub(crate) fn whole(&self) -> &Self {
        self.0.view.as_ref().map_or(self, |view| &view.whole)
    }

    /// The matrix of the whole graph: where values may stand. What a view drops stands there as well.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    pub(crate) fn pattern(&self) -> &Csr {
        self.whole().csr()
    }

    /// What is left of which adjacency, if it is a view.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    pub(crate) fn view(&self) -> Option<&View> {
        self.0.view.as_ref()
    }

    /// How edges are weighted.
    #[must_use]
    pub fn weighting(&self) -> Weighting {
        self.0.weighting
    }

    /// The graph that this is an adjacency of (with all edges, also those that were dropped).
    #[must_use]
    pub fn graph(&self) -> &Arc<BipartiteGraph> {
        &self.0.graph
    }

    /// The matrix. That of a view is made when it is first asked for, in O(nodes + edges), by all threads; so it must not be
    /// one of rayon's tasks that asks first.
    #[must_use]
    pub fn csr(&self) -> &Csr {
        &self.matrices().forward
    }

    /// Its transpose; the matrix itself where it is symmetric.
    #[must_use]
    pub fn transposed(&self) -> &Csr {
        let Matrices { forward, transposed } = self.matrices();
        transposed.as_ref().unwrap_or(forward)
    }

    /// Number of rows and columns.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.graph.nodes()
    }

    /// Whether both handles are of one adjacency.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What a backend keeps beside the host matrix, made on first use and shared by all clones of the handle. Of one kind
    /// there may be several: the first that `fits` (is on the device that asks) is taken.
    pub fn on_device<T: Any + Clone + Send + Sync>(
        &self,
        fits: impl Fn(&T) -> bool,
        make: impl FnOnce(&Self) -> T,
    ) -> T {
        self.0.device.get(fits, || make(self))
    }
}

impl Matrices {
    fn new(graph: &BipartiteGraph, weighting: Weighting, keep: Option<&[bool]>, renormalize: bool) -> Self {
        let nodes = graph.nodes();
        let neighbours = Neighbours { graph, keep, self_loops: weighting.self_loops };
        let counts: Vec<u32> = (0..nodes).into_par_iter().map(|node| neighbours.count(node)).collect();
        let mut offsets = Vec::with_capacity(nodes + 1);
        offsets.push(0);
        let mut end = 0;
        offsets.extend(counts.iter().map(|count| {
            end += count;
            end
        }));
        // f64 roots, so that a weight is the nearest f32 to 1/√(d_u d_i).
        let inverse: Vec<f64> = (0..nodes)
            .into_par_iter()
            .map(|node| {
                let degree = if renormalize { counts[node] } else { neighbours.count_of_all(node) };
                match (degree, weighting.normalization) {
                    (0, _) => 0.0,
                    (degree, Normalization::Symmetric) => 1.0 / f64::from(degree).sqrt(),
                    (degree, Normalization::Left) => 1.0 / f64::from(degree),
                }
            })
            .collect();
        let pieces = pieces(&offsets);
        let of = |value: &(dyn Fn(usize, usize) -> f64 + Sync)| {
            let (columns, values) = neighbours.filled(&offsets, &pieces, value);
            Csr { offsets: offsets.clone(), columns, values, pieces: pieces.clone() }
        };
        let (forward, transposed) = match weighting.normalization {
            Normalization::Symmetric => (of(&|row, column| inverse[row] * inverse[column]), None),
            // The pattern is symmetric, so the transpose has the same rows and columns and other values.
            Normalization::Left => (of(&|row, _| inverse[row]), Some(of(&|_, column| inverse[column]))),
        };
        Self { forward, transposed }
    }
}

/// The neighbours of each node that are left.
struct Neighbours<'a> {
    graph: &'a BipartiteGraph,
    /// A mark for each edge; without, all are left.
    keep: Option<&'a [bool]>,
    self_loops: bool,
}

impl Neighbours<'_> {
    /// Calls `visit` with each neighbour that is left, ascending.
    fn visit(&self, node: usize, mut visit: impl FnMut(usize)) {
        let users = self.graph.users();
        if node < users {
            // Users stand before items, so a user itself comes before its neighbours, and an item after them.
            if self.self_loops {
                visit(node);
            }
            for (edge, &item) in self.graph.edges_of(node).zip(self.graph.items_of(node)) {
                if self.keep.is_none_or(|keep| keep[edge]) {
                    visit(users + item as usize);
                }
            }
        } else {
            let (edges, from) = (self.graph.item_edges_of(node - users), self.graph.users_of(node - users));
            for (&edge, &user) in edges.iter().zip(from) {
                if self.keep.is_none_or(|keep| keep[edge as usize]) {
                    visit(user as usize);
                }
            }
            if self.self_loops {
                visit(node);
            }
        }
    }

    /// Number of neighbours that are left.
    fn count(&self, node: usize) -> u32 {
        if self.keep.is_none() {
            return self.count_of_all(node);
        }
        let mut count = 0;
        self.visit(node, |_| count += 1);
        count
    }

    /// Number of neighbours, those that were dropped too.
    fn count_of_all(&self, node: usize) -> u32 {
        let users = self.graph.users();
        let edges = if node < users {
            self.graph.items_of(node).len()
        } else {
            self.graph.users_of(node - users).len()
        };
        edges as u32 + u32::from(self.self_loops)
    }

    /// Columns and values of all rows, piece by piece in parallel.
    fn filled(
        &self,
        offsets: &[u32],
        pieces: &[u32],
        value: &(dyn Fn(usize, usize) -> f64 + Sync),
    ) -> (Vec<u32>, Vec<f32>) {
        let stored = offsets[offsets.len() - 1] as usize;
        let (mut columns, mut values) = (vec![0; stored], vec![0.0; stored]);
        let mut tasks = Vec::with_capacity(pieces.len());
        let mut rest = (&mut columns[..], &mut values[..]);
        for piece in pieces.windows(2) {
            let rows = piece[0] as usize..piece[1] as usize;
            let stored = (offsets[rows.end] - offsets[rows.start]) as usize;
            let (columns, after_columns) = rest.0.split_at_mut(stored);
            let (values, after_values) = rest.1.split_at_mut(stored);
            rest = (after_columns, after_values);
            tasks.push((rows, columns, values));
        }
        tasks.into_par_iter().for_each(|(rows, columns, values)| {
            let mut at = 0;
            for row in rows {
                self.visit(row, |column| {
                    columns[at] = column as u32;
                    values[at] = value(row, column) as f32;
                    at += 1;
                });
            }
        });
        (columns, values)
    }
}

impl std::fmt::Debug for Adjacency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = if self.0.view.is_some() { "view of " } else { "" };
        write!(f, "Adjacency({of}{} nodes, {} edges)", self.nodes(), self.0.graph.edges())
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
    fn with_self_loops_each_node_is_its_own_neighbour() {
        let loops = Weighting { self_loops: true, ..Weighting::default() };
        let whole = Adjacency::new(Arc::new(small()), loops);
        let csr = whole.csr();
        // Degrees, itself among them: u0 3, u1 1, u2 3, i0 2, i1 3, i2 1, i3 2.
        assert_eq!(csr.offsets, [0, 3, 4, 7, 9, 12, 13, 15]);
        assert_eq!(csr.columns, [0, 4, 6, 1, 2, 3, 4, 2, 3, 0, 2, 4, 5, 0, 6]);
        let near = |a: f32, b: f64| assert!((f64::from(a) - b).abs() < 1e-7, "{a} for {b}");
        near(csr.values[0], 1.0 / 3.0);
        near(csr.values[2], 1.0 / 6.0_f64.sqrt()); // u0-i3
        near(csr.values[3], 1.0); // u1 has nothing else
        // Without any edge what is left are the loops: of weight 1, or of the whole graph's weight.
        let none = [false; 4];
        assert_eq!(whole.dropped(&none, true).csr().values, [1.0; 7]);
        near(whole.dropped(&none, false).csr().values[0], 1.0 / 3.0);
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
