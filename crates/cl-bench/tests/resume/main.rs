//! A killed run goes on to the same bits, whenever it was killed.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod counting;
mod debris;
mod killing;
mod sequences;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use common::{Place, differences, heavy_data, log, random, repository, result, succeed, traces};
use counting::{counting, length};
use killing::{assert_whole, current, kill_when, log_lines, names, unfinished_checkpoint};

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

/// Runs an experiment whose views count the steps twice: unbroken, and killed at ten random moments.
fn killed_at_ten_random_moments(file: &Path, more: &[String]) {
    const KILLS: u64 = 10;
    let place = Place::new();
    let [whole, broken, steps_of_whole, steps_of_broken] =
        ["whole", "broken", "steps-whole", "steps-broken"].map(|name| place.path(name));
    succeed(&mut counting(&steps_of_whole, file, &whole, more));
    let total = length(&steps_of_whole);
    assert_eq!(result(&whole)["steps"], total);
    assert!(total >= 140, "{total} steps are too few to kill a run ten times");
    let epochs = log(&whole, "metrics.jsonl").len() as u64;
    let resume = || counting(&steps_of_broken, file, &broken, &[more, &["--resume".into()]].concat());

    let mut from = 0;
    for kill in 0..KILLS {
        // A random number of steps of this process and a random moment after them, so that all ten find it alive.
        let before = length(&steps_of_broken);
        let wanted = before + u64::from(random("kill after", kill, (total / KILLS) as u32));
        let wait = Duration::from_micros(u64::from(random("kill wait", kill, 4_000)));
        let said = place.path(&format!("said-{kill}"));
        let alive = kill_when(&mut resume(), &said, || {
            let now = length(&steps_of_broken) > wanted;
            if now {
                std::thread::sleep(wait);
            }
            now
        });
        assert!(alive, "the run was over before it was killed {KILLS} times");
        assert_goes_on(&said, from, total / epochs);
        assert_whole(&broken.join("checkpoint"));
        let now = current(&broken);
        assert!(now >= from && now.is_multiple_of(EVERY), "the checkpoint went from {from} to {now}");
        let step = length(&steps_of_broken) - before;
        println!("killed in step {step} of a process that began at step {from}; checkpoint at {now}");
        from = now;
    }
    let said = place.path("said-last");
    succeed(resume().stderr(Stdio::from(File::create(&said).unwrap())));
    assert_goes_on(&said, from, total / epochs);

    assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0]);
    let logged: Vec<_> = log(&broken, "metrics.jsonl").iter().map(|line| line["epoch"].clone()).collect();
    assert_eq!(logged, (1..=epochs).collect::<Vec<u64>>(), "each epoch stands once in the log");
    let executed = length(&steps_of_broken);
    println!("{executed} steps in {} processes instead of {total}", KILLS + 1);
    assert!(executed >= total && executed <= total + KILLS * EVERY, "{executed} steps instead of {total}");
}

#[test]
fn killed_at_ten_random_moments_a_run_ends_in_the_same_bits() {
    let place = Place::new();
    let file = place.file("counted.toml", &experiment("counted_noise", 16, ""));
    killed_at_ten_random_moments(&file, &[]);
}

/// Keys of a momentum copy in a queue that every few batches fill.
const QUEUE: &str = "[negatives]\ntype = 'queue'\nsize = 300\nmomentum = 0.9\n";

#[test]
fn killed_at_ten_random_moments_a_queue_and_its_encoder_go_on() {
    let place = Place::new();
    let file = place.file("counted.toml", &experiment("counted_noise", 16, QUEUE));
    killed_at_ten_random_moments(&file, &[]);
}

#[test]
fn killed_at_ten_random_moments_on_lastfm() {
    let Some(data) = heavy_data("killed_at_ten_random_moments_on_lastfm") else { return };
    let views = "views={ type = 'counted_noise' }";
    let every = format!("train.checkpoint_every={EVERY}");
    let data = data.display().to_string();
    let more = ["--data", &data, "--set", views, "--set", "train.epochs=8", "--set", &every];
    let file = repository().join("experiments/quick/simgcl-lastfm.toml");
    killed_at_ten_random_moments(&file, &more.map(String::from));
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
    let file = place.file(
        "aimed.toml",
        &experiment("embedding_noise", 5, &format!("refit = true\nselect_by = 'ndcg@10'\n{QUEUE}")),
    );
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
    type Moment<'a> = (&'a str, Box<dyn FnMut() -> bool + 'a>);
    let moments: Vec<Moment<'_>> = vec![
        ("the folder is made", Box::new(first_temporary)),
        ("a checkpoint is begun", Box::new(|| unfinished_checkpoint(&checkpoint).is_some())),
        ("parameters are written", Box::new(writes("model.mpk", &checkpoint))),
        ("optimizer states are written", Box::new(writes("optimizer.mpk", &checkpoint))),
        ("an epoch is evaluated", Box::new(evaluates)),
        ("the best parameters are written", Box::new(writes("best.mpk", &checkpoint))),
        ("the copy of the model is written", Box::new(writes("key_encoder.mpk", &checkpoint))),
        ("what negatives remember is written", Box::new(writes("negatives.safetensors", &checkpoint))),
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
        let killed = kill_when(place.run(&file, "broken").args(["--resume", "--threads", "1"]), &said, now);
        met += usize::from(killed);
        [&checkpoint, &refit].into_iter().for_each(|folder| assert_whole(folder));
        println!("{}: {moment}", if killed { "killed as" } else { "not killed, too late for" });
        if !killed {
            // The moment was too short to be seen, and the run is over: its end is looked at, and the next one begins.
            assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0], "{moment}");
            fs::remove_dir_all(&broken).unwrap();
        }
    }
    assert!(met >= 5, "only {met} kills met the run alive");
    if !broken.join("result.json").exists() {
        succeed(place.run(&file, "broken").args(["--resume", "--threads", "1"]));
    }
    assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0]);
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
