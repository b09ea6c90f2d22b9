//! Every user, or every item, of the other view (SGL's own code).

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::{Direction, Fresh, Negatives};
use crate::contrast::{KeyKind, Keys};
use crate::kernels::{KeyMask, Places};
use crate::registry::Component;
use crate::source::Group;

/// `type = "all_nodes"`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AllNodesConfig {}

impl<B: Backend> Component<dyn Negatives<B>> for AllNodesConfig {
    const NAME: &'static str = "all_nodes";
    const SUMMARY: &'static str =
        "all users (for users) and all items (for items) of the other view (SGL's code)";

    fn build(self) -> Box<dyn Negatives<B>> {
        Box::new(self)
    }
}

impl<B: Backend> Negatives<B> for AllNodesConfig {
    fn kind(&self) -> KeyKind {
        KeyKind::Others
    }

    fn wants_everyone(&self) -> bool {
        true
    }

    fn keys(&mut self, group: &Group, _direction: Direction, fresh: Fresh<B>) -> Keys<B> {
        let Some(vectors) = fresh.everyone else {
            panic!("all_nodes needs the rows {:?} encoded", group.everyone)
        };
        // Ids are rows where all rows of a kind are keys.
        let known = group.ids.iter().all(|id| group.everyone.contains(id));
        assert!(known, "all_nodes knows a row by its number, and an id is none of {:?}", group.everyone);
        let own = Places { numbers: group.ids.clone(), first: group.everyone.start };
        Keys::Others { vectors, mask: Some(KeyMask::Places(own)) }
    }
}
