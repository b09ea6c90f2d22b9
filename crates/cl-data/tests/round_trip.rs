//! What is written is read back: every format, any ids, plain and packed.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use cl_data::{
    Columns, Existing, FilesSplit, Format, Ids, Interactions, RatioSplit, Reader, Sequences, Source,
    SyntheticConfig, synthetic, write_atomic, write_csv, write_lightgcn, write_sequence, write_split,
    write_stream,
};
use common::Folder;
use proptest::prelude::*;

/// Interactions whose ids are integers (dense or not) or text, with or without ratings and times.
fn interactions(id: &'static str) -> impl Strategy<Value = Interactions> {
    let name = prop_oneof![
        Just(id.to_string()),
        Just("(0|[1-9][0-9]{0,18})".to_string()),
        Just("[0-9]{1,2}".into())
    ];
    let column = name.prop_flat_map(|pattern| {
        prop::collection::vec(proptest::string::string_regex(&pattern).unwrap(), 1..8)
    });
    let events = prop::collection::vec(
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), -1e9f32..1e9, any::<i64>()),
        1..60,
    );
    (column.clone(), column, events, any::<bool>(), any::<bool>()).prop_map(
        |(users, items, events, rated, timed)| {
            let pick = |names: &[String], at: &prop::sample::Index| names[at.index(names.len())].clone();
            let user_names: Vec<String> = events.iter().map(|event| pick(&users, &event.0)).collect();
            let item_names: Vec<String> = events.iter().map(|event| pick(&items, &event.1)).collect();
            let (users, items) = (Ids::from_names(user_names.clone()), Ids::from_names(item_names.clone()));
            Interactions {
                user: user_names.iter().map(|name| users.row(name).unwrap()).collect(),
                item: item_names.iter().map(|name| items.row(name).unwrap()).collect(),
                users,
                items,
                rating: rated.then(|| events.iter().map(|event| event.2).collect()),
                time: timed.then(|| events.iter().map(|event| event.3).collect()),
            }
        },
    )
}

/// What LightGCN and sequence text keep: who, what, and the order inside a user.
fn rows(data: &Interactions, sequences: &Sequences) -> Vec<(String, Vec<String>)> {
    let items = |user| {
        sequences.of(user).iter().map(|&item| data.items.external(item as usize).into_owned()).collect()
    };
    (0..data.users.len()).map(|user| (data.users.external(user).into_owned(), items(user))).collect()
}

const WORD: &str = "[!-~äλ中]{1,6}";
/// Spaces, quotes and separators, but no tabs and line ends.
const PHRASE: &str = "[ -~äλ中]{1,6}";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn csv_keeps_everything(data in interactions(PHRASE), name in prop::sample::select(vec!["x.csv", "x.tsv", "x.csv.gz"])) {
        let folder = Folder::new(&[]);
        write_csv(&folder.path(name), &data, Existing::Refuse).unwrap();
        let columns = Columns {
            rating: data.rating.as_ref().map(|_| "rating".into()),
            time: data.time.as_ref().map(|_| "time".into()),
            ..Columns::default()
        };
        prop_assert_eq!(Reader::csv(columns, None).read(&folder.path(name)).unwrap(), data);
    }

    #[test]
    fn atomic_keeps_everything(data in interactions(PHRASE), name in prop::sample::select(vec!["x.inter", "x.inter.gz"])) {
        let folder = Folder::new(&[]);
        write_atomic(&folder.path(name), &data, Existing::Refuse).unwrap();
        prop_assert_eq!(Reader::new(Format::Atomic).read(&folder.path(name)).unwrap(), data);
    }

    #[test]
    fn lightgcn_keeps_file_order_inside_a_user(data in interactions(WORD), name in prop::sample::select(vec!["x.txt", "x.txt.gz"])) {
        let folder = Folder::new(&[]);
        write_lightgcn(&folder.path(name), &data, Existing::Refuse).unwrap();
        let read = Reader::new(Format::Lightgcn).read(&folder.path(name)).unwrap();
        let untimed = Interactions { time: None, ..data };
        prop_assert_eq!((&read.users, &read.items, &read.time), (&untimed.users, &untimed.items, &None));
        prop_assert_eq!(rows(&read, &read.sequences()), rows(&untimed, &untimed.sequences()));
    }

    #[test]
    fn sequences_keep_time_order_and_repeats(data in interactions(WORD)) {
        let folder = Folder::new(&[]);
        write_sequence(&folder.path("x.txt"), &data, Existing::Refuse).unwrap();
        let read = Reader::new(Format::Sequence).read(&folder.path("x.txt")).unwrap();
        prop_assert_eq!(rows(&read, &read.sequences()), rows(&data, &data.sequences()));
        prop_assert_eq!(read.len(), data.len());
    }

    #[test]
    fn a_written_split_is_read_as_the_same_split(data in interactions(WORD), seed in any::<u64>()) {
        let folder = Folder::new(&[]);
        let config = RatioSplit { validation: 0.3, test: 0.4, ..RatioSplit::default() };
        // Repeats are noted, and are not in the files.
        let split = cl_data::Split { notes: Vec::new(), ..config.split(&Source::Whole(data), seed).unwrap() };
        prop_assume!(!split.test.is_empty());
        write_split(folder.root(), &split, Existing::Refuse).unwrap();
        let source = Reader::new(Format::Lightgcn).read_path(folder.root()).unwrap();
        let read = FilesSplit { validation: 0.0, ..FilesSplit::default() }.split(&source, 0).unwrap();
        prop_assert_eq!(read, split);
    }

    #[test]
    fn line_ends_spaces_and_marks_do_not_matter(
        rows in prop::collection::vec(prop::collection::vec(0u32..50, 2..6), 1..8),
        gap in "[ \t]{1,3}", end in prop::sample::select(vec!["\n", "\r\n", " \n", "\t\r\n"]), mark in any::<bool>(),
    ) {
        let text = |gap: &str, end: &str| {
            let line = |row: &Vec<u32>| row.iter().map(u32::to_string).collect::<Vec<_>>().join(gap) + end;
            rows.iter().map(line).collect::<String>()
        };
        let folder = Folder::new(&[("plain.txt", &text(" ", "\n"))]);
        let mark = if mark { "\u{feff}" } else { "" };
        folder.write("odd.txt", format!("{mark}{}", text(&gap, end)).as_bytes());
        let read = |name: &str| Reader::new(Format::Lightgcn).read(&folder.path(name)).unwrap();
        prop_assert_eq!(read("odd.txt"), read("plain.txt"));
    }
}

