//! The examples, as they are documented: every case under `examples/*/cases` answers what it says, every command of a
//! README runs, and every README is short.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::{Ended, Folder, frond, root};
use serde::Deserialize;
use serde_json::Value;

/// Of a README's lines that are not empty.
const README_LINES: usize = 12;

/// What no case covers, and why.
const WITHOUT_CASES: [&str; 2] = [
    // A fixture: the tests of outcomes are its cases.
    "faulty", // Needs its server: tests/prices.rs starts it.
    "prices",
];

/// A file under `cases`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    query: Option<String>,
    query_file: Option<PathBuf>,
    #[serde(default)]
    args: Vec<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Expect {
    exit: i32,
    answer: Option<String>,
    answer_file: Option<PathBuf>,
    #[serde(default)]
    coverage: toml::Table,
}

#[test]
fn every_case_answers_what_it_says() {
    let wrong: Vec<String> =
        examples().iter().flat_map(|example| cases(example)).filter_map(|case| fails(&case)).collect();
    assert!(wrong.is_empty(), "{} cases fail\n\n{}", wrong.len(), wrong.join("\n"));
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
        // What is piped in is a file of the reader's.
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

/// A README's command, its quotes read by a shell.
fn shell(command: &str) -> Ended {
    let quoted = Command::new("sh").args(["-c", &format!("printf '%s\\0' {command}")]).output().expect("a shell");
    let text = String::from_utf8(quoted.stdout).unwrap();
    frond(text.trim_end_matches('\0').split('\0')).run()
}

fn examples() -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
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

/// What is wrong with a case, under its name.
fn fails(file: &Path) -> Option<String> {
    let example = file.ancestors().nth(2).unwrap();
    let title = format!("{}/{}", name(example), name(file));
    match tried(file, example) {
        Ok(wrong) if wrong.is_empty() => None,
        Ok(wrong) => Some(format!("{title}:\n{wrong}")),
        Err(wrong) => Some(format!("{title}: {wrong}\n")),
    }
}

fn tried(file: &Path, example: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let case: Case = toml::from_str(&text).map_err(|error| error.to_string())?;
    let query = match (&case.query, &case.query_file) {
        (Some(query), None) => query.clone(),
        (None, Some(named)) => format!("@{}", beside(file, named).display()),
        (None, None) => String::new(),
        (Some(_), Some(_)) => return Err("has both a `query` and a `query-file`".to_owned()),
    };
    let folder = Folder::new();
    let recording = folder.path("run.ndjson");
    let app = Path::new("examples").join(name(example));
    let run = frond(["query"]).arg(app).arg(query).args(&case.args).arg("--record").arg(&recording).run();
    differences(file, &case.expect, &run, &recording)
}

fn differences(file: &Path, expect: &Expect, run: &Ended, recording: &Path) -> Result<String, String> {
    let mut wrong = String::new();
    if run.code != Some(expect.exit) {
        writeln!(wrong, "  exit {:?}, expected {}\n{}", run.code, expect.exit, indented(&run.err())).unwrap();
    }
    let answer = match (&expect.answer, &expect.answer_file) {
        (Some(answer), None) => Some(answer.clone().into_bytes()),
        (None, Some(named)) => {
            Some(fs::read(beside(file, named)).map_err(|error| format!("{}: {error}", named.display()))?)
        }
        (None, None) => None,
        (Some(_), Some(_)) => return Err("expects both an `answer` and an `answer-file`".to_owned()),
    };
    match answer {
        Some(answer) if !is_same(&answer, &run.stdout) => {
            writeln!(
                wrong,
                "  the answer differs (- expected, + found)\n{}",
                diff(&shown(&answer), &shown(&run.stdout))
            )
            .unwrap();
        }
        None if matches!(expect.exit, 0 | 3) => wrong.push_str("  the case has no `answer`, but expects one\n"),
        None if !run.stdout.is_empty() => wrong.push_str("  there is an answer where none is expected\n"),
        _ => {}
    }
    let text = fs::read_to_string(recording).map_err(|error| format!("no recording: {error}"))?;
    wrong.push_str(&uncovered(&expect.coverage, &text)?);
    Ok(wrong)
}

/// Where the recorded coverage is not what the case expects, or does not add up.
fn uncovered(expect: &toml::Table, recording: &str) -> Result<String, String> {
    let last: Value =
        recording.lines().last().and_then(|line| serde_json::from_str(line).ok()).ok_or("an empty recording")?;
    let tally = last["coverage"]["partitions"].as_object().ok_or("the recording ends without its coverage")?;
    let mut wrong = String::new();
    let parts: u64 = tally.iter().filter(|(key, _)| *key != "planned").filter_map(|(_, count)| count.as_u64()).sum();
    if Some(parts) != tally["planned"].as_u64() {
        writeln!(wrong, "  the coverage does not add up: {tally:?}").unwrap();
    }
    for (key, count) in expect {
        let found = tally.get(key).ok_or_else(|| format!("`{key}` is not a count of the coverage"))?;
        if found.as_i64() != count.as_integer() {
            writeln!(wrong, "  coverage: {key} is {found}, expected {count}").unwrap();
        }
    }
    Ok(wrong)
}

fn beside(file: &Path, named: &Path) -> PathBuf {
    file.parent().unwrap().join(named)
}

/// As JSON, where both are, else byte for byte.
fn is_same(expected: &[u8], found: &[u8]) -> bool {
    let json = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    match (json(expected), json(found)) {
        (Some(expected), Some(found)) => expected == found,
        _ => expected == found,
    }
}

fn shown(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(json) => serde_json::to_string_pretty(&json).unwrap(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// The lines between what both begin and end with.
fn diff(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let start = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
    let rest = expected.len().min(found.len()) - start;
    let end = expected.iter().rev().zip(found.iter().rev()).take(rest).take_while(|(one, other)| one == other).count();
    let between = |lines: &[&str], sign: char| -> String {
        lines[start..lines.len() - end].iter().map(|line| format!("  {sign} {line}\n")).collect()
    };
    format!("  from line {}:\n{}{}", start + 1, between(&expected, '-'), between(&found, '+'))
}
