//! Published data sets against their published figures. Skipped unless `CL_DATA` names the folder that holds them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::PathBuf;

use cl_data::{
    DataConfig, Duplicates, FilesSplit, Format, GlobalTime, Interactions, LeaveOneOut, RatioSplit, Source,
    Stats, load,
};

fn whole(path: &str, format: Format, duplicates: Duplicates) -> Option<Source> {
    let Some(root) = std::env::var_os("CL_DATA").map(PathBuf::from) else {
        println!("skipped: CL_DATA is not set");
        return None;
    };
    if !root.join(path).exists() {
        println!("skipped: {} is not there", root.join(path).display());
        return None;
    }
    let config = DataConfig { path: Some(path.into()), format, duplicates, ..DataConfig::default() };
    let start = std::time::Instant::now();
    let loaded = load(&config, &root, 1).unwrap();
    println!("{path}: {} in {:.3} s", loaded.report, start.elapsed().as_secs_f64());
    assert_eq!(loaded.report.kept, loaded.report.read);
    Some(loaded.source)
}

struct Graph {
    users: usize,
    items: usize,
    train: usize,
    test: usize,
    /// min, median, mean, max
    user_degree: [f64; 4],
    item_degree: [f64; 4],
    item_gini: f64,
    test_users: usize,
    unseen: (usize, usize),
}

fn check_graph(path: &str, expected: &Graph) {
    let Some(source) = whole(path, Format::Lightgcn, Duplicates::Error) else { return };
    let split = FilesSplit { validation: 0.0, ..FilesSplit::default() }.split(&source, 1).unwrap();
    let Source::Parts { train, .. } = &source else { panic!("{path} has train and test files") };
    let stats = Stats::of(train);
    println!("{stats}");
    assert_eq!(
        (stats.users, stats.items, stats.interactions),
        (expected.users, expected.items, expected.train)
    );
    assert_eq!(split.test.len(), expected.test);
    let degrees = |q: cl_data::Quantiles| [q.min, q.median, (q.mean * 100.0).round() / 100.0, q.max];
    assert_eq!(degrees(stats.user_degree), expected.user_degree);
    assert_eq!(degrees(stats.item_degree), expected.item_degree);
    assert_eq!((stats.item_gini * 1000.0).round() / 1000.0, expected.item_gini);
    assert_eq!(
        (0..split.users.len()).filter(|&user| !split.test.of(user).is_empty()).count(),
        expected.test_users
    );
    assert_eq!((split.unseen_users, split.unseen_items), expected.unseen);

    let start = std::time::Instant::now();
    let cut = FilesSplit::default().split(&source, 2024).unwrap();
    println!("validation {} in {:.3} s", cut.validation.len(), start.elapsed().as_secs_f64());
    assert_eq!(cut.train.len() + cut.validation.len(), expected.train);
    let share = cut.validation.len() as f64 / expected.train as f64;
    assert!((0.09..0.11).contains(&share), "validation is {share} of the training pairs");
}

#[test]
fn yelp2018() {
    check_graph(
        "graph/yelp2018",
        &Graph {
            users: 31_668,
            items: 38_048,
            train: 1_237_259,
            test: 324_147,
            user_degree: [16.0, 25.0, 39.07, 1848.0],
            item_degree: [1.0, 17.0, 32.52, 1258.0],
            item_gini: 0.532,
            test_users: 31_668,
            unseen: (0, 0),
        },
    );
}

#[test]
fn gowalla() {
    check_graph(
        "graph/gowalla",
        &Graph {
            users: 29_858,
            items: 40_981,
            train: 810_128,
            test: 217_242,
            user_degree: [8.0, 16.0, 27.13, 811.0],
            item_degree: [1.0, 12.0, 19.77, 1415.0],
            item_gini: 0.441,
            test_users: 29_858,
            unseen: (0, 0),
        },
    );
}

#[test]
fn movielens_1m_graph() {
    check_graph(
        "graph/ml-1m",
        &Graph {
            users: 6_022,
            items: 3_043,
            train: 796_244,
            test: 99_455,
            user_degree: [16.0, 76.0, 132.22, 1720.0],
            item_degree: [15.0, 143.0, 261.66, 2785.0],
            item_gini: 0.562,
            test_users: 6_022,
            unseen: (0, 0),
        },
    );
}

