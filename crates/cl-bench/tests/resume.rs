//! A killed run goes on to the same bits, whenever it was killed.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use cl_bench::{Catalogue, Components, TrainBackend};
use cl_core::encoder::Perturbs;
use cl_core::registry::Component;
use cl_core::views::{At, Drawn, Views};
use cl_graph::GraphInput;
use cl_graph::views::EmbeddingNoiseConfig;
use common::{Place, differences, fail, log, random, result, succeed, traces};
use serde::{Deserialize, Serialize};

/// Steps between checkpoints.
const EVERY: u64 = 7;

/// An experiment of `epochs` epochs, about 28 steps each.
fn experiment(views: &str, epochs: usize, more: &str) -> String {
    format!(
        "name = 'resume'\n[data]\nsynthetic = {{ users = 600, items = 400, interactions = 10200 }}\n\
         [split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 16\nlayers = 2\n\
         [views]\ntype = '{views}'\n[contrast]\ntype = 'info_nce'\n[projection]\ntype = 'linear'\ndim = 16\n\
         [optimizer]\nlr = 0.02\n\
         [train]\nepochs = {epochs}\nbatch_size = 256\ncheckpoint_every = {EVERY}\n{more}\n"
    )
}

// ---- A program whose views count the steps -------------------------------------------------------------------------

const ARGUMENTS: &str = "CL_TEST_ARGUMENTS";
const STEPS: &str = "CL_TEST_STEPS";

/// `embedding_noise`, and a byte in a file for every step: views are drawn once a step.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CountedNoise {}

impl Component<dyn Views<GraphInput>> for CountedNoise {
    const NAME: &'static str = "counted_noise";
    const SUMMARY: &'static str = "embedding_noise that counts steps";

    fn build(self) -> Box<dyn Views<GraphInput>> {
        Box::new(self)
    }
}

impl Views<GraphInput> for CountedNoise {
    fn perturbs(&self) -> Perturbs {
        EmbeddingNoiseConfig::default().perturbs()
    }

    fn draw(&mut self, clean: &GraphInput, at: At) -> Drawn<GraphInput> {
        let file = std::env::var_os(STEPS).unwrap();
        OpenOptions::new().create(true).append(true).open(file).unwrap().write_all(b".").unwrap();
        EmbeddingNoiseConfig::default().draw(clean, at)
    }
}

struct Counting;

impl Catalogue for Counting {
    fn components<B: TrainBackend>(&self) -> Components<B> {
        let mut components = Components::builtin();
        components.views = components.views.with::<CountedNoise>();
        components
    }
}

#[test]
#[ignore = "the program that another test runs, in a process of its own"]
fn counting_program() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let arguments = arguments.lines().map(OsString::from);
    assert_eq!(cl_bench::main_with(arguments, &Counting), ExitCode::SUCCESS);
}

/// `cl-bench run …`, its steps counted in a file.
fn counting(steps: &Path, file: &Path, out: &Path, more: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "counting_program", "--ignored", "--nocapture"]);
    let arguments =
        format!("cl-bench\nrun\n{}\n--out\n{}\n--threads\n1{more}", file.display(), out.display());
    command.env(ARGUMENTS, arguments).env(STEPS, steps);
    command
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

// ---- Killing ------------------------------------------------------------------------------------------------------

