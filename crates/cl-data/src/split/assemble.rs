//! The common end of all splits: unseen users and items, and the finished parts.

use super::{Order, Split, Test, Train, Unseen, Validation};
use crate::{DataError, Ids, Location, Part, Sequences, UserItems};

/// How many pairs an error shows, and ids a note.
const EXAMPLES: usize = 3;

/// The pairs of each part, as a split drew them.
#[derive(Default)]
pub(super) struct Drawn {
    pub(super) train: Vec<(u32, u32)>,
    pub(super) validation: Vec<(u32, u32)>,
    pub(super) test: Vec<(u32, u32)>,
    pub(super) notes: Vec<String>,
    /// Whether the pairs of each user stand in the order in which they happened.
    pub(super) in_order: bool,
}

impl Drawn {
    /// Applies the `unseen` rule and builds the split; `locate` finds the line of a pair for an error, where it can.
    pub(super) fn assemble(
        mut self,
        users: &Ids,
        items: &Ids,
        unseen: Unseen,
        locate: impl Fn(Part, &str, &str) -> Option<Location>,
    ) -> Result<Split, DataError> {
        let mut trained = Rows { users: vec![false; users.len()], items: vec![false; items.len()] };
        self.train.iter().for_each(|&pair| trained.mark(pair));
        let mut held_out = Rows { users: vec![false; users.len()], items: vec![false; items.len()] };
        self.validation.iter().chain(&self.test).for_each(|&pair| held_out.mark(pair));
        let unseen_users = count_unseen(&held_out.users, &trained.users);
        let unseen_items = count_unseen(&held_out.items, &trained.items);
        let any = unseen_users + unseen_items > 0;
        let (mut users, mut items) = (users.clone(), items.clone());
        if any && unseen == Unseen::Error {
            let examples = self.examples(&users, &items, &trained, locate);
            return Err(DataError::Unseen { users: unseen_users, items: unseen_items, examples });
        }
        if any && unseen == Unseen::Drop {
            let before = (self.validation.len(), self.test.len());
            self.validation.retain(|&pair| trained.has(pair));
            self.test.retain(|&pair| trained.has(pair));
            self.notes.push(format!(
                "dropped {} validation and {} test pairs of {unseen_users} users and {unseen_items} items without a \
                 training pair (unseen = \"drop\")",
                before.0 - self.validation.len(),
                before.1 - self.test.len(),
            ));
            self.leave_out(&mut users, &mut items, &trained, &held_out);
        }
        self.notes.extend(note_strays("user", &users));
        self.notes.extend(note_strays("item", &items));
        let part = |pairs: &[(u32, u32)]| UserItems::from_pairs(users.len(), pairs.iter().copied());
        let sequences = |pairs: &[(u32, u32)]| Sequences::from_pairs(users.len(), pairs);
        let order = self
            .in_order
            .then(|| Order { train: sequences(&self.train), validation: sequences(&self.validation) });
        Ok(Split {
            order,
            train: Train(part(&self.train)),
            validation: Validation(part(&self.validation)),
            test: Test(part(&self.test)),
            users,
            items,
            unseen_users,
            unseen_items,
            notes: self.notes,
        })
    }

    /// Removes the unseen users and items from the dictionaries. Ids that no part mentions stay.
    fn leave_out(&mut self, users: &mut Ids, items: &mut Ids, trained: &Rows, held_out: &Rows) {
        let keep = |trained: &[bool], held_out: &[bool]| -> Vec<bool> {
            trained.iter().zip(held_out).map(|(&trained, &held_out)| trained || !held_out).collect()
        };
        let (user_ids, user_rows) = users.select(&keep(&trained.users, &held_out.users));
        let (item_ids, item_rows) = items.select(&keep(&trained.items, &held_out.items));
        for (user, item) in [&mut self.train, &mut self.validation, &mut self.test].into_iter().flatten() {
            *user = user_rows[*user as usize];
            *item = item_rows[*item as usize];
        }
        (*users, *items) = (user_ids, item_ids);
    }

    fn examples(
        &self,
        users: &Ids,
        items: &Ids,
        trained: &Rows,
        locate: impl Fn(Part, &str, &str) -> Option<Location>,
    ) -> String {
        let parts = [(Part::Validation, &self.validation), (Part::Test, &self.test)];
        let pairs = parts.into_iter().flat_map(|(part, pairs)| pairs.iter().map(move |&pair| (part, pair)));
        let shown =
            pairs.filter(|&(_, pair)| !trained.has(pair)).take(EXAMPLES).map(|(part, (user, item))| {
                let (user_id, item_id) = (users.external(user as usize), items.external(item as usize));
                let place =
                    locate(part, &user_id, &item_id).map_or(String::new(), |place| format!(" ({place})"));
                let user = if trained.users[user as usize] { "user" } else { "unseen user" };
                let item = if trained.items[item as usize] { "item" } else { "unseen item" };
                format!("{user} `{user_id}` with {item} `{item_id}` in the {} part{place}", part.name())
            });
        shown.collect::<Vec<_>>().join(", ")
    }
}

