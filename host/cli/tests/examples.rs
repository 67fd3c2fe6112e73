//! The examples as documented: all cases below `examples/*/cases` pass, all commands of a README
//! run, and all READMEs are short.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::{Ended, frond, root};

/// Limit on the non-empty lines of a README.
const README_LINES: usize = 12;

/// Examples without cases: `faulty` is a fixture of the tests of outcomes, and `prices` and
/// `prices-many` need their server, which tests/prices.rs starts.
const WITHOUT_CASES: [&str; 3] = ["faulty", "prices", "prices-many"];

#[test]
fn every_case_passes_and_every_law_holds() {
    for example in examples().iter().filter(|example| !cases(example).is_empty()) {
        let ended = frond(["test"]).arg(Path::new("examples").join(name(example))).run().expect(0);
        assert!(ended.out().contains("laws hold"), "{}", ended.out());
    }
}

#[test]
fn every_example_has_cases() {
    let bare = |example: &&PathBuf| cases(example).is_empty() && !WITHOUT_CASES.contains(&name(example).as_str());
    let bare: Vec<_> = examples().iter().filter(bare).map(|example| name(example)).collect();
    assert!(bare.is_empty(), "no cases/*.toml in {bare:?}");
}

#[test]
fn every_readme_is_short() {
    for example in examples() {
        let readme = fs::read_to_string(example.join("README.md")).expect("an example has a README.md");
        let lines = readme.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= README_LINES, "{}: {lines} lines, not {README_LINES}", name(&example));
    }
}

#[test]
fn every_command_of_a_readme_runs() {
    for example in examples() {
        let readme = fs::read_to_string(example.join("README.md")).unwrap();
        // Piped input is a file of the reader's.
        let commands =
            readme.lines().filter_map(|line| line.strip_prefix("    frond ")).filter(|one| !one.contains(" < "));
        let mut tried = 0;
        for command in commands {
            let ended = shell(command);
            let stands = matches!(ended.code, Some(0 | 3..=6));
            assert!(stands, "frond {command}\nends with {:?}: {}", ended.code, ended.err());
            tried += 1;
        }
        assert!(tried > 0, "{} has no command to try", name(&example));
    }
}

/// Runs a README's command, with its quotes read by a shell.
fn shell(command: &str) -> Ended {
    let quoted = Command::new("sh").args(["-c", &format!("printf '%s\\0' {command}")]).output().expect("a shell");
    let text = String::from_utf8(quoted.stdout).unwrap();
    frond(text.trim_end_matches('\0').split('\0')).run()
}

fn examples() -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // A server that served the examples has left its state folder.
    found.retain(|path| path.is_dir() && !name(path).starts_with('.'));
    found.sort();
    assert!(!found.is_empty(), "there are no examples");
    found
}

fn cases(example: &Path) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(example.join("cases")) else {
        return Vec::new();
    };
    let mut found: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}
