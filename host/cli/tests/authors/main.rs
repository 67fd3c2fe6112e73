//! Tools for plugin authors, seen from outside: `frond test`, `bench`, `replay`.
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

/// Returns `frond` with a private cache: results of law checks must not affect the queries of other
/// tests.
fn frond<T: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = T>) -> Frond {
    kit::frond(args).env("FROND_CACHE", kit::cache().with_extension("authors"))
}

/// Returns an app of the plugin that misbehaves on command, whose partitions come with the query.
fn faulty() -> Folder {
    let rest = "[source]\nkind = \"query\"\n\n[query]\ndeadline = \"30s\"\nfloor = \"best-effort\"\n";
    Folder::with_app("faulty", rest)
}

/// Returns an app of the same plugin, whose instances serve the partitions of a query.
fn warm() -> Folder {
    let folder = faulty();
    let file = folder.path("app/frond.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    folder.write("app/frond.toml", text.replacen("[leaf]\n", "[leaf]\ninstance = \"query\"\n", 1));
    folder
}

/// Runs `frond test app …` in the folder.
fn test(folder: &Folder, more: &str) -> Ended {
    frond(["test", "app"]).args(more.split_whitespace()).dir(folder.dir()).run()
}

/// Returns the report of `--format json` on one case.
fn told(folder: &Folder, name: &str) -> Value {
    let ended = test(folder, "--no-laws --format json");
    let json = ended.json();
    let cases = json["cases"].as_array().unwrap();
    cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("no case {name}: {json}")).clone()
}