struct Rows {
    users: Vec<bool>,
    items: Vec<bool>,
}

impl Rows {
    fn mark(&mut self, (user, item): (u32, u32)) {
        self.users[user as usize] = true;
        self.items[item as usize] = true;
    }

    fn has(&self, (user, item): (u32, u32)) -> bool {
        self.users[user as usize] && self.items[item as usize]
    }
}

/// A stray word in a column of numbers changes the order of all rows, and with it what a seed draws and how ties
/// between items end.
fn note_strays(what: &str, ids: &Ids) -> Option<String> {
    let strays = ids.strays();
    let shown: Vec<String> = strays.iter().take(EXAMPLES).map(|id| format!("`{id}`")).collect();
    (!strays.is_empty()).then(|| {
        format!(
            "{} of {} {what} ids are not whole numbers, the first: {}; all are taken as text therefore, which changes \
             their order (10 before 9)",
            strays.len(),
            ids.len(),
            shown.join(", ")
        )
    })
}

fn count_unseen(held_out: &[bool], trained: &[bool]) -> usize {
    held_out.iter().zip(trained).filter(|&(&held_out, &trained)| held_out && !trained).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> Drawn {
        // User 2 and item 3 occur in the test part only, item 2 in the validation part only.
        Drawn {
            train: vec![(0, 0), (1, 1)],
            validation: vec![(0, 2)],
            test: vec![(1, 0), (2, 0), (0, 3)],
            notes: Vec::new(),
            in_order: false,
        }
    }

    fn assemble(unseen: Unseen) -> Result<Split, DataError> {
        drawn().assemble(&Ids::range(4), &Ids::range(5), unseen, |_, _, _| None)
    }

    #[test]
    fn kept_pairs_are_counted() {
        let split = assemble(Unseen::Keep).unwrap();
        assert_eq!((split.unseen_users, split.unseen_items), (1, 2));
        assert_eq!((split.users.len(), split.items.len(), split.test.len()), (4, 5, 3));
    }

    #[test]
    fn dropped_pairs_take_their_users_and_items_along() {
        let split = assemble(Unseen::Drop).unwrap();
        assert_eq!((split.unseen_users, split.unseen_items), (1, 2));
        assert_eq!(split.users, Ids::Integers(vec![0, 1, 3])); // 3 is in no part, but was in the catalogue
        assert_eq!(split.items, Ids::Integers(vec![0, 1, 4]));
        assert_eq!(split.test.pairs().collect::<Vec<_>>(), [(1, 0)]);
        assert!(split.validation.is_empty());
        assert_eq!(
            split.notes,
            [
                "dropped 1 validation and 2 test pairs of 1 users and 2 items without a training pair (unseen = \"drop\")"
            ]
        );
    }

    #[test]
    fn the_order_goes_by_the_new_rows() {
        let drawn = Drawn { train: vec![(3, 4), (3, 0), (1, 1)], in_order: true, ..drawn() };
        let split = drawn.assemble(&Ids::range(4), &Ids::range(5), Unseen::Drop, |_, _, _| None).unwrap();
        // Users 0 and 2 and items 2 and 3 are unseen: 1 and 3 are left, and 0, 1 and 4.
        assert_eq!((&split.users, &split.items), (&Ids::Integers(vec![1, 3]), &Ids::Integers(vec![0, 1, 4])));
        let order = split.order.unwrap();
        assert_eq!((order.train.of(0), order.train.of(1)), (&[1][..], &[2, 0][..]));
        assert!(order.validation.is_empty());
    }

    #[test]
    fn stray_words_among_numbers_are_noted() {
        let items =
            Ids::from_names((0..80).map(|id| id.to_string()).chain(["01", "x"].map(String::from)).collect());
        let split = drawn().assemble(&Ids::range(4), &items, Unseen::Keep, |_, _, _| None).unwrap();
        assert_eq!(
            split.notes,
            [
                "2 of 82 item ids are not whole numbers, the first: `01`, `x`; all are taken as text therefore, which \
                 changes their order (10 before 9)"
            ]
        );
    }

    #[test]
    fn refused_pairs_are_shown() {
        assert_eq!(
            assemble(Unseen::Error).unwrap_err().to_string(),
            "1 users and 2 items of the held-out parts have no training pair, the first: user `0` with unseen item `2` \
             in the validation part, unseen user `2` with item `0` in the test part, user `0` with unseen item `3` in \
             the test part; write unseen = \"keep\" to count them in or unseen = \"drop\" to remove their pairs"
        );
    }
}
