//! What was compiled before: files of the folder for temporary files, named by the text that they were made from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// The file that something made from `text` has.
pub(crate) fn file(text: &str, extension: &str) -> PathBuf {
    let folder = std::env::temp_dir().join("cl-cuda-on-host");
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    folder.join(format!("{:016x}.{extension}", hasher.finish()))
}
