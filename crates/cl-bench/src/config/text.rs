//! The text of an experiment: a file, and what the command line sets over it.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use cl_core::registry::Problem;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Error;

/// A file and its overrides as one text, so that every place in either has a span.
///
/// The overrides stand behind the file, a line each; spans tell which of the two they are in.
#[derive(Debug, Clone)]
pub struct Text {
    name: String,
    /// The file, a line end, and the overrides.
    all: String,
    /// Length of the file's part.
    file: usize,
    overrides: Vec<Range<usize>>,
}

impl Text {
    /// Reads a file; `overrides` are `a.b=value`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is not UTF-8.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::io("cannot read the experiment", path))?;
        let file = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
            Error::other(format!("{}:{line}: byte {at} is not UTF-8; save the file as UTF-8", path.display()))
        })?;
        Ok(Self::new(&path.display().to_string(), &file, overrides))
    }

    /// A text of this name.
    #[must_use]
    pub fn new(name: &str, file: &str, overrides: &[String]) -> Self {
        let mut all = file.to_string();
        let spans = overrides
            .iter()
            .map(|line| {
                all.push('\n');
                let start = all.len();
                all.push_str(line);
                start..all.len()
            })
            .collect();
        Self { name: name.into(), all, file: file.len(), overrides: spans }
    }

    /// The file as typed, without overrides.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.all[..self.file]
    }

    /// The overrides as typed.
    pub fn overrides(&self) -> impl Iterator<Item = &str> {
        self.overrides.iter().map(|span| &self.all[span.clone()])
    }

    /// Where a problem is: the name and content of its text, and the problem with its span in that content.
    pub(crate) fn locate(&self, mut problem: Problem) -> (String, String, Problem) {
        match self
            .overrides
            .iter()
            .find(|span| problem.span.start >= span.start && problem.span.end <= span.end)
        {
            Some(span) if problem.span.start >= self.file => {
                problem.span = problem.span.start - span.start..problem.span.end - span.start;
                ("--set".into(), self.all[span.clone()].to_string(), problem)
            }
            _ => {
                problem.span = problem.span.start.min(self.file)..problem.span.end.min(self.file);
                (self.name.clone(), self.file().to_string(), problem)
            }
        }
    }

    /// The tables of the text, overrides applied.
    ///
    /// # Errors
    ///
    /// Text that is not TOML, an override that is not `key=value`, or one that goes through a key that is no table.
    pub fn parse(&self) -> Result<Spanned<DeTable<'_>>, Problem> {
        let mut root = DeTable::parse(self.file()).map_err(|error| not_toml(&error, 0))?;
        for span in &self.overrides {
            let line = &self.all[span.clone()];
            let set = parse_override(line, span.start)?;
            let dots = line.split('=').next().unwrap_or_default().matches('.').count();
            merge(root.get_mut(), set, dots).map_err(|name| {
                Problem::new(span.clone(), format!("`{name}` is not a table, so nothing in it can be set"))
                    .with_help(format!("write --set {name}=VALUE"))
            })?;
        }
        Ok(root)
    }
}

fn not_toml(error: &toml::de::Error, offset: usize) -> Problem {
    Problem::new(shift(error.span().unwrap_or(0..0), offset), format!("not TOML: {}", error.message()))
}

fn shift(span: Range<usize>, offset: usize) -> Range<usize> {
    span.start + offset..span.end + offset
}

/// `a.b=value` is TOML. A value that is not (a word without quotes) is taken as a string.
fn parse_override(line: &str, offset: usize) -> Result<DeTable<'_>, Problem> {
    let whole = offset..offset + line.len();
    let Some((path, value)) = line.split_once('=') else {
        let problem = Problem::new(whole, format!("`{line}` is not key=value"));
        return Err(problem.with_help("write --set contrast.temperature=0.1"));
    };
    if value.trim().is_empty() {
        let problem = Problem::new(whole, format!("`{line}` has no value"));
        return Err(problem.with_help("an empty string is written \"\""));
    }
    match DeTable::parse(line) {
        Ok(table) => Ok(shift_table(table.into_inner(), offset)),
        Err(_) if !value.contains(['"', '\'', '[', '{']) && !path.trim().is_empty() => {
            let at = offset + path.len() + 1..whole.end;
            // Each key with its place, the innermost first.
            let mut end = path.len();
            let keys = path.split('.').rev().map(|part| {
                let start = end - part.len();
                end = start.saturating_sub(1);
                let key = part.trim();
                let start = offset + start + (part.len() - part.trim_start().len());
                Spanned::new(start..start + key.len(), Cow::Borrowed(key))
            });
            let value = Spanned::new(at, DeValue::String(Cow::Borrowed(value.trim())));
            let nested = keys.fold(value, |inner, key| {
                Spanned::new(whole.clone(), DeValue::Table(DeTable::from_iter([(key, inner)])))
            });
            match nested.into_inner() {
                DeValue::Table(table) => Ok(table),
                _ => unreachable!("split gives at least one key"),
            }
        }
        Err(error) => Err(not_toml(&error, offset)),
    }
}

