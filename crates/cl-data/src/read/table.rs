//! Gathers the events of several files into one id space.

use super::column::Column;
use super::text::Text;
use super::{Event, Sink, Token};
use crate::{DataError, Interactions};

#[derive(Default)]
pub(super) struct Table {
    users: Column,
    items: Column,
    events: usize,
    parts: Vec<PartColumns>,
}

#[derive(Default)]
struct PartColumns {
    events: usize,
    rating: Option<Vec<f32>>,
    time: Option<Vec<i64>>,
}

impl Table {
    /// The sink for the next file.
    pub(super) fn part<'a>(&'a mut self, text: &'a Text) -> PartSink<'a> {
        self.parts.push(PartColumns::default());
        PartSink { table: self, text }
    }

    /// Refuses a file without events; `has_header` tells what else can be in it.
    pub(super) fn end_part(&self, text: &Text, has_header: bool) -> Result<(), DataError> {
        let (found, help) = if has_header {
            ("a header without a line under it", "look whether the file is complete")
        } else {
            (
                "a file without any interaction",
                "check the format: a comma-separated file needs format = \"csv\"",
            )
        };
        match self.parts.last() {
            Some(part) if part.events == 0 => Err(text.broken(0, found, "at least one", help)),
            _ => Ok(()),
        }
    }

    pub(super) fn finish(self) -> Result<Vec<Interactions>, DataError> {
        let (users, user) = self.users.finish("user")?;
        let (items, item) = self.items.finish("item")?;
        let mut start = 0;
        let mut part = |columns: PartColumns| {
            let rows = start..start + columns.events;
            start = rows.end;
            Interactions {
                users: users.clone(),
                items: items.clone(),
                user: user[rows.clone()].to_vec(),
                item: item[rows].to_vec(),
                rating: columns.rating,
                time: columns.time,
            }
        };
        Ok(self.parts.into_iter().map(&mut part).collect())
    }
}

pub(super) struct PartSink<'a> {
    table: &'a mut Table,
    text: &'a Text,
}

impl Sink for PartSink<'_> {
    #[inline]
    fn event(&mut self, event: Event<'_>) {
        let Event { user, item, rating, time } = event;
        self.table.users.push(user.text, || self.text.location(user.at));
        self.table.items.push(item.text, || self.text.location(item.at));
        self.table.events += 1;
        let Some(part) = self.table.parts.last_mut() else { return };
        part.events += 1;
        if let Some(rating) = rating {
            part.rating.get_or_insert_default().push(rating);
        }
        if let Some(time) = time {
            part.time.get_or_insert_default().push(time);
        }
    }

    fn user(&mut self, user: Token<'_>) {
        self.table.users.declare(user.text, || self.text.location(user.at));
    }
}
