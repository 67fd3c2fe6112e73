//! How sources are: no longer than one can read, opened by what they are for, and with a clock only where time is kept.

use std::path::Path;

use super::{Complaint, Text, sources};

/// The most lines that a source may have, tests apart.
const MAX_LINES: usize = 400;
/// The members of `host` that may keep time. The sandbox is one of them for a timeout around calls that wait in the
/// host, where no epoch reaches them; the server for its clients, who may be slow; testkit and bench serve those that are.
const TIMEKEEPERS: [&str; 6] = ["root", "jobs", "sandbox", "server", "testkit", "bench"];

/// What opens or reads a file whatever it is.
const UNBOUNDED_READS: [&str; 3] = ["fs::read(", "fs::read_to_string(", "File::open("];
/// Members that may use that: they read what they have written themselves, or serve tests and measurements.
const UNBOUNDED_MEMBERS: [&str; 4] = ["files", "testkit", "bench", "fuzz"];
/// Sources that may use that: whoever runs the command names the file, which may well be a pipe such as `<(…)`.
const UNBOUNDED: [&str; 3] = ["host/cli/src/jobs/client.rs", "host/cli/src/query/input.rs", "host/cli/src/record.rs"];

/// Sources that are too long.
#[must_use]
pub fn lengths(root: &Path) -> Vec<Complaint> {
    sources(root)
        .filter(|source| !source.is_test())
        .filter_map(|source| {
            let lines = source.text.lines().count();
            let rule = format!("{lines} lines are more than {MAX_LINES}");
            let remedy = "split it by what it does; tests belong in a file tests.rs beside it";
            (lines > MAX_LINES).then(|| source.complain(MAX_LINES + 1, rule, remedy))
        })
        .collect()
}

/// Sources that do not say first what they are for.
#[must_use]
pub fn openings(root: &Path) -> Vec<Complaint> {
    sources(root)
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| {
            let remedy = "open it with `//!` and a sentence on what the file is for";
            source.complain(1, "the file does not say what it is for", remedy)
        })
        .collect()
}

/// Clocks where none should be: tokio's outside the crates that keep time, and the system's inside the root, where it
/// would not stand still in tests. Tests may use either.
#[must_use]
pub fn clocks(root: &Path) -> Vec<Complaint> {
    sources(root).flat_map(|source| clocks_of(&source)).collect()
}

fn clocks_of(source: &Text) -> Vec<Complaint> {
    let Some(("host", member)) = source.member() else {
        return Vec::new();
    };
    let is_named =
        |path: &[String], name: &[&str]| path.len() >= name.len() && path.iter().zip(name).all(|(a, b)| a == b);
    let mut complaints = Vec::new();
    for (line, path) in paths(&source.text) {
        if !TIMEKEEPERS.contains(&member) && !source.is_test() && is_named(&path, &["tokio", "time"]) {
            let remedy = "let the root keep time: take the instant that something must end by as a value";
            complaints.push(source.complain(line, "`tokio::time` is for those who keep time", remedy));
        }
        if member == "root" && is_named(&path, &["std", "time", "Instant"]) {
            let remedy = "use `tokio::time::Instant`, which stands still when tests pause it";
            complaints.push(source.complain(line, "`std::time::Instant` is not for the root", remedy));
        }
    }
    // One line may name several things of one kind.
    complaints.dedup();
    complaints
}

/// Files that are opened or read whole without `frond-files`, which a named pipe or `/dev/zero` would hold up. Tests may.
#[must_use]
pub fn readers(root: &Path) -> Vec<Complaint> {
    sources(root).flat_map(|source| readers_of(&source)).collect()
}

fn readers_of(source: &Text) -> Vec<Complaint> {
    let is_host =
        source.member().is_some_and(|(parent, member)| parent == "host" && !UNBOUNDED_MEMBERS.contains(&member));
    if !is_host || source.is_test() || UNBOUNDED.iter().any(|exempt| source.path == Path::new(exempt)) {
        return Vec::new();
    }
    let lines = source.text.lines().take_while(|line| *line != "mod tests {").enumerate();
    let named = lines.filter_map(|(number, line)| {
        let name = UNBOUNDED_READS.iter().find(|name| code_of(line).contains(*name))?;
        let remedy = "use `frond_files`: it waits for no pipe, takes regular files only, and has a bound";
        Some(source.complain(number + 1, format!("`{name}…)` waits for what is no file, and has no bound"), remedy))
    });
    named.collect()
}

/// Every path of two names or more in `text`, with its line; the groups of a `use` are taken apart. Comments are left
/// out, and so, roughly, is what stands in quotes.
fn paths(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    // What stands before each open brace of a group, and what stands before the next name.
    let (mut groups, mut path): (Vec<Vec<String>>, Vec<String>) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let code = code_of(line);
        let mut joined = false;
        for token in tokens(code) {
            match token {
                "::" => joined = true,
                "{" if joined => {
                    groups.push(path.clone());
                    joined = false;
                }
                "," | "}" | ";" | "{" => {
                    note(&mut found, number, &path, groups.last());
                    if token == "}" {
                        groups.pop();
                    }
                    path = groups.last().cloned().unwrap_or_default();
                    joined = false;
                }
                name => {
                    if !joined {
                        note(&mut found, number, &path, groups.last());
                        path = groups.last().cloned().unwrap_or_default();
                    }
                    path.push(name.to_owned());
                    joined = false;
                }
            }
        }
        note(&mut found, number, &path, groups.last());
        path = groups.last().cloned().unwrap_or_default();
    }
    found
}

fn note(found: &mut Vec<(usize, Vec<String>)>, number: usize, path: &[String], group: Option<&Vec<String>>) {
    if path.len() > 1 && group.is_none_or(|group| group.len() < path.len()) {
        found.push((number + 1, path.to_vec()));
    }
}

/// The line without its comment and its plain strings.
fn code_of(line: &str) -> &str {
    let code = line.split("//").next().unwrap_or(line);
    code.split('"').next().unwrap_or(code)
}

/// Names, `::`, and single signs.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let len = match first {
            ':' if rest.starts_with("::") => 2,
            c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}
