//! Sequence encoders that were killed: their dropout, their views, their negatives and Adam's moments go on to the same bits.

use crate::EVERY;
use crate::common::{Place, differences, result, succeed, traces};
use crate::killing::{assert_whole, current, kill_when};

/// Experiments of a few epochs of about 19 steps, with dropout, Adam and a contrast.
fn experiments() -> [(&'static str, String); 5] {
    let with = |name: &str, slots: &str| {
        format!(
            "name = '{name}'\n[data]\nsynthetic = {{ users = 600, items = 400, interactions = 7200 }}\n\
             [split]\ntype = 'leave_one_out'\n{slots}\n[contrast]\ntype = 'nt_xent'\n\
             [optimizer]\ntype = 'adam'\nlr = 0.01\n[evaluate]\nslices = []\n\
             [train]\nepochs = 4\nbatch_size = 32\ncheckpoint_every = {EVERY}\n"
        )
    };
    [
        (
            "cl4srec",
            with(
                "cl4srec",
                "[encoder]\ntype = 'sas_rec'\ndim = 16\ndropout = 0.4\n[objective]\ntype = 'bce'\n\
                 [views]\ntype = 'one_of'",
            ) + "similar_lengths = true\n",
        ),
        (
            "duorec",
            with(
                "duorec",
                "[encoder]\ntype = 'gru4rec'\ndim = 16\nhidden = 16\ndropout = 0.4\n\
                 [objective]\ntype = 'sampled_softmax'\nnegatives_per_positive = 8\nsampling = 'popularity'\n\
                 [views]\ntype = 'same_target'",
            ),
        ),
        (
            "bert4rec",
            with(
                "bert4rec",
                "[encoder]\ntype = 'bert4rec'\ndim = 16\ndropout = 0.4\n[objective]\ntype = 'cross_entropy'\n\
                 [views]\ntype = 'insert'",
            ) + "mask_last = 0.2\n",
        ),
        // Keys of both directions from a copy that follows ever more slowly, some of them too old.
        (
            "moco",
            with(
                "moco",
                "[encoder]\ntype = 'sas_rec'\ndim = 16\ndropout = 0.4\n[objective]\ntype = 'bce'\n\
                 [views]\ntype = 'one_of'\n[projection]\ntype = 'mlp'\ndim = 16\n[negatives]\ntype = 'queue'\nsize = 100\n\
                 max_age = 2\nmomentum = { from = 0.5, to = 1.0, over = 4, shape = 'cosine' }",
            )
            .replace("'nt_xent'", "'info_nce'\nsymmetric = true"),
        ),
        (
            "memory",
            with(
                "memory",
                "[encoder]\ntype = 'gru4rec'\ndim = 16\nhidden = 16\ndropout = 0.4\n[objective]\ntype = 'bce'\n\
                 [views]\ntype = 'crop'\n[negatives]\ntype = 'cross_batch_memory'\nsize = 70",
            )
            .replace("'nt_xent'", "'hard_negative'"),
        ),
    ]
}

#[test]
fn killed_runs_on_sequences_end_in_the_same_bits() {
    for (name, text) in experiments() {
        let place = Place::new();
        let file = place.file("sequences.toml", &text);
        succeed(place.run(&file, "whole").args(["--quiet", "--threads", "1"]));
        let (whole, broken) = (place.path("whole"), place.path("broken"));
        let steps = result(&whole)["steps"].as_u64().unwrap();
        assert!(steps >= 70, "{name} has {steps} steps");
        // Each process goes at least one checkpoint further: within the first epoch, in the second, in the third.
        for wanted in [EVERY, steps / 3, steps / 2] {
            let mut run = place.run(&file, "broken");
            let run = run.args(["--resume", "--threads", "1"]);
            let killed = kill_when(run, &place.path("said"), || current(&broken) >= wanted);
            assert!(killed, "{name} was over before it could be killed after {wanted} steps");
            assert_whole(&broken.join("checkpoint"));
        }
        succeed(place.run(&file, "broken").args(["--quiet", "--resume", "--threads", "1"]));
        assert_eq!(differences(&traces(&whole), &traces(&broken)), [] as [&str; 0], "{name}");
    }
}