/// Starts a command, kills it (SIGKILL) as soon as `now` holds, and tells whether it was still running. What it said on
/// standard error goes to `said`.
fn kill_when(command: &mut Command, said: &Path, mut now: impl FnMut() -> bool) -> bool {
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
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

/// At every moment, the checkpoint that counts is whole.
#[track_caller]
fn assert_whole(folder: &Path) {
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
fn current(out: &Path) -> u64 {
    let name = fs::read_to_string(out.join("checkpoint/current")).unwrap_or_default();
    name.trim().split('-').next().unwrap_or_default().parse().unwrap_or(0)
}

/// Names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The folder of a checkpoint that is being written, or was when the program died.
fn unfinished_checkpoint(folder: &Path) -> Option<PathBuf> {
    let current = fs::read_to_string(folder.join("current")).unwrap_or_default();
    names(folder)
        .into_iter()
        .find(|name| !name.starts_with("current") && *name != current)
        .map(|name| folder.join(name))
}

#[test]
fn killed_at_ten_random_moments_a_run_ends_in_the_same_bits() {
    const KILLS: u64 = 10;
    let place = Place::new();
    let file = place.file("counted.toml", &experiment("counted_noise", 8, ""));
    let (whole, broken) = (place.path("whole"), place.path("broken"));
    let (steps_of_whole, steps_of_broken) = (place.path("steps-whole"), place.path("steps-broken"));
    succeed(&mut counting(&steps_of_whole, &file, &whole, ""));
    let total = length(&steps_of_whole);
    assert_eq!(result(&whole)["steps"], total);
    assert!(total >= 150, "{total} steps are too few to kill a run ten times");

    let mut kills = 0;
    let mut from = 0;
    while kills < KILLS {
        // A random number of steps of this process and a random moment after them, so that all ten find it alive.
        let before = length(&steps_of_broken);
        let wanted = before + u64::from(random("kill after", kills, (total / KILLS) as u32));
        let wait = Duration::from_micros(u64::from(random("kill wait", kills, 20_000)));
        let said = place.path(&format!("said-{kills}"));
        let alive = kill_when(&mut counting(&steps_of_broken, &file, &broken, "\n--resume"), &said, || {
            let now = length(&steps_of_broken) > wanted;
            if now {
                std::thread::sleep(wait);
            }
            now
        });
        assert!(alive, "the run was over before it was killed {KILLS} times");
        assert_goes_on(&said, from, total / 8);
        assert_whole(&broken.join("checkpoint"));
        let now = current(&broken);
        assert!(now >= from && now.is_multiple_of(EVERY), "the checkpoint went from {from} to {now}");
        println!(
            "killed in step {} of this process, which began at {from}; checkpoint at {now}",
            length(&steps_of_broken) - before
        );
        from = now;
        kills += 1;
    }
    let said = place.path("said-last");
    let mut last = counting(&steps_of_broken, &file, &broken, "\n--resume");
    succeed(last.stderr(Stdio::from(File::create(&said).unwrap())));
    assert_goes_on(&said, from, total / 8);

    assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0]);
    let epochs: Vec<_> = log(&broken, "metrics.jsonl").iter().map(|line| line["epoch"].clone()).collect();
    assert_eq!(epochs, (1..=8).collect::<Vec<u64>>(), "each epoch stands once in the log");
    let executed = length(&steps_of_broken);
    println!("{executed} steps in {} processes instead of {total}", KILLS + 1);
    assert!(executed >= total && executed <= total + KILLS * EVERY, "{executed} steps instead of {total}");
}

/// A process that goes on says from where: the last checkpoint.
#[track_caller]
fn assert_goes_on(said: &Path, from: u64, steps_per_epoch: u64) {
    let said = fs::read_to_string(said).unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("goes on after epoch "));
    let at = line.map_or(0, |line| {
        let (epoch, step) = line.split_once(", step ").unwrap();
        epoch.parse::<u64>().unwrap() * steps_per_epoch + step.parse::<u64>().unwrap()
    });
    assert_eq!(at, from, "{said}");
}

