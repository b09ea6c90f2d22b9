//! Writers: the same formats that can be read, with external ids.
//!
//! A file is written under a temporary name in its own folder and renamed when it is complete, so a name never stands
//! for half a file. Names ending in `.gz` are compressed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::ids::breaks_tables;
use crate::{DataError, Ids, Interactions, Split, UserItems};

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It stays, and writing is an error.
    #[default]
    Refuse,
    /// It is replaced.
    Replace,
}

/// Writes LightGCN text: a line for each user, in row order, items in file order. Ratings and times are not in this
/// format; users without events get a line with the user alone.
///
/// # Errors
///
/// A file that exists, an id with white space in it, whatever the operating system refuses.
pub fn write_lightgcn(path: &Path, data: &Interactions, existing: Existing) -> Result<(), DataError> {
    let (offsets, order) = data.by_user(None);
    let rows = offsets.windows(2).map(|row| order[row[0]..row[1]].iter().map(|&event| data.item[event]));
    write_rows(path, &data.users, &data.items, rows.enumerate(), existing)
}

/// Writes sequence text: a line for each user, in row order, oldest item first, repeats kept. Ratings and the times
/// themselves are not in this format.
///
/// # Errors
///
/// As [`write_lightgcn`].
pub fn write_sequence(path: &Path, data: &Interactions, existing: Existing) -> Result<(), DataError> {
    let sequences = data.sequences();
    let rows = (0..sequences.users()).map(|user| (user, sequences.of(user).iter().copied()));
    write_rows(path, &data.users, &data.items, rows, existing)
}

