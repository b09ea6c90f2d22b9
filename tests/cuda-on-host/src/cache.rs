//! What was compiled before: files beside the program that runs, named by all that they were made from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// The file that something made of `parts` has: a kernel's text, and what it was compiled with.
pub(crate) fn file(parts: &[&str], extension: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("this program's path: {error}"));
    let folder = program.with_file_name("cuda-on-host");
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    folder.join(format!("{:016x}.{extension}", hasher.finish()))
}
