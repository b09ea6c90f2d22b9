//! Experiments that together use every component and every key.

use std::path::PathBuf;

use crate::common::{Place, random};

/// So few interactions an item that some items have none in the training part.
const SYNTHETIC: &str = "[data]
synthetic = { users = 120, items = 300, interactions = 1500 }
";
/// Users who stay so long that some were there before the newest interactions began.
const LONG: &str = "[data]
synthetic = { users = 40, items = 300, interactions = 5000 }
";
const TRAIN: &str = "[train]\nepochs = 5\nbatch_size = 300\n";

/// A small encoder of sequences.
const SEQUENCES: &str = "[encoder]
type = 'sas_rec'
dim = 8
heads = 2
max_length = 8
";

/// Experiments that together use every component and every key.
pub(crate) fn experiments(place: &Place) -> Vec<(&'static str, PathBuf)> {
    files(place);
    plain(place);
    let texts = [
        (
            "sgl",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'light_gcn'\ndim = 8\nlayers = 2\n\
                 [objective]\nl2 = 1e-2\n[views]\ntype = 'edge_dropout'\n[contrast]\ntype = 'info_nce'\nunique = false\n\
                 temperature = {{ from = 0.5, to = 0.1, over = 3.0, shape = 'cosine' }}\n\
                 [optimizer]\nlr = 0.05\nweight_decay = 1e-3\n\
                 [evaluate]\nslices = ['user_degree', 'item_popularity', 'item_deciles', 'history_length']\n{TRAIN}"
            ),
        ),
        (
            "walks",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\nby = 'global'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [objective]\ntype = 'alignment_uniformity'\nl2 = 1e-2\n[views]\ntype = 'random_walk'\nmode = 'walk'\n\
                 length = 2\n[contrast]\ntype = 'nt_xent'\nunique = false\n[projection]\ntype = 'linear'\ndim = 8\n\
                 [optimizer]\ntype = 'adam_w'\nlr = 0.01\n{TRAIN}"
            ),
        ),
        (
            "layers",
            format!(
                "{LONG}[split]\ntype = 'global_time'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [objective]\ntype = 'none'\nl2 = 1e-2\n[views]\ntype = 'random_walk'\n[contrast]\ntype = 'info_nce'\n\
                 [negatives]\ntype = 'all_nodes'\n[projection]\ntype = 'mlp'\ndim = 8\nhidden = 8\n\
                 [optimizer]\ntype = 'sgd'\nlr = 0.5\nmomentum = 0.5\nweight_decay = 1e-3\n{TRAIN}"
            ),
        ),
        (
            "nodes",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [views]\ntype = 'node_dropout'\n[contrast]\ntype = 'alignment_uniformity'\nunique = false\n{TRAIN}"
            ),
        ),
        (
            "mf",
            format!(
                "[data]\npath = 'one'\n[split]\ntype = 'files'\n[encoder]\ntype = 'matrix_factorization'\ndim = 8\n\
                 [views]\ntype = 'embedding_noise'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        (
            "csv",
            format!(
                "[data]\npath = 'one.csv'\nformat = 'csv'\nseparator = ';'\nmin_rating = 2.0\n\
                 columns = {{ rating = 'rating', time = 'time' }}\nk_core = {{ user = 4, item = 4 }}\n\
                 [split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [views]\ntype = 'cross_layer'\n[contrast]\ntype = 'info_nce'\n{TRAIN}select = 'last'\n"
            ),
        ),
        // Its first line names two columns `1` and `2`, and is two ids where it is data.
        (
            "plain",
            "[data]\npath = 'plain.csv'\nformat = 'csv'\nheader = false\n\
             columns = { user = '1', item = '2', rating = '3', time = '4' }\n\
             [split]\ntype = 'ratio'\n[encoder]\ntype = 'popularity'\n"
                .to_string(),
        ),
        (
            "simgcl",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [views]\ntype = 'embedding_noise'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        (
            "bce",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [objective]\ntype = 'bce'\nl2 = 1e-2\n{TRAIN}"
            ),
        ),
        (
            "softmax",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n\
                 [objective]\ntype = 'cross_entropy'\nl2 = 1e-2\n{TRAIN}"
            ),
        ),
        (
            "menu",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n{SEQUENCES}[objective]\ntype = 'bpr'\nl2 = 1e-2\n\
                 [views]\ntype = 'one_of'\nshort = 6\nof_short = [{{ type = 'substitute' }}, {{ type = 'insert' }}]\n\
                 [contrast]\ntype = 'nt_xent'\n{TRAIN}"
            ),
        ),
        (
            "crop",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n{SEQUENCES}pooling = 'mean'\n[objective]\ntype = 'bce'\n\
                 l2 = 1e-2\n[views]\ntype = 'crop'\n[contrast]\ntype = 'info_nce'\n{TRAIN}sampler = 'prefixes'\n"
            ),
        ),
        (
            "mask",
            format!(
                "{LONG}[split]\ntype = 'global_time'\n{SEQUENCES}norm = 'post'\n[objective]\n\
                 type = 'cross_entropy'\nl2 = 1e-2\n[views]\ntype = 'mask'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        (
            "reorder",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n{SEQUENCES}norm = 'pre'\n[objective]\n\
                 type = 'alignment_uniformity'\nl2 = 1e-2\n[views]\ntype = 'reorder'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        (
            "recurrent",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'gru4rec'\ndim = 8\nhidden = 8\n\
                 max_length = 8\n[objective]\ntype = 'gbce'\nl2 = 1e-2\nnegatives_per_positive = 4\n\
                 [views]\ntype = 'crop'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        (
            "sampled",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n{SEQUENCES}tie_items = false\n[objective]\n\
                 type = 'sampled_softmax'\nl2 = 1e-2\nnegatives_per_positive = 4\n{TRAIN}"
            ),
        ),
        (
            "masked",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'bert4rec'\ndim = 8\nheads = 2\n\
                 max_length = 8\n[objective]\ntype = 'sampled_softmax'\nl2 = 1e-2\nnegatives_per_positive = 4\n\
                 sampling = 'popularity'\n[views]\ntype = 'crop'\n[contrast]\ntype = 'info_nce'\n{TRAIN}\
                 mask_last = 0.3\n"
            ),
        ),
        (
            "substitute",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n{SEQUENCES}[objective]\ntype = 'bce'\n\
                 [views]\ntype = 'substitute'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        (
            "insert",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n{SEQUENCES}[objective]\ntype = 'bce'\n\
                 [views]\ntype = 'insert'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        (
            "target",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n{SEQUENCES}[objective]\ntype = 'cross_entropy'\n\
                 positions = 'last'\n[views]\ntype = 'same_target'\n[contrast]\ntype = 'nt_xent'\n{TRAIN}\
                 sampler = 'prefixes'\n"
            ),
        ),
        (
            "dropout",
            format!(
                "{SYNTHETIC}[split]\ntype = 'leave_one_out'\n{SEQUENCES}[objective]\ntype = 'none'\nl2 = 1e-2\n\
                 [views]\ntype = 'model_dropout'\n[contrast]\ntype = 'info_nce'\n{TRAIN}"
            ),
        ),
        // A batch has some hundred users: two batches do not fit, and the keys of the one before are too old.
        (
            "queue",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n[views]\n\
                 type = 'edge_dropout'\n[contrast]\ntype = 'info_nce'\nsides = 'user'\n[negatives]\ntype = 'queue'\n\
                 size = 130\nmomentum = 0.9\nmax_age = 1\n{TRAIN}"
            ),
        ),
        (
            "memory",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n[views]\n\
                 type = 'cross_layer'\n[contrast]\ntype = 'decoupled'\n[negatives]\n\
                 type = 'cross_batch_memory'\nsize = 130\nenqueue = 'after'\nmax_age = 1\n{TRAIN}"
            ),
        ),
        (
            "debiased",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\n[views]\n\
                 type = 'embedding_noise'\n[contrast]\ntype = 'debiased'\nunique = false\n{TRAIN}"
            ),
        ),
        (
            "hard",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'matrix_factorization'\ndim = 8\n[views]\n\
                 type = 'embedding_noise'\n[contrast]\ntype = 'hard_negative'\nunique = false\n[negatives]\ntype = 'queue'\n\
                 size = 64\n{TRAIN}"
            ),
        ),
        (
            "few",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'popularity'\n\
                 [evaluate]\nsampled = {{ negatives = 9 }}\n"
            ),
        ),
        (
            "listed",
            "[data]\npath = 'one'\n[split]\ntype = 'files'\n[encoder]\ntype = 'popularity'\n[evaluate]\n\
             sampled = { file = 'sample.txt' }\n"
                .to_string(),
        ),
        ("popularity", format!("{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'popularity'\n")),
        (
            "neighbours",
            format!(
                "{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'item_knn'\nneighbours = 9\nshrink = 2.0\n"
            ),
        ),
        (
            "ease",
            format!("{SYNTHETIC}[split]\ntype = 'ratio'\n[encoder]\ntype = 'ease'\nregularization = 50.0\n"),
        ),
    ];
    texts
        .into_iter()
        .map(|(name, text)| (name, place.file(&format!("{name}.toml"), &format!("name = '{name}'\n{text}"))))
        .collect()
}

