//! The grep example over real source text: it counts exactly the lines that `grep` and `rg` count,
//! for any size of the pieces and any number of slots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kit::{Folder, frond, skip_without};
use serde_json::{Value, json};

/// Number of source folders to search, and the bytes of text that suffice.
const CRATES: usize = 40;
const ENOUGH: u64 = 8 << 20;

/// Patterns with the same meaning in all three tools, and whether they ignore case.
const PATTERNS: [(&str, bool); 14] = [
    ("", false),
    ("^$", false),
    ("^", false),
    ("unsafe", false),
    ("UNSAFE", true),
    ("^use ", false),
    (";$", false),
    ("^ *//[/!]", false),
    ("[0-9]{4,}|0x[0-9a-f]+", false),
    (r"\bimpl\b.*\bfor\b", false),
    ("é|ü|→|…|©", false),
    ("É", true),
    ("e", false),
    ("no line has this in it: q8Zx", false),
];

/// Matching lines by file; a file without any is left out.
type Counts = BTreeMap<String, u64>;

#[test]
fn counts_are_those_of_grep_and_rg() {
    let Some(tree) = tree() else {
        return skip_without("source text", "run `cargo fetch`, which fills Cargo's registry");
    };
    let has_rg = Command::new("rg").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_rg {
        skip_without("rg", "run `cargo install ripgrep`; grep alone is compared with");
    }
    for (pattern, ignore_case) in PATTERNS {
        let ours = ours(&tree, pattern, ignore_case, &[]);
        assert_same(&ours, &counted("grep", &["-r", "-E", "-a", "-c"], &tree, pattern, ignore_case), "grep", pattern);
        if has_rg {
            let args = ["-a", "-c", "--no-config", "--no-ignore", "--hidden", "--with-filename"];
            assert_same(&ours, &counted("rg", &args, &tree, pattern, ignore_case), "rg", pattern);
        }
    }
}

#[test]
fn cutting_and_slots_change_nothing() {
    let Some(tree) = tree() else {
        return skip_without("source text", "run `cargo fetch`, which fills Cargo's registry");
    };
    for (pattern, ignore_case) in [("unsafe", false), ("^$", false), ("É", true), (";$", false)] {
        let query =
            json!({ "pattern": pattern, "ignore-case": ignore_case, "first": 1000, "counts": "files" }).to_string();
        let whole = asked(&tree, &query, &["--piece-size", "16MiB", "--slots", "1"]);
        assert!(!whole.is_empty());
        for args in [
            ["--piece-size", "4KiB", "--slots", "1"],
            ["--piece-size", "10007", "--slots", "2"],
            ["--piece-size", "64KiB", "--slots", "3"],
            ["--piece-size", "auto", "--slots", "4"],
        ] {
            assert!(asked(&tree, &query, &args) == whole, "{pattern}: {args:?} gives another answer");
        }
    }
}

/// Returns a folder of real sources, and unusual files beside them.
fn tree() -> Option<Folder> {
    let folder = Folder::new();
    let mut copied = 0;
    for source in crates()? {
        copy(&source, &folder.path("tree").join(source.file_name().unwrap()), &mut copied);
        if copied > ENOUGH {
            break;
        }
    }
    let odd: [(&str, &[u8]); 7] = [
        ("empty.rs", b""),
        ("no-end.rs", "unsafe;\nuse é;".as_bytes()),
        ("only-ends.rs", b"\n\n\n"),
        ("windows.rs", b"use a;\r\n\r\nunsafe;\r\n"),
        ("nul.rs", b"unsafe\0;\n\0\nuse b;\n"),
        ("latin-1.rs", b"unsafe \xe9;\n\xff\n"),
        ("a name:with #12+34.rs", b"unsafe;\n"),
    ];
    for (name, content) in odd {
        folder.write(&format!("tree/odd/{name}"), content);
    }
    let long: Vec<u8> = (0..300_000_u32).flat_map(|line| format!("use {line:x};\n").into_bytes()).collect();
    folder.write("tree/odd/large.rs", [long, b"e".repeat(3 << 20), b"\nunsafe\n".to_vec()].concat());
    Some(folder)
}

/// Returns the first unpacked crates of Cargo's registry, by name.
fn crates() -> Option<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?;
    let folders = registries.filter_map(|one| fs::read_dir(one.ok()?.path()).ok());
    let mut found: Vec<_> = folders.flatten().map(|one| one.unwrap().path()).collect();
    found.sort();
    found.truncate(CRATES);
    (!found.is_empty()).then_some(found)
}

fn copy(from: &Path, to: &Path, copied: &mut u64) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        let is_hidden = to.file_name().unwrap().as_encoded_bytes().starts_with(b".");
        let is_text = path
            .extension()
            .is_some_and(|ending| ["rs", "md", "toml", "txt", "c", "json"].iter().any(|one| ending == *one));
        if path.is_dir() && !is_hidden {
            copy(&path, &to, copied);
        } else if is_text && !is_hidden {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            *copied += fs::copy(&path, &to).unwrap();
        }
    }
}

/// Returns the answer's bytes.
fn asked(tree: &Folder, query: &str, args: &[&str]) -> Vec<u8> {
    let app = kit::root().join("examples/grep");
    let limits = ["--input", "tree", "--deadline", "100s"];
    frond(["query"]).arg(app).arg(query).args(limits).args(args).dir(tree.dir()).run().expect(0).stdout
}

/// Returns the counts of the example.
fn ours(tree: &Folder, pattern: &str, ignore_case: bool, args: &[&str]) -> Counts {
    let query = json!({ "pattern": pattern, "ignore-case": ignore_case, "first": 0, "counts": "files" });
    let answer: Value = serde_json::from_slice(&asked(tree, &query.to_string(), args)).unwrap();
    let counts: Counts = serde_json::from_value(answer["counts"].clone()).unwrap();
    assert_eq!(answer["lines"], counts.values().sum::<u64>(), "{pattern}: the total is not the sum of the files");
    assert_eq!(answer["files"], counts.len() as u64, "{pattern}");
    counts
}

/// Returns the counts of a tool, from its lines of `path:count`.
fn counted(tool: &str, args: &[&str], tree: &Folder, pattern: &str, ignore_case: bool) -> Counts {
    let mut command = Command::new(tool);
    command.args(args).args(ignore_case.then_some("-i")).args(["-e", pattern, "tree"]);
    let output = command.current_dir(tree.dir()).env("LC_ALL", "C.UTF-8").output();
    let output = output.unwrap_or_else(|error| panic!("`{tool}` cannot be run: {error}"));
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{tool} {pattern}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| line.rsplit_once(':').expect("`path:count`"));
    lines.map(|(path, count)| (path.to_owned(), count.parse().unwrap())).filter(|(_, count)| *count > 0).collect()
}

fn assert_same(ours: &Counts, theirs: &Counts, tool: &str, pattern: &str) {
    let paths = ours.keys().chain(theirs.keys()).filter(|path| ours.get(*path) != theirs.get(*path));
    let differ: Vec<_> = paths.map(|path| (path, ours.get(path), theirs.get(path))).take(10).collect();
    assert!(differ.is_empty(), "`{pattern}`: file, our count, that of {tool}: {differ:#?}");
}
