//! Paths of an app's files, as messages and other hosts are told them.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Path of `name` in the folder `dir`, without `./` when `dir` is the current folder. Never empty,
/// so that it can be opened.
pub(crate) fn under(dir: &Path, name: impl AsRef<Path>) -> PathBuf {
    let name = name.as_ref();
    let path = if dir == Path::new(".") { name.to_path_buf() } else { dir.join(name) };
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

/// Absolute path without `..`, made of the text alone: where `..` follows a link, the path may lead
/// elsewhere.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let mut cleaned = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        if part == Component::ParentDir {
            cleaned.pop();
        } else {
            cleaned.push(part);
        }
    }
    Ok(cleaned)
}
