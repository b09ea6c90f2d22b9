//! Sequence text: `user item item …`, one line a user, oldest item first (Zhou et al. 2020, arXiv:2008.07873).
//!
//! Repeated items are kept. The time of an event is its position in the line, from 0: an order inside a user, not a
//! clock that users share. A second line of a user is refused, because nothing says which of the two is older.

use std::collections::HashMap;

use super::text::Text;
use super::{Event, Sink, words};
use crate::DataError;

pub(super) fn scan(text: &Text, sink: &mut impl Sink) -> Result<(), DataError> {
    let mut user = None;
    let mut lines: HashMap<&str, usize> = HashMap::new();
    words::scan(text, |index, token| {
        match user {
            Some(user) if index > 0 => {
                let time = Some(index as i64 - 1);
                sink.event(Event { user, item: token, rating: None, time });
            }
            _ => {
                if let Some(first) = lines.insert(token.text, token.at) {
                    let found = format!("a second line of user `{}`", token.text);
                    let expected =
                        format!("one line a user (the first is line {})", text.location(first).line);
                    return Err(text.broken(
                        token.at,
                        found,
                        expected,
                        "put all items of a user on one line, oldest first",
                    ));
                }
                sink.user(token);
                user = Some(token);
            }
        }
        Ok(())
    })
}
