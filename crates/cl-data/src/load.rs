//! From the `[data]` table to data in memory.

use std::path::Path;

use crate::{
    DataConfig, DataError, FilterReport, Format, Interactions, KCore, Part, Reader, Source, filter, synthetic,
};

/// What [`load`] hands back.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The data, read and filtered.
    pub source: Source,
    /// What the filters removed.
    pub report: FilterReport,
}

/// Reads (or makes) the data that `config` names and filters it: repeated pairs first, then low ratings, then k-core
/// (the order of RecBole). Repeats are looked for inside each part; ratings and k-core filters renumber the rows, so
/// that no user or item without events is left behind by them.
///
/// `root` is the folder that `config.path` is relative to; `seed` matters for synthetic data only.
///
/// # Errors
///
/// An invalid configuration, a path that is not there, whatever in the files is not the format, and filters that do
/// not fit: a rating filter without ratings, a k-core of published parts (it would change a split that others report
/// numbers on), filters that leave nothing.
pub fn load(config: &DataConfig, root: &Path, seed: u64) -> Result<Loaded, DataError> {
    config.validate().map_err(|invalid| DataError::config("data", invalid))?;
    let (mut source, file) = match (&config.synthetic, &config.path) {
        (Some(synthetic), _) => (Source::Whole(synthetic::interactions(synthetic, seed)?), None),
        (None, path) => {
            let path = root.join(path.as_deref().unwrap_or(Path::new("")));
            if !path.exists() {
                let help = format!(
                    "the data root is `{}`: choose it with --data DIR, the environment variable CL_DATA, or ./data",
                    root.display()
                );
                return Err(DataError::NotFound { path, help });
            }
            let reader = Reader::from_config(config);
            let source = reader.read_path(&path)?;
            (source, Some((reader, path)))
        }
    };
    let report =
        apply_filters(&mut source, config, file.as_ref().map(|(reader, path)| (reader, path.as_path())))?;
    if config.format == Format::Sequence {
        source.parts_mut().into_iter().for_each(renumber_positions);
    }
    Ok(Loaded { source, report })
}

fn apply_filters(
    source: &mut Source,
    config: &DataConfig,
    file: Option<(&Reader, &Path)>,
) -> Result<FilterReport, DataError> {
    let mut report = FilterReport { read: source.parts().map(Interactions::len).sum(), ..Default::default() };
    let files = match source {
        Source::Parts { files, .. } => files.clone(),
        Source::Whole(_) => None,
    };
    let has_validation = matches!(source, Source::Parts { validation: Some(_), .. });
    let is_whole = matches!(source, Source::Whole(_));
    let names: &[Part] = if has_validation {
        &[Part::Train, Part::Validation, Part::Test]
    } else {
        &[Part::Train, Part::Test]
    };
    for (part, &name) in source.parts_mut().into_iter().zip(names) {
        let locate = |user: &str, item: &str, nth| match (&files, file) {
            (Some(files), _) => files.locate(name, user, item, nth),
            (None, Some((reader, path))) => reader.locate(path, user, item, nth),
            (None, None) => None,
        };
        report.duplicates += filter::deduplicate_part(part, config.duplicates, name, locate)?;
        if let Some(least) = config.min_rating {
            let before = part.len();
            report.below_min_rating += filter::min_rating(part, least)?;
            check_left(part, before, || format!("data.min_rating = {least}"))?;
        }
        let KCore { user, item } = config.k_core;
        if (user, item) != (0, 0) {
            if !is_whole {
                let why = "a k-core would change the published train and test parts; remove k_core, or give the path \
                           of one whole file and split it with another split";
                return Err(DataError::config("data", ("k_core", why.into())));
            }
            let before = part.len();
            report.outside_k_core += filter::k_core(part, config.k_core);
            check_left(part, before, || format!("data.k_core = {{ user = {user}, item = {item} }}"))?;
        }
    }
    if config.min_rating.is_some() || config.k_core != KCore::default() {
        (report.users_removed, report.items_removed) = filter::compact(&mut source.parts_mut());
    }
    report.kept = source.parts().map(Interactions::len).sum();
    Ok(report)
}

fn check_left(part: &Interactions, events: usize, filter: impl FnOnce() -> String) -> Result<(), DataError> {
    if part.is_empty() { Err(DataError::NothingLeft { filter: filter(), events }) } else { Ok(()) }
}

/// Positions in a sequence count what is left, from 0, after events were removed.
fn renumber_positions(data: &mut Interactions) {
    let (offsets, order) = data.by_user(data.time.as_deref());
    let Some(time) = &mut data.time else { return };
    for row in offsets.windows(2) {
        for (position, &event) in order[row[0]..row[1]].iter().enumerate() {
            time[event] = position as i64;
        }
    }
}
