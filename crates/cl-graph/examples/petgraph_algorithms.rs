//! petgraph's algorithms on a user-item graph, without a copy: its components and its most central item.
//!
//! `cargo run --release -p cl-graph --example petgraph_algorithms`

use cl_graph::BipartiteGraph;
use petgraph::algo::{connected_components, dijkstra, page_rank};

fn main() {
    // Five users and six items: 0-{0,1,2}, 1-{1,2}, 2-{2,3}, 3-{4,5}, 4-{4}.
    let graph = BipartiteGraph::new(&[0, 3, 5, 7, 9, 10], &[0, 1, 2, 1, 2, 2, 3, 4, 5, 4], 6);
    println!("{} users, {} items, {} interactions", graph.users(), graph.items(), graph.edges());
    println!("connected components: {}", connected_components(&graph));

    // Node u is user u, node `users + i` is item i.
    let ranks = page_rank(&graph, 0.85_f64, 50);
    let of_items = &ranks[graph.users()..];
    let central = (0..graph.items()).max_by(|&a, &b| of_items[a].total_cmp(&of_items[b]));
    if let Some(item) = central {
        println!("most central item: {item}, PageRank {:.4}", of_items[item]);
    }

    let reached = dijkstra(&graph, 0, None, |_| 1);
    let items = (0..graph.items()).filter(|item| reached.contains_key(&((graph.users() + item) as u32)));
    println!("items that user 0 can reach: {:?}", items.collect::<Vec<_>>());
}
