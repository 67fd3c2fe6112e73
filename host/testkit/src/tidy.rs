//! The rules that keep the source tree tidy. Each returns what it found wrong, with the place and the remedy.

mod bounds;
mod manifests;
mod sources;
mod texts;

use std::fmt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

pub use bounds::bounds;
pub use manifests::{acquaintances, fences, unchecked};
pub use sources::{clocks, lengths, openings, readers};
pub use texts::places;

/// One breach of a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Complaint {
    /// The file, from the tree's root.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The rule.
    pub rule: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, remedy } = self;
        write!(f, "{}:{line}: {rule}\n  ({remedy})", file.display())
    }
}

/// A text file of the tree.
struct Text {
    /// From the tree's root.
    path: PathBuf,
    text: String,
}

impl Text {
    fn complain(&self, line: usize, rule: impl Into<String>, remedy: impl Into<String>) -> Complaint {
        Complaint { file: self.path.clone(), line, rule: rule.into(), remedy: remedy.into() }
    }

    /// The folder under `host` or `plugins` that it is in.
    fn member(&self) -> Option<(&str, &str)> {
        let mut parts = self.path.iter().filter_map(|part| part.to_str());
        let (parent, name) = (parts.next()?, parts.next()?);
        (matches!(parent, "host" | "plugins") && parts.next().is_some()).then_some((parent, name))
    }

    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }

    /// In a folder `tests`, or a file `tests.rs`.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.iter().any(|part| part == "tests")
    }
}

/// Every rule, on the tree at `root`.
#[must_use]
pub fn all(root: &Path) -> Vec<Complaint> {
    let rules: [fn(&Path) -> Vec<Complaint>; 9] =
        [fences, acquaintances, unchecked, lengths, openings, clocks, readers, places, bounds];
    let mut complaints: Vec<Complaint> = rules.iter().flat_map(|rule| rule(root)).collect();
    complaints.sort();
    complaints
}

/// What nobody wrote by hand: built, fetched, or the repository's own.
const SKIPPED: [&str; 5] = ["target", ".git", ".tools", "node_modules", "Cargo.lock"];

/// All files of text under `root`, in order. Bytes that are not UTF-8 make a file none of text.
fn texts(root: &Path) -> impl Iterator<Item = Text> {
    let wanted = |entry: &DirEntry| !SKIPPED.iter().any(|name| entry.file_name() == *name);
    let files = WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(wanted)
        .map(|entry| entry.expect("the tree can be walked"));
    files.filter(|entry| entry.file_type().is_file()).filter_map(move |entry| {
        let path = entry.path().strip_prefix(root).ok()?.to_owned();
        let text = String::from_utf8(std::fs::read(entry.path()).ok()?).ok()?;
        Some(Text { path, text })
    })
}

/// The Rust sources of the members in `host` and `plugins`.
fn sources(root: &Path) -> impl Iterator<Item = Text> {
    texts(root).filter(|text| text.is_rust() && text.member().is_some())
}
