//! Seeded walks over a graph.

use cl_core::StreamKey;
use cl_core::rng::below;

use crate::bipartite::BipartiteGraph;

/// Marks the edges that a walk of `length` steps from each node traverses.
pub(super) fn walked(graph: &BipartiteGraph, key: StreamKey, length: usize) -> Vec<bool> {
    let mut keep = vec![false; graph.edges()];
    for start in 0..graph.nodes() as u32 {
        let mut node = start as usize;
        for step in 0..length {
            let word = key.words(start, step as u32 / 4)[step % 4];
            if node < graph.users() {
                let items = graph.items_of(node);
                if items.is_empty() {
                    break;
                }
                let at = below(word, items.len() as u32) as usize;
                keep[graph.edges_of(node).start + at] = true;
                node = graph.users() + items[at] as usize;
            } else {
                let item = node - graph.users();
                let users = graph.users_of(item);
                if users.is_empty() {
                    break;
                }
                let at = below(word, users.len() as u32) as usize;
                keep[graph.item_edges_of(item)[at] as usize] = true;
                node = users[at] as usize;
            }
        }
    }
    keep
}
