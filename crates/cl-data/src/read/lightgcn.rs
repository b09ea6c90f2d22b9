//! LightGCN adjacency text: `user item item …`, without a header (He et al. 2020, arXiv:2002.02126).
//!
//! Fields are separated by any number of spaces or tabs. The order of items means nothing; a user may have several
//! lines; a line with only a user gives that user no items and still puts it into the catalogue.

use super::text::Text;
use super::{Event, Sink, words};
use crate::DataError;

pub(super) fn scan(text: &Text, sink: &mut impl Sink) -> Result<(), DataError> {
    let mut user = None;
    words::scan(text, |index, token| {
        match user {
            Some(user) if index > 0 => sink.event(Event { user, item: token, rating: None, time: None }),
            _ => {
                sink.user(token);
                user = Some(token);
            }
        }
        Ok(())
    })
}
