//! The crate alone: made-up data is written to a folder, read, filtered, split and written as a split.
//!
//! `cargo run -p cl-data --example read_and_split`

use cl_data::{
    DataConfig, Existing, KCore, RatioSplit, SyntheticConfig, load, synthetic, write_split, write_stream,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let users = synthetic::stream(&SyntheticConfig::default(), 2024)?;
    write_stream(&folder.path().join("events.txt.gz"), users, Existing::Refuse)?;

    let k_core = KCore { user: 5, item: 5 };
    let data = DataConfig { path: Some("events.txt.gz".into()), k_core, ..DataConfig::default() };
    let loaded = load(&data, folder.path(), 2024)?;
    println!("{}", loaded.report);

    let split = RatioSplit::default().split(&loaded.source, 2024)?;
    println!("train {}, validation {}, test {}", split.train.len(), split.validation.len(), split.test.len());
    println!("user {} trains on the items {:?}", split.users.external(0), split.train.of(0));
    write_split(&folder.path().join("split"), &split, Existing::Refuse)?;
    Ok(())
}
