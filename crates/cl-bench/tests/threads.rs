//! The same bits, whatever the number of threads.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::{Place, differences, heavy_data, repository, result, succeed, traces};

/// Large enough that one thread does not get all of it: 60 000 stored edges are several pieces of a sparse product.
const DATA: &str = "synthetic = { users = 1500, items = 700, interactions = 45000 }";

/// What each model adds to `[data]` and `[split]`.
const MODELS: [(&str, &str); 14] = [
    ("light_gcn", "[encoder]\ntype = 'light_gcn'\ndim = 16\n"),
    (
        "sgl_ed",
        "[encoder]\ntype = 'light_gcn'\ndim = 16\n[objective]\nreduction = 'sum'\n[views]\ntype = 'edge_dropout'\n\
         [contrast]\ntype = 'info_nce'\nreduction = 'sum'\nunique = false\n[negatives]\ntype = 'all_nodes'\n",
    ),
    (
        "simgcl",
        "[encoder]\ntype = 'light_gcn'\ndim = 16\ninclude_layer_zero = false\n[views]\ntype = 'embedding_noise'\n\
         [contrast]\ntype = 'info_nce'\n[projection]\ntype = 'mlp'\ndim = 16\n",
    ),
    (
        "xsimgcl",
        "[encoder]\ntype = 'light_gcn'\ndim = 16\ninclude_layer_zero = false\n[views]\ntype = 'cross_layer'\n\
         [contrast]\ntype = 'nt_xent'\n[objective]\ntype = 'alignment_uniformity'\n",
    ),
    (
        "cl4srec",
        "[encoder]\ntype = 'sas_rec'\ndim = 16\nheads = 2\nnorm = 'post'\n[objective]\ntype = 'cross_entropy'\n\
         positions = 'last'\n[contrast]\ntype = 'nt_xent'\n[views]\ntype = 'one_of'\nwith_replacement = false\n\
         [train]\nsampler = 'prefixes'\nsimilar_lengths = true\n",
    ),
    (
        "gru4rec",
        "[encoder]\ntype = 'gru4rec'\ndim = 40\nhidden = 24\n[objective]\ntype = 'gbce'\nnegatives_per_positive = 8\n\
         [contrast]\ntype = 'nt_xent'\n[views]\ntype = 'one_of'\n",
    ),
    (
        "bert4rec",
        "[encoder]\ntype = 'bert4rec'\ndim = 16\n[objective]\ntype = 'cross_entropy'\n[contrast]\ntype = 'nt_xent'\n\
         [views]\ntype = 'one_of'\n",
    ),
    (
        "coserec",
        "[encoder]\ntype = 'sas_rec'\ndim = 16\n[objective]\ntype = 'bce'\n[contrast]\ntype = 'nt_xent'\n\
         [views]\ntype = 'one_of'\nof = [{ type = 'substitute' }, { type = 'insert' }]\n",
    ),
    (
        "duorec",
        "[encoder]\ntype = 'sas_rec'\ndim = 16\n[objective]\ntype = 'bce'\n[contrast]\ntype = 'nt_xent'\n\
         [views]\ntype = 'same_target'\n",
    ),
    (
        "moco",
        "[encoder]\ntype = 'light_gcn'\ndim = 16\n[views]\ntype = 'edge_dropout'\n[contrast]\ntype = 'hard_negative'\n\
         symmetric = true\n[negatives]\ntype = 'queue'\nsize = 5000\nmomentum = 0.9\nwith_batch = true\n",
    ),
    (
        "memory",
        "[encoder]\ntype = 'sas_rec'\ndim = 16\n[objective]\ntype = 'bce'\n[views]\ntype = 'one_of'\n[contrast]\n\
         type = 'debiased'\n[negatives]\ntype = 'cross_batch_memory'\nsize = 1000\n",
    ),
    ("mf", "[encoder]\ntype = 'matrix_factorization'\ndim = 16\n"),
    ("item_knn", "[encoder]\ntype = 'item_knn'\n"),
    ("ease", "[encoder]\ntype = 'ease'\n"),
];