/// Writes `user item item …` lines as they come, for data too large for memory
/// (see [`synthetic::stream`](crate::synthetic::stream)). Rows are written as integer ids.
///
/// # Errors
///
/// As [`write_lightgcn`].
pub fn write_stream(
    path: &Path,
    rows: impl Iterator<Item = (u32, Vec<u32>)>,
    existing: Existing,
) -> Result<(), DataError> {
    write_file(path, existing, |out| {
        for (user, items) in rows {
            write!(out, "{user}")?;
            for item in items {
                write!(out, " {item}")?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Writes CSV with the columns `user,item` and, where the data has them, `rating` and `time`, in file order. Names
/// ending in `.tsv` or `.txt` (before `.gz`) are separated by tabs.
///
/// # Errors
///
/// A file that exists, an id with a tab or a line end in it (which no reader takes), whatever the operating system
/// refuses.
pub fn write_csv(path: &Path, data: &Interactions, existing: Existing) -> Result<(), DataError> {
    check_ids(path, &data.users, &data.items, unfit_for_tables)?;
    let name = path.to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let separator = if name.ends_with(".tsv") || name.ends_with(".txt") { b'\t' } else { b',' };
    let mut columns = vec!["user", "item"];
    columns.extend(data.rating.as_ref().map(|_| "rating"));
    columns.extend(data.time.as_ref().map(|_| "time"));
    write_file(path, existing, |out| {
        let mut out = csv::WriterBuilder::new().delimiter(separator).from_writer(out);
        out.write_record(&columns)?;
        for event in 0..data.len() {
            out.write_field(&*data.users.external(data.user[event] as usize))?;
            out.write_field(&*data.items.external(data.item[event] as usize))?;
            if let Some(rating) = &data.rating {
                out.write_field(rating[event].to_string())?;
            }
            if let Some(time) = &data.time {
                out.write_field(time[event].to_string())?;
            }
            out.write_record(None::<&[u8]>)?;
        }
        out.flush()
    })
}

/// Writes a RecBole atomic file with the columns `user_id:token`, `item_id:token` and, where the data has them,
/// `rating:float` and `timestamp:float`, in file order.
///
/// # Errors
///
/// A file that exists, an id with a tab or a line end in it, whatever the operating system refuses.
pub fn write_atomic(path: &Path, data: &Interactions, existing: Existing) -> Result<(), DataError> {
    check_ids(path, &data.users, &data.items, unfit_for_tables)?;
    write_file(path, existing, |out| {
        out.write_all(b"user_id:token\titem_id:token")?;
        if data.rating.is_some() {
            out.write_all(b"\trating:float")?;
        }
        if data.time.is_some() {
            out.write_all(b"\ttimestamp:float")?;
        }
        out.write_all(b"\n")?;
        for event in 0..data.len() {
            let user = data.users.external(data.user[event] as usize);
            write!(out, "{user}\t{}", data.items.external(data.item[event] as usize))?;
            if let Some(rating) = &data.rating {
                write!(out, "\t{}", rating[event])?;
            }
            if let Some(time) = &data.time {
                write!(out, "\t{}", time[event])?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Writes a split as LightGCN text: `train.txt` (a line for every user, also for those without training pairs, so that
/// reading gives the same users), `test.txt`, and `valid.txt` if there is a validation part. The folder is made if it
/// is not there. An item of the catalogue that is in no part is not in the files. With [`Existing::Replace`], a
/// `valid.txt` of an earlier split is removed if this one has no validation part.
///
/// # Errors
///
/// As [`write_lightgcn`]; nothing is written if one of the three names exists.
pub fn write_split(folder: &Path, split: &Split, existing: Existing) -> Result<(), DataError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| DataError::Write { path: folder.to_path_buf(), source })?;
    let parts: [(&str, &UserItems); 3] =
        [("train.txt", &split.train), ("valid.txt", &split.validation), ("test.txt", &split.test)];
    for (name, _) in parts {
        check_free(&folder.join(name), existing)?;
    }
    for (name, pairs) in parts {
        if name == "valid.txt" && pairs.is_empty() {
            remove_earlier(&folder.join(name))?;
            continue;
        }
        let users = (0..pairs.users()).filter(|&user| name == "train.txt" || !pairs.of(user).is_empty());
        let rows = users.map(|user| (user, pairs.of(user).iter().copied()));
        write_rows(&folder.join(name), &split.users, &split.items, rows, existing)?;
    }
    Ok(())
}

/// A part of an earlier split beside the parts of a new one would be read as belonging to it.
fn remove_earlier(path: &Path) -> Result<(), DataError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DataError::Write { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

fn write_rows<R: Iterator<Item = u32>>(
    path: &Path,
    users: &Ids,
    items: &Ids,
    rows: impl Iterator<Item = (usize, R)>,
    existing: Existing,
) -> Result<(), DataError> {
    let unfit = |id: &str| match id.as_bytes() {
        bytes if bytes.iter().any(|&byte| byte <= b' ') => Some("contains white space"),
        _ if id.starts_with('\u{feff}') => Some("begins with a byte order mark"),
        _ => None,
    };
    check_ids(path, users, items, unfit)?;
    write_file(path, existing, |out| {
        for (user, row) in rows {
            out.write_all(users.external(user).as_bytes())?;
            for item in row {
                write!(out, " {}", items.external(item as usize))?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

fn check_ids(
    path: &Path,
    users: &Ids,
    items: &Ids,
    unfit: impl Fn(&str) -> Option<&'static str>,
) -> Result<(), DataError> {
    for (what, ids) in [("user", users), ("item", items)] {
        let Ids::Text(names) = ids else { continue };
        for id in names {
            let why = if id.is_empty() { Some("is empty") } else { unfit(id) };
            if let Some(why) = why {
                return Err(DataError::Unwritable { path: path.to_path_buf(), what, id: id.clone(), why });
            }
        }
    }
    Ok(())
}

fn unfit_for_tables(id: &str) -> Option<&'static str> {
    breaks_tables(id).then_some("contains a tab or a line end")
}

fn check_free(path: &Path, existing: Existing) -> Result<(), DataError> {
    match existing {
        Existing::Refuse if path.exists() => Err(DataError::Exists { path: path.to_path_buf() }),
        _ => Ok(()),
    }
}

/// Writes under a temporary name, makes sure the bytes are on the disk, then renames.
fn write_file(
    path: &Path,
    existing: Existing,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DataError> {
    check_free(path, existing)?;
    let temporary = temporary_name(path);
    let written = fill_file(&temporary, path.extension().is_some_and(|ending| ending == "gz"), fill);
    let renamed = written.and_then(|()| std::fs::rename(&temporary, path));
    renamed.map_err(|source| {
        // The first error is the one to report; a temporary file that cannot be removed either does no harm.
        let _ = std::fs::remove_file(&temporary);
        DataError::Write { path: path.to_path_buf(), source }
    })
}

fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

fn fill_file(path: &Path, gzip: bool, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    if gzip {
        let mut packed = GzEncoder::new(&mut out, Compression::default());
        fill(&mut packed)?;
        packed.finish()?;
    } else {
        fill(&mut out)?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
