//! Rules for sources: their length, their opening doc, their clocks and their file reads.

use std::path::Path;

use super::{Complaint, Text, sources};

/// The most lines of a source, without comments and tests.
const MAX_LINES: usize = 400;
/// Members of `host` that may use timers. The sandbox needs a timeout around host calls that wait,
/// which no epoch interrupts. The broker has heartbeats, and run replaces worker processes. The
/// server has slow clients, and deployments have slow folders. The simulator counts virtual times
/// from one instant. The crates testkit and bench serve the others.
const TIMEKEEPERS: [&str; 10] =
    ["root", "broker", "run", "jobs", "sandbox", "deploy", "server", "sim", "testkit", "bench"];

/// Calls that open or read any kind of file, without a bound.
const UNBOUNDED_READS: [&str; 3] = ["fs::read(", "fs::read_to_string(", "File::open("];
/// Members that may use such calls: they read their own files, or serve tests and measurements.
const UNBOUNDED_MEMBERS: [&str; 4] = ["files", "testkit", "bench", "fuzz"];
/// Sources that may use such calls: the user of the command names the file, which may be a pipe
/// such as `<(…)`.
const UNBOUNDED: [&str; 3] = ["host/cli/src/jobs/client.rs", "host/cli/src/query/input.rs", "host/cli/src/record.rs"];

/// Sources that are too long.
#[must_use]
pub fn lengths(root: &Path) -> Vec<Complaint> {
    sources(root)
        .filter(|source| !source.is_test())
        .filter_map(|source| {
            let code = source.text.lines().take_while(|line| *line != "mod tests {");
            let lines = code.filter(|line| !line.trim_start().starts_with("//")).count();
            let rule = format!("{lines} lines without comments are more than {MAX_LINES}");
            let remedy = "split it by what it does; tests belong in a file tests.rs beside it";
            (lines > MAX_LINES).then(|| source.complain(lines, rule, remedy))
        })
        .collect()
}

/// Sources that do not begin with a module doc.
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

/// Forbidden clocks: tokio's outside the crates that may use timers, and the system's inside the
/// root, where tests could not pause it. Tests may use either.
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
    for Named { line, path, .. } in paths(&source.text) {
        if !TIMEKEEPERS.contains(&member) && !source.is_test() && is_named(&path, &["tokio", "time"]) {
            let remedy = "let the root keep time: take the instant that something must end by as a value";
            complaints.push(source.complain(line, "`tokio::time` is for those who keep time", remedy));
        }
        if member == "root" && is_named(&path, &["std", "time", "Instant"]) {
            let remedy = "use `tokio::time::Instant`, which stands still when tests pause it";
            complaints.push(source.complain(line, "`std::time::Instant` is not for the root", remedy));
        }
    }
    // One line may name several items of one kind.
    complaints.dedup();
    complaints
}

/// Files that are opened or read whole without `frond-files`; a named pipe or `/dev/zero` would
/// block them. Tests are exempt.
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

/// Part of code in which a path is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Code,
    Use,
    /// A `use` with a visibility.
    Reexport,
}

/// A path of two or more names in code.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) line: usize,
    /// Its names, without `self` at the end.
    pub(super) path: Vec<String>,
    /// Name that it has in a file that declares it with `use`.
    pub(super) name: String,
    pub(super) role: Role,
}

/// Every path of two or more names in `text`; groups of a `use` are expanded. Skips comments and,
/// roughly, strings.
pub(super) fn paths(text: &str) -> Vec<Named> {
    let mut found = Vec::new();
    // The path before each open brace of a group, and the path before the next name.
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut role = Role::Code;
    for (number, line) in text.lines().enumerate() {
        let code = code_of(line);
        let mut joined = false;
        let mut before = "";
        for token in tokens(&code) {
            match token {
                "::" => {}
                "{" if joined => groups.push(path.clone()),
                "," | "}" | ";" | "{" => {
                    note(&mut found, number, &path, groups.last(), role);
                    if token == "}" {
                        groups.pop();
                    }
                    if token == ";" {
                        role = Role::Code;
                    }
                    path = groups.last().cloned().unwrap_or_default();
                }
                name if before == "as" => {
                    if let Some(Named { name: declared, .. }) = found.last_mut().filter(|last| last.line == number + 1)
                    {
                        name.clone_into(declared);
                    }
                }
                name => {
                    if !joined {
                        note(&mut found, number, &path, groups.last(), role);
                        path = groups.last().cloned().unwrap_or_default();
                    }
                    match name {
                        "use" => role = if ["pub", ")"].contains(&before) { Role::Reexport } else { Role::Use },
                        // Lifetimes that a return type captures: `use<'_>`.
                        "<" => role = Role::Code,
                        "as" => {}
                        name => path.push(name.to_owned()),
                    }
                }
            }
            joined = token == "::";
            before = token;
        }
        note(&mut found, number, &path, groups.last(), role);
        path = groups.last().cloned().unwrap_or_default();
    }
    found
}

fn note(found: &mut Vec<Named>, number: usize, path: &[String], group: Option<&Vec<String>>, role: Role) {
    if path.len() > 1 && group.is_none_or(|group| group.len() < path.len()) {
        let names = path.strip_suffix(&["self".to_owned()]).unwrap_or(path);
        let name = names.last().cloned().unwrap_or_default();
        found.push(Named { line: number + 1, path: names.to_vec(), name, role });
    }
}

/// The line without its comment and, roughly, without strings.
fn code_of(line: &str) -> String {
    let line = line.replace("\\\"", "").replace("'\"'", "");
    let code: String = line.split('"').step_by(2).collect();
    code.split("//").next().unwrap_or_default().to_owned()
}

/// Splits code into names, `::`, and single characters.
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
