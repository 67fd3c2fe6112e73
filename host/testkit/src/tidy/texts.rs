//! Rule for all texts: no local paths, and no hosts that only a lock file needs.

use std::path::Path;

use super::{Complaint, Text, texts};

/// Folders of somebody's machine. Written in two parts, so that this file does not match.
const FOLDERS: [&str; 6] = [
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("C:\\Us", "ers\\"),
    concat!("file://", "/"),
];

/// Package registries. Package managers know them already.
const REGISTRIES: [&str; 9] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi.", "org/simple"),
    concat!("proxy.", "golang.org"),
    concat!("arti", "factory"),
    concat!("sparse+", "http"),
    concat!("registry+", "http"),
];

/// Texts that name local paths or registries.
#[must_use]
pub fn places(root: &Path) -> Vec<Complaint> {
    texts(root).flat_map(|text| places_of(&text)).collect()
}

fn places_of(text: &Text) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (number, line) in text.text.lines().enumerate() {
        if let Some(folder) = FOLDERS.iter().find(|folder| begins_in(line, folder)) {
            let rule = format!("`{folder}` is a place on one machine");
            complaints.push(text.complain(number + 1, rule, "name it from the project's own folder"));
        }
        if let Some(registry) = REGISTRIES.iter().find(|registry| line.contains(*registry)) {
            let rule = format!("`{registry}` is where packages come from");
            complaints.push(text.complain(number + 1, rule, "leave it out: cargo and its lock file know"));
        }
    }
    complaints
}

/// True when a path in `line` begins with `folder`: the path `host/root/src` contains none.
fn begins_in(line: &str, folder: &str) -> bool {
    let is_within = |c: char| c.is_alphanumeric() || "._-~*/})>…".contains(c);
    line.match_indices(folder)
        .any(|(at, _)| folder.starts_with(|c: char| c != '/') || !line[..at].chars().next_back().is_some_and(is_within))
}
