//! Items that a user's held-out items are ranked among: `user item item …`, one line a user.

use std::collections::HashMap;
use std::path::Path;

use super::text::Text;
use super::{Token, words};
use crate::{DataError, Split, UserItems};

/// Reads which items each user's held-out ones are ranked among, for comparison with papers that rank few (S3-Rec's
/// `*_sample.txt`).
///
/// # Errors
///
/// A file that is not there or no such text; a user or an item that the data does not have; an item twice in a line, or one
/// that the user has in some part; a second line of a user; a user with held-out items and without a line.
pub fn read_candidates(path: &Path, split: &Split) -> Result<UserItems, DataError> {
    let text = Text::read(path)?;
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut lines: HashMap<u32, usize> = HashMap::new();
    // The user of the line, and where its pairs begin.
    let mut line = (0, 0);
    words::scan(&text, |index, token| {
        if index == 0 {
            let user = user(&text, token, split)?;
            if let Some(first) = lines.insert(user, token.at) {
                let found = format!("a second line of user `{}`", token.text);
                let expected = format!("one line a user (the first is line {})", text.location(first).line);
                return Err(text.broken(token.at, found, expected, "put all items of a user on one line"));
            }
            line = (user, pairs.len());
            return Ok(());
        }
        let (user, begin) = line;
        let item = item(&text, token, user, split)?;
        if pairs[begin..].contains(&(user, item)) {
            let found = format!("item `{}` for the second time in this line", token.text);
            return Err(text.broken(token.at, found, "each item once", "remove it"));
        }
        pairs.push((user, item));
        Ok(())
    })?;
    let candidates = UserItems::from_pairs(split.users.len(), pairs.iter().copied());
    let parts = [&split.validation.0, &split.test.0];
    let without = (0..split.users.len())
        .find(|&user| parts.iter().any(|part| !part.of(user).is_empty()) && candidates.of(user).is_empty());
    match without {
        None => Ok(candidates),
        Some(user) => Err(text.broken(
            text.trimmed_len(),
            format!("no item for user `{}`", split.users.external(user)),
            "a line of items for each user with a held-out item",
            "add the line, or sample with `negatives` instead of `file`",
        )),
    }
}

fn user(text: &Text, token: Token<'_>, split: &Split) -> Result<u32, DataError> {
    split.users.row(token.text).ok_or_else(|| {
        let found = format!("user `{}`", token.text);
        text.broken(token.at, found, "a user of the data", "the ids must be those of the data file")
    })
}

fn item(text: &Text, token: Token<'_>, user: u32, split: &Split) -> Result<u32, DataError> {
    let Some(item) = split.items.row(token.text) else {
        let found = format!("item `{}`", token.text);
        return Err(text.broken(
            token.at,
            found,
            "an item of the data",
            "the ids must be those of the data file",
        ));
    };
    let parts = [("training", &split.train.0), ("validation", &split.validation.0), ("test", &split.test.0)];
    match parts.into_iter().find(|(_, part)| part.contains(user as usize, item)) {
        None => Ok(item),
        Some((part, _)) => Err(text.broken(
            token.at,
            format!(
                "item `{}`, which user `{}` has in the {part} part",
                token.text,
                split.users.external(user as usize)
            ),
            "an item that the user has not",
            "remove it",
        )),
    }
}