#[test]
fn lastfm() {
    // Two users are in the test file only, so the least user degree is 0 and the mean 42,135 / 1,880 = 22.41
    // (22.44 over the 1,878 users with a training line). Items count likewise: 13 are in the test file only.
    check_graph(
        "graph/lastfm",
        &Graph {
            users: 1_880,
            items: 4_489,
            train: 42_135,
            test: 10_533,
            user_degree: [0.0, 23.0, 22.41, 39.0],
            item_degree: [0.0, 5.0, 9.39, 83.0],
            item_gini: 0.544,
            test_users: 1_858,
            unseen: (2, 13),
        },
    );
}

/// users, items, events, events of a user (min, median, max), test and validation targets that no training part has
fn check_sequences(path: &str, sizes: [usize; 3], lengths: [f64; 3], unseen: [usize; 2], revisits: usize) {
    let Some(source) = whole(path, Format::Sequence, Duplicates::KeepAll) else { return };
    let Source::Whole(data) = &source else { panic!("{path} is one file") };
    let stats = Stats::of(data);
    assert_eq!([stats.users, stats.items, stats.interactions], sizes);
    let degree = stats.user_degree;
    assert_eq!([degree.min, degree.median, degree.max], lengths);
    let split = LeaveOneOut::default().split(&source, 1).unwrap();
    let sequences = data.sequences();
    let trained = split.train.item_counts(sizes[1]);
    let without_training = |from_end: usize| {
        let target = |user: usize| sequences.of(user)[sequences.of(user).len() - from_end];
        (0..sizes[0]).filter(|&user| trained[target(user) as usize] == 0).count()
    };
    assert_eq!([without_training(1), without_training(2)], unseen);
    let note = split.notes.iter().find(|note| note.contains("in their own history"));
    let expected = format!("{revisits} users have their test item in their own history already");
    match note {
        Some(note) => assert!(note.starts_with(&expected), "{note}"),
        None => assert_eq!(revisits, 0),
    }
    assert_eq!((split.test.len(), split.validation.len()), (sizes[0], sizes[0]));
}

#[test]
fn sequence_sets() {
    check_sequences("seq/Beauty.txt", [22_363, 12_101, 198_502], [5.0, 6.0, 204.0], [138, 51], 0);
    check_sequences(
        "seq/Sports_and_Outdoors.txt",
        [35_598, 18_357, 296_337],
        [5.0, 6.0, 296.0],
        [317, 118],
        0,
    );
    check_sequences("seq/Yelp.txt", [30_431, 20_033, 316_354], [5.0, 7.0, 350.0], [73, 27], 2_027);
    check_sequences("seq/LastFM.txt", [1_090, 3_646, 52_551], [5.0, 19.0, 899.0], [2, 3], 0);
}

#[test]
fn movielens_100k() {
    let Some(source) = whole("ml-100k", Format::Atomic, Duplicates::Error) else { return };
    let Source::Whole(data) = &source else { panic!("ml-100k is one file") };
    assert_eq!((data.users.len(), data.items.len(), data.len()), (943, 1_682, 100_000));
    let count = |rating: f32| data.rating.as_ref().unwrap().iter().filter(|&&other| other == rating).count();
    assert_eq!([1.0, 2.0, 3.0, 4.0, 5.0].map(count), [6_110, 11_370, 27_145, 34_174, 21_201]);
    let time = data.time.as_ref().unwrap();
    assert_eq!((time.iter().min(), time.iter().max()), (Some(&874_724_710), Some(&893_286_638)));

    let split = GlobalTime::default().split(&source, 1).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (70_000, 10_000, 20_000));
    let latest = |pairs: &cl_data::UserItems, data: &Interactions, newest: bool| {
        let inside = (0..data.len()).filter(|&at| pairs.contains(data.user[at] as usize, data.item[at]));
        let times = inside.map(|at| time[at]);
        if newest { times.max() } else { times.min() }
    };
    assert!(latest(&split.train, data, true) <= latest(&split.validation, data, false));
    assert!(latest(&split.validation, data, true) <= latest(&split.test, data, false));
    let ratio = RatioSplit::default().split(&source, 1).unwrap();
    assert_eq!(
        (ratio.unseen_users, ratio.train.len() + ratio.validation.len() + ratio.test.len()),
        (0, 100_000)
    );
}
