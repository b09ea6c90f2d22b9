//! Killing a program at a chosen moment, and what its folder shows.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Starts a command, kills it (SIGKILL) as soon as `now` holds, and tells whether it was still running. What it said on
/// standard error goes to `said`.
pub(crate) fn kill_when(command: &mut Command, said: &Path, mut now: impl FnMut() -> bool) -> bool {
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::from(File::create(said).unwrap())).spawn().unwrap();
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{command:?}: {}", fs::read_to_string(said).unwrap());
            return false;
        }
        if now() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(300), "{command:?} waits for nothing");
        std::thread::sleep(Duration::from_micros(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

/// At every moment, the checkpoint that counts is whole.
#[track_caller]
pub(crate) fn assert_whole(folder: &Path) {
    let Ok(name) = fs::read_to_string(folder.join("current")) else { return };
    let there = names(&folder.join(name.trim()));
    for file in ["model.mpk", "optimizer.mpk", "state.json"] {
        assert!(
            there.iter().any(|name| name == file),
            "{} counts and has only {there:?}",
            folder.join(&name).display()
        );
    }
}

/// Steps in the checkpoint that counts; 0 without one.
pub(crate) fn current(out: &Path) -> u64 {
    let name = fs::read_to_string(out.join("checkpoint/current")).unwrap_or_default();
    name.trim().split('-').next().unwrap_or_default().parse().unwrap_or(0)
}

/// Names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The folder of a checkpoint that is being written, or was when the program died.
pub(crate) fn unfinished_checkpoint(folder: &Path) -> Option<PathBuf> {
    let current = fs::read_to_string(folder.join("current")).unwrap_or_default();
    names(folder)
        .into_iter()
        .find(|name| !name.starts_with("current") && *name != current)
        .map(|name| folder.join(name))
}

/// Whole lines in the log; it may be in the making.
pub(crate) fn log_lines(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default().matches('\n').count()
}
