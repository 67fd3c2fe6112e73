//! Rules for language: doc lines that stand alone and fit the page, and code that reads in order.

use std::path::Path;

use super::{Complaint, Text, sources};

/// Longest doc line, in columns.
const MAX_COLUMNS: usize = 100;
/// First words of a doc line that leave its subject to the lines around it.
const OPENINGS: [&str; 6] = ["What", "Who", "Whoever", "Those", "The same", "So many"];
/// Sources whose docs are the text of `--help`, which clap wraps itself.
const HELP: [&str; 3] = ["host/cli/src/args.rs", "host/cli/src/args", "host/cli/src/show/progress.rs"];

/// Doc lines that do not stand alone, or are too long.
#[must_use]
pub fn docs(root: &Path) -> Vec<Complaint> {
    sources(root).flat_map(|source| docs_of(&source)).collect()
}

fn docs_of(source: &Text) -> Vec<Complaint> {
    let is_help = is_help(source);
    let mut complaints = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let Some(doc) = doc_of(line) else { continue };
        if let Some(opening) = OPENINGS.iter().find(|opening| begins_with(doc, opening)) {
            let remedy =
                "begin with a noun phrase, or a verb in the third person: the line is read without its neighbours";
            complaints.push(source.complain(number + 1, format!("a doc line begins with `{opening}`"), remedy));
        }
        let columns = line.chars().count();
        if columns > MAX_COLUMNS && !is_help {
            let rule = format!("a doc line has {columns} columns, and {MAX_COLUMNS} are the most");
            complaints.push(source.complain(number + 1, rule, "wrap it"));
        }
    }
    complaints
}

/// True for a source whose docs are the text of `--help`.
pub(super) fn is_help(source: &Text) -> bool {
    HELP.iter().any(|help| source.path.starts_with(help))
}

/// Text of a doc line.
fn doc_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    Some(doc.strip_prefix(' ').unwrap_or(doc))
}

fn begins_with(doc: &str, words: &str) -> bool {
    doc.strip_prefix(words).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Lets that pack several values into a tuple, and matches on a bool.
#[must_use]
pub fn packed(root: &Path) -> Vec<Complaint> {
    sources(root).flat_map(|source| packed_of(&source)).collect()
}

fn packed_of(source: &Text) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let code = line.trim_start();
        if packs(code) {
            let rule = "a `let` packs several values into a tuple";
            complaints.push(source.complain(number + 1, rule, "write a `let` for each"));
        }
        if matches_bool(code) {
            complaints.push(source.complain(number + 1, "a `match` on a bool", "use `if` and `else`"));
        }
    }
    complaints
}

/// True for `let (a, b) = (…);` where the pattern has names alone.
fn packs(code: &str) -> bool {
    let Some((pattern, value)) = code.strip_prefix("let (").and_then(|rest| rest.split_once(") = ")) else {
        return false;
    };
    let is_name = |one: &str| one.trim().chars().all(|c| c.is_alphanumeric() || c == '_' || c == ' ');
    value.starts_with('(') && value.ends_with(");") && pattern.contains(',') && pattern.split(',').all(is_name)
}

/// True for an arm `true => …`.
fn matches_bool(code: &str) -> bool {
    let arm = code.strip_prefix("true").or_else(|| code.strip_prefix("false"));
    arm.is_some_and(|rest| rest.starts_with(" =>") || (rest.starts_with(" if ") && rest.contains("=>")))
}
