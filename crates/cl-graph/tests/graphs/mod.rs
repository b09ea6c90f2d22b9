//! Made-up graphs.
#![allow(dead_code)] // every test uses a part of it

use std::collections::BTreeSet;

use cl_core::StreamKey;
use cl_core::rng::below;
use cl_graph::{Adjacency, BipartiteGraph};

/// A graph of rows of items.
pub(crate) fn from_rows<R: IntoIterator<Item = u32> + Clone>(rows: &[R], items: usize) -> BipartiteGraph {
    let (mut offsets, mut list) = (vec![0], Vec::new());
    for row in rows {
        list.extend(row.clone());
        offsets.push(list.len());
    }
    BipartiteGraph::new(&offsets, &list, items)
}

/// Each user draws up to `degree` items, low numbers more often; every fifth user has none.
pub(crate) fn random(key: StreamKey, users: usize, items: usize, degree: usize) -> BipartiteGraph {
    let row = |user: usize| -> BTreeSet<u32> {
        if user % 5 == 4 {
            return BTreeSet::new();
        }
        let item = |draw: usize| {
            let [a, b, ..] = key.words(user as u32, draw as u32);
            below(a, items as u32).min(below(b, items as u32))
        };
        (0..degree).map(item).collect()
    };
    from_rows(&(0..users).map(row).collect::<Vec<_>>(), items)
}

/// The edges that an adjacency holds, as user and item; both directions must tell the same.
#[track_caller]
pub(crate) fn edges(adjacency: &Adjacency) -> BTreeSet<(usize, usize)> {
    let (csr, users) = (adjacency.csr(), adjacency.graph().users());
    let of = |range: std::ops::Range<usize>| {
        range.flat_map(|row| csr.row(row).map(move |at| (row, csr.columns[at] as usize)))
    };
    let forward: BTreeSet<_> = of(0..users).map(|(user, node)| (user, node - users)).collect();
    let backward: BTreeSet<_> = of(users..csr.rows()).map(|(node, user)| (user, node - users)).collect();
    assert_eq!(forward, backward, "the pattern must be symmetric");
    forward
}
