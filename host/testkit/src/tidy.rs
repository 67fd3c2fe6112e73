//! Rules for the source tree. Each returns its complaints, with place and remedy.

mod bounds;
mod circles;
mod language;
mod manifests;
mod sources;
mod texts;
mod types;

use std::fmt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

pub use bounds::bounds;
pub use circles::circles;
pub use language::{docs, packed};
pub use manifests::{acquaintances, fences, unchecked};
pub use sources::{clocks, lengths, openings, readers};
pub use texts::places;
pub use types::{TYPES, list_types, type_list, types};

/// One breach of a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Complaint {
    /// File, relative to the tree's root.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Description of the breach.
    pub rule: String,
    /// Remedy.
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
    /// Path relative to the tree's root.
    path: PathBuf,
    text: String,
}

impl Text {
    fn complain(&self, line: usize, rule: impl Into<String>, remedy: impl Into<String>) -> Complaint {
        Complaint { file: self.path.clone(), line, rule: rule.into(), remedy: remedy.into() }
    }

    /// Parent (`host` or `plugins`) and name of the member that the file is in.
    fn member(&self) -> Option<(&str, &str)> {
        let mut parts = self.path.iter().filter_map(|part| part.to_str());
        let parent = parts.next()?;
        let name = parts.next()?;
        (matches!(parent, "host" | "plugins") && parts.next().is_some()).then_some((parent, name))
    }

    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }

    /// True for a file in a folder `tests`, and for `tests.rs`.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.iter().any(|part| part == "tests")
    }
}

/// Applies every rule to the tree at `root`; complaints are sorted.
#[must_use]
pub fn all(root: &Path) -> Vec<Complaint> {
    let rules: [fn(&Path) -> Vec<Complaint>; 14] = [
        fences,
        acquaintances,
        unchecked,
        lengths,
        openings,
        clocks,
        readers,
        places,
        bounds,
        docs,
        packed,
        circles,
        types,
        type_list,
    ];
    let mut complaints: Vec<Complaint> = rules.iter().flat_map(|rule| rule(root)).collect();
    complaints.sort();
    complaints
}

/// Names of generated, fetched or internal files, which the rules skip.
const SKIPPED: [&str; 5] = ["target", ".git", ".tools", "node_modules", "Cargo.lock"];

/// All text files under `root`, in order. A file that is not UTF-8 is not text.
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

/// Rust sources of the members in `host` and `plugins`.
fn sources(root: &Path) -> impl Iterator<Item = Text> {
    texts(root).filter(|text| text.is_rust() && text.member().is_some())
}
