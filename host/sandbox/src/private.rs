//! Folders that only this user can write to.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Makes a folder that only this user can write to, and returns its path: `dir` itself, or, if
/// others own `dir` or may write to it, a folder of this user's inside. Volumes of Kubernetes
/// belong to root, or to a group that may write to them.
///
/// # Errors
/// If the folder cannot be made, or is a symbolic link, whose owner may change its target.
pub fn private_folder(dir: &Path) -> io::Result<PathBuf> {
    make(dir, true)?;
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(refused());
    }
    if is_private(&found) {
        return Ok(dir.to_owned());
    }
    let inner = dir.join(format!("frond-{}", rustix::process::geteuid().as_raw()));
    make(&inner, false)?;
    let found = fs::symlink_metadata(&inner)?;
    if found.is_dir() && is_private(&found) {
        return Ok(inner);
    }
    Err(refused())
}

fn refused() -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, "not a folder that only this user can write to")
}

/// Returns true for a file that this user owns and nobody else can write to.
pub(crate) fn is_private(found: &fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
}

fn make(dir: &Path, parents: bool) -> io::Result<()> {
    match DirBuilder::new().recursive(parents).mode(0o700).create(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && !parents => Ok(()),
        made => made,
    }
}