#[test]
fn csv_without_a_header_is_all_data() {
    let folder = Folder::new(&[
        ("sel.txt", "10 5 4.5\n3 7 1\n"),
        ("plain.csv", "10,5\n\n3,7\n"),
        ("u.data", "10\t5\t4.5\t881250949\n3\t7\t1\t891717742\n"),
        ("turned.csv", "\"x\",5,10\ny,7,3\n"),
    ]);
    let read = |path: &str, rest: &str| {
        let config = format!("path = \"{path}\"\nformat = \"csv\"\nheader = false\n{rest}");
        match folder.load(&config).unwrap().source {
            Source::Whole(whole) => whole,
            Source::Parts { .. } => panic!("one file is a whole set"),
        }
    };
    let plain = read("plain.csv", "");
    assert_eq!((&plain.users, &plain.items), (&Ids::Integers(vec![3, 10]), &Ids::Integers(vec![5, 7])));
    assert_eq!((&plain.user, &plain.item, &plain.rating), (&vec![1, 0], &vec![0, 1], &None));
    let rated = Interactions { rating: Some(vec![4.5, 1.0]), ..plain.clone() };
    assert_eq!(read("sel.txt", "separator = \" \"\ncolumns = { rating = \"3\" }"), rated);
    let timed = Interactions { time: Some(vec![881_250_949, 891_717_742]), ..rated };
    let columns = "columns = { user = \"1\", item = \"2\", rating = \"3\", time = \"4\" }";
    assert_eq!(read("u.data", &format!("separator = \"\\t\"\n{columns}")), timed);
    assert_eq!(read("turned.csv", "columns = { user = \"3\", item = \"2\" }"), plain);
    let reader = Reader::csv(Columns::numbered(), Some(',')).without_header();
    assert_eq!(reader.read(&folder.path("plain.csv")).unwrap(), plain);
}

#[test]
fn a_synthetic_stream_on_disk_is_the_set_in_memory() {
    let config =
        SyntheticConfig { users: 200, items: 100, interactions: 2_000, ..SyntheticConfig::default() };
    let folder = Folder::new(&[]);
    let path = folder.path("big.txt.gz");
    write_stream(&path, synthetic::stream(&config, 9).unwrap(), Existing::Refuse).unwrap();
    let read = Reader::new(Format::Sequence).read(&path).unwrap();
    let made = synthetic::interactions(&config, 9).unwrap();
    assert_eq!(Interactions { time: None, ..read }, Interactions { time: None, ..made });
}

#[test]
fn parts_share_one_id_space_and_lone_users_count() {
    let folder = Folder::new(&[("train.txt", "10 5 3\n7\n"), ("valid.txt", "10 8\n"), ("test.txt", "9 3\n")]);
    let Source::Parts { train, validation, test, .. } = folder.load("path = \"\"").unwrap().source else {
        panic!("a folder with train.txt and test.txt is read as parts")
    };
    assert_eq!(train.users, Ids::Integers(vec![7, 9, 10]));
    assert_eq!(train.items, Ids::Integers(vec![3, 5, 8]));
    assert_eq!((train.user, train.item), (vec![2, 2], vec![1, 0]));
    let validation = validation.unwrap();
    assert_eq!((validation.user, validation.item), (vec![2], vec![2]));
    assert_eq!((test.user, test.item, test.users), (vec![1], vec![0], train.users));
}

#[test]
fn recbole_benchmark_files_are_parts() {
    let file = |rows: &str| format!("user_id:token\titem_id:token\n{rows}");
    let folder = Folder::new(&[]);
    folder.write("ml.train.inter", file("1\t2\n").as_bytes());
    folder.write("ml.valid.inter", file("1\t3\n").as_bytes());
    folder.write("ml.test.inter", file("1\t4\n").as_bytes());
    let source = folder.load("path = \"\"\nformat = \"atomic\"").unwrap().source;
    assert_eq!(source.parts().map(Interactions::len).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn sequence_positions_are_renumbered_after_filters() {
    let folder = Folder::new(&[("x.txt", "1 5 6 5 7\n2 6 6\n")]);
    let whole = |config: &str| match folder
        .load(&format!("path = \"x.txt\"\nformat = \"sequence\"\n{config}"))
        .unwrap()
        .source
    {
        Source::Whole(whole) => whole,
        Source::Parts { .. } => panic!("one file is a whole set"),
    };
    let kept = whole("duplicates = \"keep_all\"");
    assert_eq!(kept.time.unwrap(), [0, 1, 2, 3, 0, 1]);
    let last = whole("");
    assert_eq!((last.item, last.time.unwrap()), (vec![1, 0, 2, 1], vec![0, 1, 2, 0])); // 6 5 7 and 6
}