/// A table of numbers whose first line can be read as names.
fn plain(place: &Place) {
    let mut csv = String::from("1,2,3,4\n");
    for line in 0..900 {
        let fields = [("user", 70), ("item", 50), ("rating", 5), ("time", 999)]
            .map(|(column, below)| random(&format!("plain {column}"), line, below).to_string());
        csv.push_str(&format!("{}\n", fields.join(",")));
    }
    place.file("plain.csv", &csv);
}

/// Two files of items that users have not, for each user of the parts.
fn samples(place: &Place, train: &str, test: &str) {
    for (file, rest) in [("sample.txt", 0), ("other_sample.txt", 1)] {
        let mut text = String::new();
        for (train, test) in train.lines().zip(test.lines()) {
            let has: Vec<&str> = train.split(' ').chain(test.split(' ')).skip(1).collect();
            let others =
                (0..60).map(|item: u32| item.to_string()).filter(|item| !has.contains(&item.as_str()));
            let some: Vec<String> =
                others.enumerate().filter(|(at, _)| at % 3 == rest).map(|(_, item)| item).collect();
            text.push_str(&format!("{} {}\n", train.split(' ').next().unwrap(), some.join(" ")));
        }
        place.file(file, &text);
    }
}

/// Data folders and files in which every key of `[data]` has something to choose: two folders, each in two formats that
/// hold different pairs; two CSV files that can be read with two separators, with two columns for each use.
fn files(place: &Place) {
    for name in ["one", "other"] {
        for (stream, ending) in [("text", "txt"), ("atomic", "inter")] {
            let [mut train, mut test] = [String::new(), String::new()];
            if ending == "inter" {
                [&mut train, &mut test]
                    .into_iter()
                    .for_each(|text| text.push_str("user_id:token\titem_id:token\n"));
            }
            for user in 0..80_u64 {
                let mut items: Vec<u32> =
                    (0..14).map(|n| random(&format!("{name} {stream}"), user * 14 + n, 60)).collect();
                items.sort_unstable();
                items.dedup();
                // Items 60 and above are in the test part alone.
                let held_out = [items.pop().unwrap(), items.remove(0), 60 + user as u32 % 7];
                for (text, items) in [(&mut train, &items[..]), (&mut test, &held_out[..])] {
                    match ending {
                        "txt" => {
                            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                            text.push_str(&format!("{user} {}\n", items.join(" ")));
                        }
                        _ => items.iter().for_each(|item| text.push_str(&format!("{user}\t{item}\n"))),
                    }
                }
            }
            let prefix = if ending == "inter" { "x." } else { "" };
            if (name, ending) == ("one", "txt") {
                samples(place, &train, &test);
            }
            place.file(&format!("{name}/{prefix}train.{ending}"), &train);
            place.file(&format!("{name}/{prefix}test.{ending}"), &test);
        }
        // Between semicolons stands one table, between commas another.
        let columns = "user;person;item;thing;rating;stars;time;clock";
        let mut csv = format!("{columns};x,{},y\n", columns.replace(';', ","));
        for line in 0..1400 {
            let field =
                |column: &str, below: u32| random(&format!("{name} {column}"), line, below).to_string();
            let fields = |side: &str| {
                [
                    ("user", 70),
                    ("person", 70),
                    ("item", 50),
                    ("thing", 50),
                    ("rating", 5),
                    ("stars", 5),
                    ("time", 999),
                    ("clock", 999),
                ]
                .map(|(column, below)| field(&format!("{side} {column}"), below))
            };
            csv.push_str(&format!("{};x,{},y\n", fields("left").join(";"), fields("right").join(",")));
        }
        place.file(&format!("{name}.csv"), &csv);
    }
}
