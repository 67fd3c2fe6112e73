//! What a plugin's author has: `frond test`, `bench`, `replay`, seen from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod building;
mod captures;
mod cases;
mod costs;
mod faults;
mod laws;
mod watching;

#[path = "../kit/mod.rs"]
mod kit;

use kit::{Ended, Folder, Frond};
use serde_json::Value;

/// As the kit's, with a cache apart: what these tests find out about laws is not for the queries of others.
fn frond<T: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = T>) -> Frond {
    kit::frond(args).env("FROND_CACHE", kit::cache().with_extension("authors"))
}

/// An app of the plugin that misbehaves on command, whose partitions come with the query.
fn faulty() -> Folder {
    let rest = "[source]\nkind = \"query\"\n\n[query]\ndeadline = \"30s\"\nfloor = \"best-effort\"\n";
    Folder::with_app("faulty", rest)
}

/// `frond test app …` in the folder.
fn test(folder: &Folder, more: &str) -> Ended {
    frond(["test", "app"]).args(more.split_whitespace()).dir(folder.dir()).run()
}

/// What `--format json` says of one case.
fn told(folder: &Folder, name: &str) -> Value {
    let ended = test(folder, "--no-laws --format json");
    let json = ended.json();
    let cases = json["cases"].as_array().unwrap();
    cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("no case {name}: {json}")).clone()
}
