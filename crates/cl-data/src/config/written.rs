//! `[data]` as it is written: which columns are meant by default depends on whether there is a header.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Columns, DataConfig, Duplicates, Format, KCore};
use crate::SyntheticConfig;

/// The keys of [`DataConfig`], with gaps where the default hangs on another key.
#[derive(Deserialize)]
#[serde(rename = "DataConfig", deny_unknown_fields)]
pub(super) struct Written {
    path: Option<PathBuf>,
    #[serde(default)]
    format: Format,
    #[serde(default = "with_header")]
    header: bool,
    #[serde(default)]
    columns: WrittenColumns,
    separator: Option<char>,
    min_rating: Option<f32>,
    #[serde(default)]
    k_core: KCore,
    #[serde(default)]
    duplicates: Duplicates,
    synthetic: Option<SyntheticConfig>,
}

#[derive(Default, Deserialize)]
#[serde(rename = "Columns", deny_unknown_fields)]
struct WrittenColumns {
    user: Option<String>,
    item: Option<String>,
    rating: Option<String>,
    time: Option<String>,
}

fn with_header() -> bool {
    true
}

impl From<Written> for DataConfig {
    fn from(written: Written) -> Self {
        let Written { path, format, header, columns, separator, min_rating, k_core, duplicates, synthetic } =
            written;
        let default = if header { Columns::default() } else { Columns::numbered() };
        let columns = Columns {
            user: columns.user.unwrap_or(default.user),
            item: columns.item.unwrap_or(default.item),
            rating: columns.rating,
            time: columns.time,
        };
        Self { path, format, header, columns, separator, min_rating, k_core, duplicates, synthetic }
    }
}
