//! The user-item graph.

use cl_core::sampling::Owners;

/// Who interacted with what: an undirected graph with users on one side and items on the other, without weights.
///
/// Stored as compressed sparse rows from both sides. Nodes are numbered users first: user u is node u, item i is node
/// `users + i`. Edges are numbered by user and, within a user, by item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BipartiteGraph {
    user_offsets: Vec<u32>,
    user_items: Vec<u32>,
    item_offsets: Vec<u32>,
    item_users: Vec<u32>,
    item_edges: Vec<u32>,
}

impl BipartiteGraph {
    /// The graph of rows of items: `offsets` has one number more than there are users, `items` are ascending and distinct
    /// within a row. O(users + items + edges).
    ///
    /// # Panics
    ///
    /// If an item is not below `items`, a row is not ascending, or nodes or edges exceed `u32`.
    #[must_use]
    pub fn new(offsets: &[usize], user_items: &[u32], items: usize) -> Self {
        let users = offsets.len() - 1;
        let edges = user_items.len();
        assert!(
            users + items < u32::MAX as usize,
            "{users} users and {items} items exceed 32-bit node numbers"
        );
        assert!(edges < u32::MAX as usize / 2, "{edges} edges exceed 32-bit edge numbers");
        let user_offsets: Vec<u32> = offsets.iter().map(|&offset| offset as u32).collect();
        let mut item_offsets = vec![0_u32; items + 1];
        for row in user_offsets.windows(2) {
            let row = &user_items[row[0] as usize..row[1] as usize];
            assert!(
                row.is_sorted_by(|a, b| a < b),
                "the items of a user must be ascending and distinct: {row:?}"
            );
            for &item in row {
                assert!((item as usize) < items, "item {item} is not below the number of items {items}");
                item_offsets[item as usize + 1] += 1;
            }
        }
        for item in 0..items {
            item_offsets[item + 1] += item_offsets[item];
        }
        let mut next = item_offsets.clone();
        let (mut item_users, mut item_edges) = (vec![0; edges], vec![0; edges]);
        for user in 0..users {
            for edge in user_offsets[user]..user_offsets[user + 1] {
                let slot = &mut next[user_items[edge as usize] as usize];
                item_users[*slot as usize] = user as u32;
                item_edges[*slot as usize] = edge;
                *slot += 1;
            }
        }
        Self { user_offsets, user_items: user_items.to_vec(), item_offsets, item_users, item_edges }
    }

    /// Number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.user_offsets.len() - 1
    }

    /// Number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.item_offsets.len() - 1
    }

    /// Number of users and items.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.users() + self.items()
    }

    /// Number of interactions.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.user_items.len()
    }

    /// The items of a user, ascending.
    #[must_use]
    pub fn items_of(&self, user: usize) -> &[u32] {
        &self.user_items[self.edges_of(user)]
    }

    /// The numbers of a user's edges: edge `edges_of(u).start + k` joins u with `items_of(u)[k]`.
    #[must_use]
    pub fn edges_of(&self, user: usize) -> std::ops::Range<usize> {
        self.user_offsets[user] as usize..self.user_offsets[user + 1] as usize
    }

    /// The users of an item, ascending.
    #[must_use]
    pub fn users_of(&self, item: usize) -> &[u32] {
        &self.item_users[self.item_offsets[item] as usize..self.item_offsets[item + 1] as usize]
    }

    /// The numbers of an item's edges, in the order of [`users_of`](Self::users_of).
    #[must_use]
    pub fn item_edges_of(&self, item: usize) -> &[u32] {
        &self.item_edges[self.item_offsets[item] as usize..self.item_offsets[item + 1] as usize]
    }

    /// The user at the other end of an edge, by binary search.
    #[must_use]
    pub fn user_of_edge(&self, edge: usize) -> u32 {
        self.user_offsets.partition_point(|&offset| offset as usize <= edge) as u32 - 1
    }

    /// The item of an edge.
    #[must_use]
    pub fn item_of_edge(&self, edge: usize) -> u32 {
        self.user_items[edge]
    }

    /// Whether the user took the item, by binary search.
    #[must_use]
    pub fn contains(&self, user: usize, item: u32) -> bool {
        self.items_of(user).binary_search(&item).is_ok()
    }
}

impl Owners for BipartiteGraph {
    fn owners(&self) -> usize {
        self.users()
    }

    fn items_of(&self, owner: usize) -> &[u32] {
        self.items_of(owner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 3 users, 4 items: 0-{1,3}, 1-{}, 2-{0,1}; item 2 is alone.
    pub(crate) fn small() -> BipartiteGraph {
        BipartiteGraph::new(&[0, 2, 2, 4], &[1, 3, 0, 1], 4)
    }

    #[test]
    fn both_sides_tell_the_same_edges() {
        let graph = small();
        assert_eq!((graph.users(), graph.items(), graph.nodes(), graph.edges()), (3, 4, 7, 4));
        assert_eq!(graph.items_of(0), [1, 3]);
        assert_eq!(graph.users_of(1), [0, 2]);
        assert_eq!(graph.item_edges_of(1), [0, 3]);
        assert_eq!(graph.users_of(2), [0_u32; 0]);
        assert_eq!((0..4).map(|edge| graph.user_of_edge(edge)).collect::<Vec<_>>(), [0, 0, 2, 2]);
        assert!(graph.contains(2, 0) && !graph.contains(1, 0));
    }

    #[test]
    #[should_panic(expected = "item 4 is not below the number of items 4")]
    fn an_item_out_of_range_is_refused() {
        let _ = BipartiteGraph::new(&[0, 1], &[4], 4);
    }
}
