//! Failure reports for authors of plugins in Python, JavaScript and C: the failure, its place in
//! their source, the last lines of the log, and the remedy. `sandbox/tests/ends.rs` has the same
//! tests for Rust.
//!
//! The leaves are beside this file. Each replaces the leaf of a new folder by `frond new`, and is
//! built the same way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

#[path = "../kit/mod.rs"]
mod kit;

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use kit::{Folder, frond, plain, root};

/// A command of the leaf, and the limits of its case.
type Command = (&'static str, &'static str);

/// Commands of every leaf: failures by the sandbox and the contract.
const COMMON: [Command; 8] = [
    ("spin", "fuel = 20_000_000"),
    ("grow", ""),
    ("huge-output", ""),
    ("huge-emit", ""),
    ("call-forever", "host-calls = 1000"),
    ("invalid-query", ""),
    ("invalid-partition", ""),
    ("unavailable", ""),
];

#[test]
fn in_python() {
    let own = [
        "throw",
        "throw-in-library",
        "import-late",
        "parse-date",
        "open-file",
        "recurse",
        "grow-beyond",
        "wrong-type",
        "exit",
        "abort",
    ];
    check("python", "leaf.py", &own.map(|name| (name, "")), &[("sleep", "time = \"5s\"")]);
}

#[test]
fn in_javascript() {
    let own = ["throw", "throw-long", "use-console", "recurse", "throw-text", "throw-object", "wrong-type"];
    check("javascript", "leaf.js", &own.map(|name| (name, "")), &[]);
}

#[test]
fn in_c() {
    let own = ["assert", "abort", "exit", "call-null", "write-beyond", "recurse"];
    check("c", "leaf.c", &own.map(|name| (name, "")), &[("sleep", "time = \"5s\"")]);
}

fn check(lang: &str, source: &str, own: &[Command], timed: &[Command]) {
    if !kit::can_build(lang) {
        return;
    }
    let leaf = built(lang, source);
    let all: String = own.iter().chain(timed).chain(&COMMON).map(|command| report(&leaf, command)).collect();
    insta::assert_snapshot!(lang, all);
}

/// Returns the report of `frond test` on one command.
fn report(leaf: &Path, (command, lower): &Command) -> String {
    let folder = Folder::new();
    folder.write("leaf/frond.toml", format!("[leaf]\ncomponent = \"{}\"\n", leaf.display()));
    let case =
        format!("query = \"{command}\"\npartition = \"\"\nkey = \"b\"\n[limits]\n{lower}\n[expect]\ntext = \"\"\n");
    folder.write(&format!("leaf/cases/{command}.toml"), case);
    let ended = folder.frond("test leaf").env("COLUMNS", "120").run().expect(1);
    let out = numberless(&plain(&ended.out()));
    let (_, failure) = out.split_once("\n\n").unwrap();
    let (failure, _) = failure.rsplit_once("\n\n").unwrap();
    format!("{failure}\n\n")
}

/// Replaces every number of more than four digits by `#`: addresses and sizes differ between
/// builds.
fn numberless(text: &str) -> String {
    let mut plain = String::new();
    for piece in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = piece.chars().take_while(char::is_ascii_digit).count();
        if digits > 4 {
            write!(plain, "#{}", &piece[digits..]).unwrap();
        } else {
            plain.push_str(piece);
        }
    }
    plain
}

/// Returns the built leaf. It is rebuilt only if its source, its build scripts or the tools have
/// changed.
fn built(lang: &str, source: &str) -> PathBuf {
    let folder = Folder::new();
    folder.frond(&format!("new leaf --lang {lang} --kind leaf")).run().expect(0);
    let own = root().join("host/cli/tests/stops").join(source);
    fs::copy(own, folder.path("leaf").join(source)).unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stops");
    let path = cache.join(format!("{lang}-{:016x}.wasm", digest(&folder.path("leaf"), lang)));
    if !path.is_file() {
        folder.frond("build leaf").env("FROND_TOOLS", root().join(".tools")).run().expect(0);
        fs::create_dir_all(&cache).unwrap();
        let old = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap());
        old.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{lang}-")))
            .for_each(|entry| fs::remove_file(entry.path()).unwrap());
        fs::rename(folder.path("leaf/plugin.wasm"), &path).unwrap();
    }
    path
}

/// Hashes all inputs of a build, and the versions of tools that they do not name.
fn digest(dir: &Path, lang: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    frond(["doctor", "--format", "json", "--lang", lang]).run().json()["languages"].to_string().hash(&mut hasher);
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else {
                (path.strip_prefix(dir).unwrap(), fs::read(&path).unwrap()).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}