/// Runs measure their own threads, so only one at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn one_two_and_four_threads_give_the_same_bits() {
    let _alone = ALONE.lock().unwrap();
    let place = Place::new();
    for (name, model) in MODELS {
        let trained = !["item_knn", "ease"].contains(&name);
        // What reads sequences needs a split that keeps their order, and has an instance a user: several batches, which fit
        // no piece of work, of lengths that differ.
        let sequences = ["sas_rec", "gru4rec", "bert4rec"].iter().any(|encoder| model.contains(encoder));
        let (split, batch_size) = if sequences { ("leave_one_out", 200) } else { ("ratio", 2048) };
        let train = format!("train.batch_size={batch_size}");
        let set = if trained { vec!["--set", &train, "--set", "train.epochs=1"] } else { vec![] };
        let text = format!("name = '{name}'\n[data]\n{DATA}\n[split]\ntype = '{split}'\n{model}");
        let file = place.file(&format!("{name}.toml"), &text);
        let [one, two, four] = [1, 2, 4].map(|threads| {
            let out = format!("{name}-{threads}");
            let mut run = place.run(&file, &out);
            succeed(run.args(&set).args(["--quiet", "--max-steps", "6", "--threads", &threads.to_string()]));
            traces(&place.path(&out))
        });
        if trained {
            assert_eq!(result(&place.path(&format!("{name}-1")))["steps"], 6, "{name}");
        }
        assert_eq!(one.contains_key("embeddings.safetensors"), trained, "{name}");
        assert_eq!(differences(&one, &two), [] as [&str; 0], "{name}, 1 and 2 threads");
        assert_eq!(differences(&one, &four), [] as [&str; 0], "{name}, 1 and 4 threads");
    }
}

#[test]
fn lastfm_on_one_two_and_four_threads() {
    let Some(data) = heavy_data("lastfm_on_one_two_and_four_threads") else { return };
    let _alone = ALONE.lock().unwrap();
    let place = Place::new();
    let mut files: Vec<_> = fs::read_dir(repository().join("experiments/quick"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let runs = [1, 2, 4].map(|threads| measured(&place, &file, &data, threads, 60));
        compare(&place, &file, &runs);
    }
}

#[test]
fn fifty_steps_of_yelp2018_use_two_threads() {
    let Some(data) = heavy_data("fifty_steps_of_yelp2018_use_two_threads") else { return };
    let _alone = ALONE.lock().unwrap();
    let place = Place::new();
    let file = repository().join("experiments/papers/xsimgcl-yelp2018.toml");
    let runs = [1, 2, 4].map(|threads| measured(&place, &file, &data, threads, 50));
    compare(&place, &file, &runs);
    let two = &runs[1];
    // Other programs take processor time away, so the wall is no measure on a busy machine: what must hold anywhere is
    // that the work does not lie on one thread.
    assert!(two.cpu / two.busiest > 1.5, "of {} s, one thread did {}", two.cpu, two.busiest);
}

/// How long a run took.
struct Measured {
    threads: usize,
    wall: f64,
    /// Processor seconds of all threads.
    cpu: f64,
    /// Processor seconds of the thread that worked most.
    busiest: f64,
}

fn out(file: &Path, threads: usize) -> String {
    format!("{}-{threads}", file.file_stem().unwrap().display())
}

fn measured(place: &Place, file: &Path, data: &Path, threads: usize, steps: u64) -> Measured {
    let mut run = place.run_on(data, file, &out(file, threads));
    run.args(["--quiet", "--threads", &threads.to_string(), "--max-steps", &steps.to_string()]);
    let started = Instant::now();
    let (cpu, busiest) = watch(&mut run);
    Measured { threads, wall: started.elapsed().as_secs_f64(), cpu, busiest }
}

fn compare(place: &Place, file: &Path, runs: &[Measured; 3]) {
    let first = traces(&place.path(&out(file, 1)));
    for Measured { threads, wall, cpu, busiest } in runs {
        println!(
            "{}, {threads} threads: {wall:.1} s, processor {cpu:.1} s ({:.2} of the wall), busiest thread {busiest:.1} s",
            file.file_name().unwrap().display(),
            cpu / wall,
        );
        let other = traces(&place.path(&out(file, *threads)));
        assert_eq!(differences(&first, &other), [] as [&str; 0], "{} on {threads} threads", file.display());
    }
}

/// Runs a command to its end and tells the processor seconds of all its threads and of the busiest one, as Linux counts
/// them in `/proc` (in hundredths).
fn watch(command: &mut Command) -> (f64, f64) {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let tasks = format!("/proc/{}/task", child.id());
    let mut seconds = std::collections::BTreeMap::new();
    let status = loop {
        for task in fs::read_dir(&tasks).into_iter().flatten().flatten() {
            let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
            // The name in brackets may hold anything; user and system time are fields 14 and 15, counted from 1.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            if let [Ok(user), Ok(system)] = [11, 12].map(|at| fields.get(at).unwrap_or(&"").parse::<f64>()) {
                seconds.insert(task.file_name(), (user + system) / 100.0);
            }
        }
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(status.success(), "{command:?}");
    (seconds.values().sum(), seconds.values().fold(0.0, |most, &one| f64::max(most, one)))
}
