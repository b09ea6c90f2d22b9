//! What a kill, or a bad disk, may leave behind, made by hand.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::common::{Place, differences, fail, succeed, traces};
use crate::killing::{current, kill_when, names};
use crate::{EVERY, experiment};

/// A run that is killed after its `after`th checkpoint, and the same run unbroken.
fn killed(place: &Place, text: &str, after: u64) -> (PathBuf, PathBuf, PathBuf) {
    let file = place.file("experiment.toml", text);
    let (whole, broken) = (place.path("whole"), place.path("broken"));
    succeed(place.run(&file, "whole").args(["--quiet", "--threads", "1"]));
    let mut run = place.run(&file, "broken");
    assert!(
        kill_when(run.args(["--threads", "1"]), &place.path("said"), || current(&broken) >= after * EVERY)
    );
    (file, whole, broken)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(from, to).map(|_| ()).unwrap() }
    }
}

#[test]
fn whatever_a_kill_leaves_behind_does_not_matter() {
    let place = Place::new();
    let (file, whole, broken) = killed(&place, &experiment("embedding_noise", 2, ""), 5);
    let folder = broken.join("checkpoint");
    let there = folder.join(fs::read_to_string(folder.join("current")).unwrap());
    let next = folder.join(format!("{:012}", current(&broken) + EVERY));
    let half = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    type Debris<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let debris: Vec<Debris<'_>> = vec![
        ("an empty checkpoint", Box::new(|| fs::create_dir_all(&next).unwrap())),
        (
            "half of the parameters",
            Box::new(|| {
                copy(&there, &next);
                half(&next.join("model.mpk"));
                fs::remove_file(next.join("optimizer.mpk")).unwrap();
                fs::remove_file(next.join("state.json")).unwrap();
            }),
        ),
        ("a checkpoint that is not the current one", Box::new(|| copy(&there, &next))),
        ("half of a name", Box::new(|| fs::write(folder.join("current.tmp"), "0000").unwrap())),
        (
            "half a line in the log",
            Box::new(|| {
                OpenOptions::new()
                    .append(true)
                    .open(broken.join("metrics.jsonl"))
                    .unwrap()
                    .write_all(b"{\"epoch\":")
                    .unwrap();
            }),
        ),
        (
            "half of the results",
            Box::new(|| {
                fs::write(broken.join("topk.tsv"), "0\t0\t1\t0.5\n").unwrap();
                fs::write(broken.join("result.json.tmp"), "{").unwrap();
            }),
        ),
        (
            "no experiment.toml and no resolved.toml",
            Box::new(|| {
                fs::remove_file(broken.join("experiment.toml")).unwrap();
                fs::remove_file(broken.join("resolved.toml")).unwrap();
            }),
        ),
    ];
    let kept = place.path("kept");
    copy(&broken, &kept);
    for (what, leave) in debris {
        fs::remove_dir_all(&broken).unwrap();
        copy(&kept, &broken);
        leave();
        succeed(place.run(&file, "broken").args(["--quiet", "--resume", "--threads", "1"]));
        assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0], "{what}");
        let mut left = names(&broken);
        left.retain(|name| name.ends_with(".tmp"));
        assert_eq!(left, [] as [&str; 0], "{what}");
        assert_eq!(names(&folder).len(), 2, "{what}: one checkpoint and its name");
        let files = |run: &Path| {
            let mut files = names(run);
            files.sort();
            files
        };
        assert_eq!(files(&broken), files(&whole), "{what}");
    }
    // Killed before it could even mark its folder.
    fs::remove_dir_all(&broken).unwrap();
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("experiment_hash.tmp"), "12").unwrap();
    succeed(place.run(&file, "broken").args(["--quiet", "--resume", "--threads", "1"]));
    assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0]);
}

#[test]
fn a_damaged_checkpoint_is_refused_and_overwrite_starts_anew() {
    let place = Place::new();
    let (file, whole, broken) = killed(&place, &experiment("embedding_noise", 1, ""), 2);
    let folder = broken.join("checkpoint");
    let there = folder.join(fs::read_to_string(folder.join("current")).unwrap());
    for name in ["model.mpk", "optimizer.mpk", "state.json"] {
        let path = there.join(name);
        let bytes = fs::read(&path).unwrap();
        for cut in [None, Some(0), Some(bytes.len() / 2), Some(bytes.len() - 1)] {
            match cut {
                None => fs::remove_file(&path).unwrap(),
                Some(length) => fs::write(&path, &bytes[..length]).unwrap(),
            }
            let said = fail(place.run(&file, "broken").args(["--resume", "--threads", "1"]));
            assert!(
                said.contains(name) && said.contains("--overwrite starts"),
                "{name} cut to {cut:?}: {said}"
            );
            assert!(!broken.join("result.json").exists());
        }
        fs::write(&path, &bytes).unwrap();
    }
    // A state of the optimizer that belongs to nothing is as bad as none.
    let state = fs::read_to_string(there.join("state.json")).unwrap();
    fs::write(there.join("state.json"), state.replacen("\"epoch\"", "\"epcoh\"", 1)).unwrap();
    let said = fail(place.run(&file, "broken").args(["--resume", "--threads", "1"]));
    assert!(said.contains("epcoh") && said.contains("state.json"), "{said}");

    succeed(place.run(&file, "broken").args(["--quiet", "--overwrite", "--threads", "1"]));
    assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0]);
}

/// Content and time of every file below a folder.
fn state_of(folder: &Path, into: &mut BTreeMap<PathBuf, (Vec<u8>, SystemTime)>) {
    for name in names(folder) {
        let path = folder.join(name);
        if path.is_dir() {
            state_of(&path, into);
        } else {
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            into.insert(path.clone(), (fs::read(&path).unwrap(), time));
        }
    }
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let place = Place::new();
    let file = place.file("experiment.toml", &experiment("embedding_noise", 1, ""));
    succeed(place.run(&file, "run").args(["--quiet", "--threads", "1"]));
    let [mut before, mut after] = [const { BTreeMap::new() }; 2];
    state_of(&place.path("run"), &mut before);
    std::thread::sleep(Duration::from_millis(20));
    // The same experiment with another remark and another number of threads.
    let file = place.file("experiment.toml", &experiment("embedding_noise", 1, "# again"));
    let output = succeed(place.run(&file, "run").args(["--resume", "--threads", "2"]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is finished"));
    state_of(&place.path("run"), &mut after);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (path, state) in &before {
        assert!(*state == after[path], "{} was written again", path.display());
    }
}
