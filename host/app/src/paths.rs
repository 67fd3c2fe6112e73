//! Paths of an app's files, as messages show them.

use std::path::{Path, PathBuf};

/// Path of `name` in the folder `dir`, without `./` when `dir` is the current folder. Never empty,
/// so that it can be opened.
pub(crate) fn under(dir: &Path, name: impl AsRef<Path>) -> PathBuf {
    let name = name.as_ref();
    let path = if dir == Path::new(".") { name.to_path_buf() } else { dir.join(name) };
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}
