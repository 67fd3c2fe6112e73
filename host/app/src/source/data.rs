//! Folders of a worker with the files of its roots. A root tells its own path of a file. The worker
//! reads the file if one of these folders has it with the same size and modification time, and no
//! other file.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use frond_root::{Content, FilePiece};

use super::beneath;
use super::content::{Piece, PlanContext, PlannedFile};
use super::cut::Span;
use super::stamp::Stamp;
use crate::paths::absolute;

/// Folder of this host whose files a worker may read, and the path that roots have for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder {
    at_root: PathBuf,
    here: PathBuf,
}

/// Reason why a text names no [`DataFolder`].
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// The path at the root is relative.
    #[error("`{0}` is a path at the root, and must be absolute")]
    Relative(String),
    /// The folder cannot be opened.
    #[error("cannot open the folder `{0}`: {1}")]
    Unusable(String, io::Error),
}

impl FromStr for DataFolder {
    type Err = DataFolderError;

    /// Reads `DIR`, or `ROOTPATH=DIR` with two absolute paths. Names of folders may contain `=`, as
    /// in `date=2024`, so only `=/` separates two paths.
    fn from_str(text: &str) -> Result<Self, DataFolderError> {
        let (at_root, here) = match text.split_once("=/") {
            Some((at_root, _)) if !at_root.starts_with('/') => {
                return Err(DataFolderError::Relative(at_root.to_owned()));
            }
            Some((at_root, _)) => (at_root, text.get(at_root.len() + 1..).unwrap_or_default()),
            None => (text, text),
        };
        let unusable = |error| DataFolderError::Unusable(here.to_owned(), error);
        beneath::check(Path::new(here)).map_err(unusable)?;
        let at_root = absolute(Path::new(at_root)).map_err(unusable)?;
        Ok(Self { at_root, here: std::path::absolute(here).map_err(unusable)? })
    }
}

/// All folders whose files a worker may read.
#[derive(Clone, Debug, Default)]
pub struct DataFolders(Vec<DataFolder>);

impl DataFolders {
    /// These folders. Of several that contain a file, the one with the longest path at the root has
    /// it.
    #[must_use]
    pub fn new(folders: Vec<DataFolder>) -> Self {
        Self(folders)
    }

    /// Content of the file that a root names; `None` if none of the folders can have it. No file is
    /// opened before the first read. Each read fails that does not find the file as the root has
    /// planned it.
    #[must_use]
    pub fn content(&self, piece: &FilePiece) -> Option<Arc<dyn Content>> {
        let FilePiece { path, size, modified, offset, len } = piece;
        offset.checked_add(*len).filter(|end| end <= size)?;
        let of_root = |folder: &&DataFolder| path.starts_with(&folder.at_root);
        let folder = self.0.iter().filter(of_root).max_by_key(|folder| folder.at_root.components().count())?;
        let name = path.strip_prefix(&folder.at_root).ok()?;
        let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || name.as_os_str().is_empty() {
            return None;
        }
        let home = Arc::new(PlanContext::confined(&folder.here));
        let file = PlannedFile::new(&home, name, Stamp::of_another_host(*size, *modified));
        Some(Arc::new(Piece::new(&Arc::new(file), Span { offset: *offset, len: *len })))
    }
}

#[cfg(test)]
mod tests;