/// Moments that random kills seldom meet, one after another in one run: the writing of a checkpoint, the evaluation after
/// an epoch, the second training of a refit, the writing of the results.
#[test]
fn killed_while_it_writes_or_evaluates_a_run_ends_in_the_same_bits() {
    let place = Place::new();
    // Refit, so that there are two trainings; 28 steps an epoch, so that an epoch ends with a checkpoint.
    let file =
        place.file("aimed.toml", &experiment("embedding_noise", 5, "refit = true\nselect_by = 'ndcg@10'"));
    let (whole, broken) = (place.path("whole"), place.path("broken"));
    succeed(place.run(&file, "whole").args(["--quiet", "--threads", "1"]));
    let steps = result(&whole)["steps"].as_u64().unwrap();
    assert_eq!((steps % 5, steps / 5 % EVERY), (0, 0), "{steps} steps");

    let checkpoint = broken.join("checkpoint");
    let refit = broken.join("checkpoint-refit");
    let first_temporary = || names(&broken).iter().any(|name| name.ends_with(".tmp"));
    let writes = |file: &'static str, folder: &PathBuf| {
        let folder = folder.clone();
        move || unfinished_checkpoint(&folder).is_some_and(|unfinished| unfinished.join(file).exists())
    };
    let evaluates = || {
        let at = current(&broken);
        at > 0 && at.is_multiple_of(steps / 5) && log_lines(&broken) as u64 == at / (steps / 5) - 1
    };
    let moments: Vec<(&str, Box<dyn FnMut() -> bool + '_>)> = vec![
        ("the folder is made", Box::new(first_temporary)),
        ("a checkpoint is begun", Box::new(|| unfinished_checkpoint(&checkpoint).is_some())),
        ("parameters are written", Box::new(writes("model.mpk", &checkpoint))),
        ("optimizer states are written", Box::new(writes("optimizer.mpk", &checkpoint))),
        ("an epoch is evaluated", Box::new(evaluates)),
        ("the best parameters are written", Box::new(writes("best.mpk", &checkpoint))),
        ("the state is written", Box::new(writes("state.json.tmp", &checkpoint))),
        ("another epoch is evaluated", Box::new(evaluates)),
        (
            "the last checkpoint of the first training is written",
            Box::new(|| current(&broken) == steps && unfinished_checkpoint(&checkpoint).is_some()),
        ),
        ("the second training has begun", Box::new(|| refit.exists())),
        ("a checkpoint of the second training is written", Box::new(writes("model.mpk", &refit))),
        ("results are written", Box::new(|| broken.join("topk.tsv.tmp").exists())),
        ("embeddings are written", Box::new(|| broken.join("embeddings.safetensors.tmp").exists())),
        ("the last file is written", Box::new(|| broken.join("result.json.tmp").exists())),
    ];
    let mut met = 0;
    for (moment, now) in moments {
        let said = place.path("said");
        if broken.join("result.json").exists() {
            break;
        }
        let killed = kill_when(place.run(&file, "broken").args(["--resume", "--threads", "1"]), &said, now);
        met += usize::from(killed);
        [&checkpoint, &refit].into_iter().for_each(|folder| assert_whole(folder));
        println!("{}: {moment}", if killed { "killed as" } else { "not killed, too late for" });
    }
    assert!(met >= 5, "only {met} kills met the run alive");
    if !broken.join("result.json").exists() {
        succeed(place.run(&file, "broken").args(["--resume", "--threads", "1"]));
    }
    assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0]);
}

// ---- What a kill may leave behind, made by hand --------------------------------------------------------------------

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

#[test]
fn patience_survives_a_kill() {
    let place = Place::new();
    let text = experiment("embedding_noise", 60, "patience = 3").replace("lr = 0.02", "lr = 0.2");
    let file = place.file("experiment.toml", &text);
    succeed(place.run(&file, "whole").args(["--quiet", "--threads", "1"]));
    let (whole, broken) = (place.path("whole"), place.path("broken"));
    let epochs = log(&whole, "metrics.jsonl").len();
    let best = result(&whole)["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(epochs, best + 3, "patience ran out");
    assert!(epochs < 60);
    // After each of the evaluations that were not better, and one step further on.
    for lines in [best + 1, best + 2] {
        let mut run = place.run(&file, "broken");
        let killed = kill_when(run.args(["--resume", "--threads", "1"]), &place.path("said"), || {
            log_lines(&broken) >= lines && current(&broken) as usize > lines * 28
        });
        assert!(killed, "the run was over before it could be killed after epoch {lines}");
    }
    succeed(place.run(&file, "broken").args(["--quiet", "--resume", "--threads", "1"]));
    assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0]);
}

/// Whole lines in the log; it may be in the making.
fn log_lines(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default().matches('\n').count()
}
