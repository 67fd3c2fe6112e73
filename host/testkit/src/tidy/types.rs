//! Rules for types: each has a meaning that stands alone, and [`TYPES`] lists them all.

use std::fmt::Write as _;
use std::path::Path;

use super::language::is_help;
use super::{Complaint, Text, sources};

/// Generated list of all types, relative to the tree's root.
pub const TYPES: &str = "host/TYPES.md";

/// First words that refer to something before the line.
const REFERRING: [&str; 10] = ["And", "But", "How", "It", "Its", "Such", "Their", "They", "This", "Why"];

/// A type of the tree.
struct Type {
    line: usize,
    name: String,
    /// First sentence of its doc; empty without one.
    meaning: String,
}

/// Types without a meaning that stands alone.
#[must_use]
pub fn types(root: &Path) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in typed(root) {
        for one in types_of(&source).filter(|one| !stands_alone(&one.meaning)) {
            let rule = format!("the type `{}` has no doc whose first sentence stands alone", one.name);
            let remedy = "say there what a value of it is: the list of all types shows that sentence without the code";
            complaints.push(source.complain(one.line, rule, remedy));
        }
    }
    complaints
}

/// Differences between [`TYPES`] and the types of the tree.
#[must_use]
pub fn type_list(root: &Path) -> Vec<Complaint> {
    let text = std::fs::read_to_string(root.join(TYPES)).unwrap_or_default();
    let wanted = list_types(root);
    let differs = text.lines().zip(wanted.lines()).position(|(is, wanted)| is != wanted);
    let line = differs.unwrap_or_else(|| text.lines().count().min(wanted.lines().count()));
    let list = Text { path: TYPES.into(), text };
    let complaint = || list.complain(line + 1, "the list of types differs from the code", "run `make types`");
    (list.text != wanted).then(complaint).into_iter().collect()
}

/// Returns the list of all types: a table for each crate.
#[must_use]
pub fn list_types(root: &Path) -> String {
    let mut list = "# Types\n\nEvery type of the code and its meaning, crate by crate. `make types` writes this list, \
        and the tidy test compares it with the code.\n"
        .to_owned();
    let mut section = String::new();
    for source in typed(root) {
        let Some((parent, member)) = source.member() else { continue };
        let within = source.path.strip_prefix(Path::new(parent).join(member)).unwrap_or(&source.path);
        for Type { name, meaning, .. } in types_of(&source) {
            if section != format!("{parent}/{member}") {
                section = format!("{parent}/{member}");
                let _ = write!(list, "\n## {section}\n\n| file | type | meaning |\n|---|---|---|\n");
            }
            let _ = writeln!(list, "| {} | `{name}` | {} |", within.display(), meaning.replace('|', "\\|"));
        }
    }
    list
}

/// Sources with types that need a meaning; docs of options are texts of `--help`.
fn typed(root: &Path) -> impl Iterator<Item = Text> {
    sources(root).filter(|source| !source.is_test() && !is_help(source))
}

fn stands_alone(meaning: &str) -> bool {
    let first = meaning.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    !meaning.is_empty() && !REFERRING.contains(&first)
}

fn types_of(source: &Text) -> impl Iterator<Item = Type> {
    let lines: Vec<&str> = source.text.lines().take_while(|line| *line != "mod tests {").collect();
    (0..lines.len()).filter_map(move |at| {
        let name = name_of(lines[at])?.to_owned();
        Some(Type { line: at + 1, name, meaning: meaning(&lines[..at]) })
    })
}

/// Name of the type that a line declares. An indented `type` belongs to a trait.
fn name_of(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let code = code.strip_prefix("pub").map_or(code, |rest| {
        rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest).trim_start()
    });
    let (keyword, rest) = code.strip_prefix("unsafe ").unwrap_or(code).split_once(' ')?;
    let is_type =
        ["struct", "enum", "trait", "union"].contains(&keyword) || (keyword == "type" && !line.starts_with(' '));
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (is_type && !name.is_empty()).then_some(name)
}

/// First sentence of the doc that ends before the attributes after `lines`.
fn meaning(lines: &[&str]) -> String {
    let is_doc = |line: &&str| line.trim_start().starts_with("///");
    let ends_item = |line: &str| line.is_empty() || (line.ends_with(['{', '}', ';']) && !line.starts_with("#["));
    let attributes = lines.iter().rev().take_while(|line| !is_doc(line) && !ends_item(line.trim())).count();
    let lines = &lines[..lines.len() - attributes];
    let docs = lines.iter().rev().take_while(|line| is_doc(line)).count();
    let docs = lines[lines.len() - docs..].iter().map(|line| line.trim_start().trim_start_matches('/').trim());
    let paragraph: Vec<&str> = docs.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    paragraph[..end].to_owned()
}
