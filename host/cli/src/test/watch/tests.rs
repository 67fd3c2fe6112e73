//! Detection of changes: changed contents lead to a run, and files that a run writes do not.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test where it is")]

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{BTreeSet, PATIENCE, Sources};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    files.iter().for_each(|(name, text)| write(folder.path(), name, text));
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Returns the sources after a run without changes.
fn tested(folder: &Path) -> Sources {
    let mut sources = Sources::new(folder);
    sources.begin(BTreeSet::new());
    assert!(!sources.changed_meanwhile());
    sources
}

#[test]
fn only_other_content_is_a_change() {
    let folder = folder(&[("leaf.py", "1"), ("data/a.txt", "a")]);
    let sources = tested(folder.path());
    write(folder.path(), "leaf.py", "1");
    assert!(!sources.changed());
    write(folder.path(), "leaf.py", "2");
    assert!(sources.changed());
    write(folder.path(), "leaf.py", "1");
    assert!(!sources.changed());
    write(folder.path(), "data/b.txt", "");
    assert!(sources.changed());
    fs::remove_file(folder.path().join("data/b.txt")).unwrap();
    fs::remove_file(folder.path().join("data/a.txt")).unwrap();
    assert!(sources.changed());
}

#[test]
fn what_builds_write_is_no_change() {
    let folder = folder(&[("leaf.py", "1")]);
    let mut sources = Sources::new(folder.path());
    sources.begin(BTreeSet::from([folder.path().canonicalize().unwrap().join("plugin.wasm")]));
    for name in ["plugin.wasm", ".tools/python/x", "target/debug/y", "__pycache__/leaf.pyc", "node_modules/a/b.js"] {
        write(folder.path(), name, "x");
    }
    assert!(!sources.changed_meanwhile());
    write(folder.path(), "plugin.wasm", "y");
    assert!(!sources.changed());
}

#[test]
fn a_change_during_a_run_leads_to_another() {
    let folder = folder(&[("leaf.py", "1")]);
    let mut sources = tested(folder.path());
    sources.begin(BTreeSet::new());
    write(folder.path(), "leaf.py", "2");
    assert!(sources.changed_meanwhile());
    sources.begin(BTreeSet::new());
    assert!(!sources.changed_meanwhile());
}

#[test]
fn a_file_that_every_run_writes_does_not_keep_them_going() {
    let folder = folder(&[("leaf.py", "1")]);
    let mut sources = tested(folder.path());
    let mut run = |text: &str| {
        sources.begin(BTreeSet::new());
        write(folder.path(), "built-at.txt", text);
        sources.changed_meanwhile()
    };
    let runs = (1..10).take_while(|number| run(&number.to_string())).count();
    assert_eq!(runs + 1, PATIENCE as usize);
    write(folder.path(), "built-at.txt", "by hand");
    assert!(sources.changed());
}

#[test]
fn a_link_counts_as_the_file_that_it_leads_to() {
    let elsewhere = folder(&[("a", "1"), ("b", "1"), ("c", "2")]);
    let folder = folder(&[]);
    let link = folder.path().join("plugin.wasm");
    let lead_to = |name: &str| {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(elsewhere.path().join(name), &link).unwrap();
    };
    lead_to("a");
    let sources = tested(folder.path());
    lead_to("b");
    assert!(!sources.changed());
    lead_to("c");
    assert!(sources.changed());
}
