//! Which files of a folder are the data.

use std::path::{Path, PathBuf};

use crate::{DataError, Format};

pub(super) enum Found {
    Whole(PathBuf),
    Parts { train: PathBuf, validation: Option<PathBuf>, test: PathBuf },
}

pub(super) fn find(path: &Path, format: Format) -> Result<Found, DataError> {
    if !path.is_dir() {
        return Ok(Found::Whole(path.to_path_buf()));
    }
    let names = file_names(path)?;
    let part =
        |stems: &[&str]| one_of(path, &names, |name| stems.iter().any(|stem| is_part(name, stem, format)));
    let (train, validation, test) = (part(&["train"])?, part(&["valid", "validation"])?, part(&["test"])?);
    match (train, test) {
        (Some(train), Some(test)) => Ok(Found::Parts { train, validation, test }),
        (None, None) => match one_of(path, &names, |name| has_ending(name, format))? {
            Some(file) => Ok(Found::Whole(file)),
            None => Err(missing(path, &names, format)),
        },
        _ => Err(missing(path, &names, format)),
    }
}

/// Names of the files in a folder, sorted, hidden ones left out.
fn file_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let cannot = |source| DataError::Read { path: folder.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn endings(format: Format) -> &'static [&'static str] {
    match format {
        Format::Lightgcn | Format::Sequence => &[".txt"],
        Format::Atomic => &[".inter"],
        Format::Csv => &[".csv", ".tsv", ".txt"],
    }
}

fn stem(name: &str, format: Format) -> Option<&str> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    endings(format).iter().find_map(|ending| name.strip_suffix(ending))
}

fn has_ending(name: &str, format: Format) -> bool {
    stem(name, format).is_some()
}

fn is_part(name: &str, part: &str, format: Format) -> bool {
    stem(name, format).is_some_and(|stem| match stem.strip_suffix(part) {
        Some("") => true,
        // RecBole's benchmark files are called NAME.train.inter.
        Some(before) => format == Format::Atomic && before.ends_with('.'),
        None => false,
    })
}

fn one_of(
    folder: &Path,
    names: &[String],
    wanted: impl Fn(&str) -> bool,
) -> Result<Option<PathBuf>, DataError> {
    let found: Vec<&String> = names.iter().filter(|name| wanted(name)).collect();
    match found.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some(folder.join(name))),
        several => Err(DataError::Folder {
            folder: folder.to_path_buf(),
            found: list(several),
            expected: "only one of them; give the path of one file, or move the others away".into(),
        }),
    }
}

fn missing(folder: &Path, names: &[String], format: Format) -> DataError {
    let names: Vec<&String> = names.iter().collect();
    let pairs: Vec<String> =
        endings(format).iter().map(|ending| format!("train{ending} and test{ending}")).collect();
    DataError::Folder {
        folder: folder.to_path_buf(),
        found: if names.is_empty() { "no files".into() } else { list(&names) },
        expected: format!(
            "{} (and perhaps valid{} or validation{}), or one single {} file; each may end in .gz",
            pairs.join(", or "),
            endings(format)[0],
            endings(format)[0],
            endings(format).join(" or ")
        ),
    }
}

/// The first names, and how many more there are.
fn list(names: &[&String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
