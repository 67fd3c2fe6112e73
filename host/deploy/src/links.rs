//! Symbolic links on the path to a file.
//! Switching a link changes the file behind the path without touching the folder that the link
//! leads to.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The most links that are followed on one path, like the system's bound.
const MAX_LINKS: usize = 40;

/// Adds the folders of all links on the path to `path`, each usable from the current folder.
pub(crate) fn folders(path: &Path, to: &mut Vec<PathBuf>) {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Some((link, target)) = first_link(&path) else { return };
        let folder = match link.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let rest = path.strip_prefix(&link).unwrap_or(Path::new("")).to_path_buf();
        path = folder.join(target);
        if !rest.as_os_str().is_empty() {
            path.push(rest);
        }
        to.push(folder);
    }
}

/// The first link on the path, and its target.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut so_far = PathBuf::new();
    for part in path.components() {
        so_far.push(part);
        if let Component::Normal(_) = part
            && let Ok(target) = fs::read_link(&so_far)
        {
            return Some((so_far, target));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_link_on_the_way_is_seen_where_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("rel/1/app")).unwrap();
        fs::create_dir(root.join("volume")).unwrap();
        symlink("rel/1", root.join("current")).unwrap();
        symlink("../current/app", root.join("volume/..data")).unwrap();
        symlink("..data/leaf.wasm", root.join("volume/leaf.wasm")).unwrap();
        let mut found = Vec::new();
        folders(&root.join("volume/leaf.wasm"), &mut found);
        assert_eq!(found, [root.join("volume"), root.join("volume"), root.join("volume/..")]);
        found.clear();
        folders(&root.join("rel/1/app/leaf.wasm"), &mut found);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn links_in_a_circle_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let mut found = Vec::new();
        folders(&dir.path().join("a"), &mut found);
        assert!(found.len() >= MAX_LINKS);
    }
}