/// Puts a table over another, going down `depth` levels; what is deeper is replaced as a whole. On the way there must
/// be tables: the error is the key that is none.
fn merge<'a>(root: &mut DeTable<'a>, over: DeTable<'a>, depth: usize) -> Result<(), String> {
    for (key, value) in over {
        let name: &str = key.get_ref();
        if depth > 0 && root.contains_key(name) {
            let under = root.get_mut(name).map(Spanned::get_mut);
            match (under, value.into_inner()) {
                (Some(DeValue::Table(under)), DeValue::Table(over)) => merge(under, over, depth - 1)?,
                _ => return Err(name.to_string()),
            }
        } else {
            root.remove(name);
            root.insert(key, value);
        }
    }
    Ok(())
}

fn shift_table(table: DeTable<'_>, offset: usize) -> DeTable<'_> {
    table
        .into_iter()
        .map(|(key, value)| {
            (Spanned::new(shift(key.span(), offset), key.into_inner()), shift_value(value, offset))
        })
        .collect()
}

fn shift_value(value: Spanned<DeValue<'_>>, offset: usize) -> Spanned<DeValue<'_>> {
    let span = shift(value.span(), offset);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shift_table(table, offset)),
        DeValue::Array(mut array) => {
            for item in array.iter_mut() {
                let taken = std::mem::replace(item, Spanned::new(0..0, DeValue::Boolean(false)));
                *item = shift_value(taken, offset);
            }
            DeValue::Array(array)
        }
        other => other,
    };
    Spanned::new(span, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &str, overrides: &[&str]) -> Text {
        Text::new("file.toml", file, &overrides.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn plain(text: &Text) -> Result<String, (String, String)> {
        let table = text.parse().map_err(|problem| {
            let (name, content, problem) = text.locate(problem);
            (format!("{name}: {}", &content[problem.span.clone()]), problem.message)
        })?;
        let table: toml::Table =
            serde::Deserialize::deserialize(toml::de::Deserializer::from(table)).unwrap();
        Ok(table.to_string())
    }

    #[test]
    fn overrides_replace_add_and_need_no_quotes() {
        let text = text(
            "a = 1\n[b]\nc = 2\nd = 3\n",
            &["b.c = 2.5", "b.e.f=[1, 2]", "a=word", "g.h=x y", "b.d = { i = true }"],
        );
        let expected =
            "a = \"word\"\n\n[b]\nc = 2.5\n\n[b.e]\nf = [1, 2]\n\n[b.d]\ni = true\n\n[g]\nh = \"x y\"\n";
        assert_eq!(plain(&text).unwrap(), expected);
    }

    #[test]
    fn places_are_told_in_the_file_or_in_the_override() {
        assert_eq!(plain(&text("a = = 1", &[])).unwrap_err().0, "file.toml: =");
        assert_eq!(
            plain(&text("a = 1", &["b"])).unwrap_err(),
            ("--set: b".into(), "`b` is not key=value".into())
        );
        let (place, message) = plain(&text("a = 1", &["a.b=2"])).unwrap_err();
        assert_eq!(
            (place.as_str(), message.as_str()),
            ("--set: a.b=2", "`a` is not a table, so nothing in it can be set")
        );
        let bare = text("", &["a.word=x y"]);
        let table = bare.parse().unwrap();
        let DeValue::Table(inner) = table.get_ref().get("a").unwrap().get_ref() else { panic!() };
        let (key, value) = inner.iter().next().unwrap();
        assert_eq!((bare.locate(Problem::new(key.span(), "")).2.span, value.span().len()), (2..6, 3));
        let text = text("a = 1", &["b = 22"]);
        let table = text.parse().unwrap();
        let span = table.get_ref().get("b").unwrap().span();
        assert_eq!(text.locate(Problem::new(span, "")).2.span, 4..6);
    }
}
