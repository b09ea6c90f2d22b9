//! What the documentation of the experiment file says about filters and CSV.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use cl_data::{FilterReport, Ids, Source};
use common::Folder;

const CSV: &str = "path = \"x.csv\"\nformat = \"csv\"\ncolumns.rating = \"stars\"\n";

fn report(text: &str, rest: &str) -> FilterReport {
    Folder::new(&[("x.csv", text)]).load(&format!("{CSV}{rest}")).unwrap().report
}

#[test]
fn repeats_go_before_low_ratings_and_those_before_the_core() {
    // User 1 rates item 1 well and then badly: the newest rating counts, unless all are kept.
    let text = "user,item,stars\n1,1,5\n1,1,1\n1,2,5\n2,2,5\n2,3,1\n";
    let last = report(text, "min_rating = 4\nk_core = { item = 2 }");
    assert_eq!((last.duplicates, last.below_min_rating, last.outside_k_core, last.kept), (1, 2, 0, 2));
    let all = report(text, "min_rating = 4\nk_core = { item = 2 }\nduplicates = \"keep_all\"");
    assert_eq!((all.duplicates, all.below_min_rating, all.outside_k_core, all.kept), (0, 2, 1, 2));
    // Both repeats count for the core where they are kept.
    let core = report(text, "k_core = { user = 2, item = 2 }\nduplicates = \"keep_all\"");
    assert_eq!((core.outside_k_core, core.kept), (3, 2));
}

#[test]
fn the_report_writes_every_count_under_its_name() {
    let report = report("user,item,stars\n1,1,5\n1,1,1\n1,2,5\n2,2,5\n2,3,1\n", "min_rating = 4");
    assert_eq!(
        toml::to_string(&report).unwrap(),
        "read = 5\nduplicates = 1\nbelow_min_rating = 2\noutside_k_core = 0\nusers_removed = 0\nitems_removed = 2\n\
         kept = 2\n"
    );
}

#[test]
fn csv_skips_blank_lines_and_keeps_spaces_in_ids() {
    let folder = Folder::new(&[("x.csv", "\nuser,item,stars\n\n7, 7 , 4 \n\r\n\n7,8,5\n\n")]);
    let Source::Whole(whole) = folder.load(CSV).unwrap().source else { panic!("one file is a whole set") };
    assert_eq!(whole.users, Ids::Integers(vec![7]));
    assert_eq!(whole.items, Ids::Text(vec![" 7 ".into(), "8".into()]));
    assert_eq!(whole.rating, Some(vec![4.0, 5.0]));
}
