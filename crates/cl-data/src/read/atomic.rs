//! RecBole's atomic `.inter` files (Zhao et al. 2021, arXiv:2011.01731).
//!
//! Tab-separated; the first line names each column and its kind, for example the four columns `user_id:token`,
//! `item_id:token`, `rating:float` and `timestamp:float`. The first two must be there, in any place; `rating` and
//! `timestamp` are read if they are; other columns are not read, but their kinds are checked.

use super::text::Text;
use super::{Event, Sink, Token, number};
use crate::DataError;

const KINDS: [&str; 4] = ["token", "token_seq", "float", "float_seq"];

pub(super) fn scan(text: &Text, sink: &mut impl Sink) -> Result<(), DataError> {
    let mut lines = lines(text);
    let header: Vec<Token<'_>> = lines.next().map(fields).into_iter().flatten().collect();
    let columns = Header::read(text, &header)?;
    let mut values = Vec::with_capacity(header.len());
    for line in lines {
        values.clear();
        values.extend(fields(line));
        if values.len() != header.len() {
            let found = if line.text.is_empty() {
                "an empty line".into()
            } else {
                format!("{} fields", values.len())
            };
            let expected = format!("{} fields between tabs, as in the header", header.len());
            return Err(text.broken(line.at, found, expected, ""));
        }
        sink.event(Event {
            user: number::id(text, values[columns.user], "a user")?,
            item: number::id(text, values[columns.item], "an item")?,
            rating: columns.rating.map(|at| number::rating(text, values[at])).transpose()?,
            time: columns.time.map(|at| number::time(text, values[at])).transpose()?,
        });
    }
    Ok(())
}

/// Positions of the columns that are read.
struct Header {
    user: usize,
    item: usize,
    rating: Option<usize>,
    time: Option<usize>,
}

impl Header {
    fn read(text: &Text, header: &[Token<'_>]) -> Result<Self, DataError> {
        let mut names = Vec::with_capacity(header.len());
        for field in header {
            let (name, kind) = field.text.split_once(':').unwrap_or((field.text, ""));
            if !KINDS.contains(&kind) {
                let expected = "a column name with its kind, `name:token`, `name:float`, `name:token_seq` or `name:float_seq`";
                return Err(text.broken(field.at, format!("`{}`", field.text), expected, ""));
            }
            if names.contains(&name) {
                return Err(text.broken(
                    field.at,
                    format!("a second column `{name}`"),
                    "each column once",
                    "",
                ));
            }
            names.push(name);
        }
        let find = |name: &str, kind: &str| match names.iter().position(|other| *other == name) {
            Some(at) if header[at].text == format!("{name}:{kind}") => Ok(Some(at)),
            Some(at) => Err(text.broken(
                header[at].at,
                format!("`{}`", header[at].text),
                format!("`{name}:{kind}`"),
                "",
            )),
            None => Ok(None),
        };
        let required = |name: &str| {
            find(name, "token")?.ok_or_else(|| {
                let found = format!("the columns {}", quoted(&names));
                text.broken(0, found, format!("a column `{name}:token`"), "")
            })
        };
        Ok(Self {
            user: required("user_id")?,
            item: required("item_id")?,
            rating: find("rating", "float")?,
            time: find("timestamp", "float")?,
        })
    }
}

/// `a`, `b`, `c` in backticks.
pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn lines(text: &Text) -> impl Iterator<Item = Token<'_>> {
    // Only line ends are cut from the end of the file: an empty last field is data.
    let content = text.content().trim_end_matches(['\n', '\r']);
    let mut at = 0;
    content.split('\n').map(move |line| {
        let start = at;
        at += line.len() + 1;
        Token { text: line.strip_suffix('\r').unwrap_or(line), at: start }
    })
}

fn fields(line: Token<'_>) -> impl Iterator<Item = Token<'_>> {
    let mut at = line.at;
    line.text.split('\t').map(move |field| {
        let start = at;
        at += field.len() + 1;
        Token { text: field, at: start }
    })
}
