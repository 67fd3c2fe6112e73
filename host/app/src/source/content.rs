//! Content of a partition that is a file or a piece of one. The file is opened when its leaf runs,
//! and refused if it has changed since planning; it may have grown.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use frond_root::{Content, Failure, FailureKind, FilePiece, Grain, Notes, Units, Unreadable};
use serde::{Deserialize, Serialize};

use super::beneath;
use super::cut::Span;
use super::integers::Integers;
use super::sniff;
use super::stamp::{Comparison, Stamp};
use crate::paths::{absolute, under};

/// Folder and notes that all files of one plan share.
#[derive(Debug)]
pub(super) struct PlanContext {
    /// Folder that names are relative to: the app's, the current one, or one of a worker's data.
    folder: Box<Path>,
    /// True for the app's folder, which each server has in a different place.
    is_app: bool,
    /// True if no file outside the folder is opened: another host chooses the names.
    is_confined: bool,
    notes: Arc<Notes>,
}

impl PlanContext {
    pub(super) fn new(folder: &Path, is_app: bool, notes: &Arc<Notes>) -> Self {
        Self { folder: folder.into(), is_app, is_confined: false, notes: Arc::clone(notes) }
    }

    /// Context of files in a folder that another host names.
    pub(super) fn confined(folder: &Path) -> Self {
        Self { is_confined: true, ..Self::new(folder, false, &Arc::default()) }
    }

    fn open(&self, name: &Path) -> io::Result<File> {
        if self.is_confined { beneath::open(&self.folder, name) } else { frond_files::open_any(&self.path(name)) }
    }

    /// Path of the file `name`, usable from the current folder.
    pub(super) fn path(&self, name: &Path) -> PathBuf {
        under(&self.folder, name)
    }

    /// Path of the file `name` for another process: relative to the app's folder if possible, or
    /// else absolute.
    fn lasting(&self, name: &Path) -> Option<PathBuf> {
        if self.is_app { Some(name.to_path_buf()) } else { std::path::absolute(self.path(name)).ok() }
    }
}

/// A regular file with its stamp at planning time.
#[derive(Debug)]
pub(super) struct PlannedFile {
    home: Arc<PlanContext>,
    name: Box<Path>,
    stamp: Stamp,
    /// True once the first bytes were sniffed.
    sniffed: AtomicBool,
}

impl PlannedFile {
    pub(super) fn new(home: &Arc<PlanContext>, name: &Path, stamp: Stamp) -> Self {
        Self { home: Arc::clone(home), name: name.into(), stamp, sniffed: AtomicBool::new(false) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.home.path(&self.name)
    }

    /// Size of the file, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.stamp.size
    }

    /// Opens the file again, unless it has changed.
    pub(super) fn reopen(&self) -> Result<File, Failure> {
        let file = self.home.open(&self.name).map_err(|error| self.unreadable(&error))?;
        self.unchanged(&file)?;
        Ok(file)
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, Failure> {
        let mut file = self.reopen()?;
        let mut bytes = Vec::with_capacity(len);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| (&file).take(len as u64).read_to_end(&mut bytes))
            .map_err(|error| self.unreadable(&error))?;
        // Checks again: the file may have changed during the read.
        self.unchanged(&file)?;
        if bytes.len() != len {
            return Err(self.changed());
        }
        if offset == 0 && len > 0 && !self.sniffed.swap(true, Ordering::Relaxed) {
            sniff::note(&bytes, &self.name, &self.home.notes);
        }
        Ok(bytes)
    }

    fn unchanged(&self, file: &File) -> Result<(), Failure> {
        let found = file.metadata().map_err(|error| self.unreadable(&error))?;
        match self.stamp.compare(&found, file).map_err(|error| self.unreadable(&error))? {
            Comparison::Same | Comparison::Grown => Ok(()),
            Comparison::Changed => Err(self.changed()),
        }
    }

    fn changed(&self) -> Failure {
        let message = format!("`{}` has changed since it was planned", self.path().display());
        Failure::new(FailureKind::InvalidPartition, message)
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        let path = self.path();
        if error.kind() == io::ErrorKind::NotFound {
            let message = format!("`{}` is gone since it was planned", path.display());
            return Failure::new(FailureKind::InvalidPartition, message);
        }
        Failure::new(FailureKind::Unavailable, format!("cannot read `{}`: {error}", path.display()))
    }
}

/// A span of a planned file.
#[derive(Debug)]
pub(super) struct Piece {
    file: Arc<PlannedFile>,
    span: Span,
    grain: Grain,
}

impl Piece {
    pub(super) fn new(file: &Arc<PlannedFile>, span: Span) -> Self {
        Self { file: Arc::clone(file), span, grain: Grain::Byte }
    }

    /// Has the content handed out at once, to a single leaf.
    pub(super) fn undivided(self) -> Self {
        Self { grain: Grain::Whole, ..self }
    }

    pub(super) fn whole(file: PlannedFile) -> Self {
        let span = Span { offset: 0, len: file.size() };
        Self::new(&Arc::new(file), span)
    }
}

impl Content for Piece {
    fn size(&self) -> u64 {
        self.span.len
    }

    fn units(&self) -> Units {
        Units { count: self.span.len, grain: self.grain }
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        let left = self.span.len.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        self.file.read(self.span.offset.saturating_add(offset), len).map(Bytes::from)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Content::read(self, 0, usize::MAX)
    }

    fn place(&self) -> Option<String> {
        let path = self.file.home.lasting(&self.file.name)?;
        let file = FileLocator { path, stamp: self.file.stamp };
        let Span { offset, len } = self.span;
        let undivided = self.grain == Grain::Whole;
        serde_json::to_string(&Locator::Piece { file, offset, len, undivided }).ok()
    }

    fn file(&self) -> Option<FilePiece> {
        let Self { file, span: Span { offset, len }, .. } = self;
        let path = absolute(&file.path()).ok()?;
        Some(FilePiece { path, size: file.size(), modified: file.stamp.modified(), offset: *offset, len: *len })
    }

    fn remote(&self) -> Option<u64> {
        self.file.stamp.remote()
    }
}

/// A file that could not be planned. The plan records the reason.
#[derive(Debug)]
pub(super) struct Missing(Unreadable);

impl Missing {
    pub(super) fn new(message: String, size: u64) -> Self {
        Self(Unreadable::new(Failure::new(FailureKind::InvalidPartition, message), size))
    }
}

impl Content for Missing {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.0.read(offset, len)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        self.0.whole()
    }

    fn place(&self) -> Option<String> {
        let lost = self.0.whole().err()?.message;
        serde_json::to_string(&Locator::Lost { lost, size: self.0.size() }).ok()
    }

    fn is_unreadable(&self) -> bool {
        true
    }
}

/// Serialized form of a content.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Locator {
    Piece {
        file: FileLocator,
        offset: u64,
        len: u64,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undivided: bool,
    },
    Lost {
        lost: String,
        size: u64,
    },
    Range(Integers),
}

/// Serialized form of a file.
#[derive(Serialize, Deserialize)]
struct FileLocator {
    /// Relative to the app's folder, or absolute, as in all records of older versions.
    path: PathBuf,
    stamp: Stamp,
}

/// Restores the content at a place that [`Content::place`] wrote. Reading it fails if the planned
/// bytes have changed. `folder` is the app's folder on this host, and `notes` collects remarks.
///
/// # Errors
/// `invalid-partition` if the text is not a place.
pub fn reopen(place: &str, folder: &Path, notes: &Arc<Notes>) -> Result<Arc<dyn Content>, Failure> {
    let wrong = |error: serde_json::Error| {
        Failure::new(FailureKind::InvalidPartition, format!("the stored location of a partition is invalid: {error}"))
    };
    Ok(match serde_json::from_str::<Locator>(place).map_err(wrong)? {
        Locator::Piece { file, offset, len, undivided } => {
            let home = Arc::new(PlanContext::new(folder, true, notes));
            let file = PlannedFile::new(&home, &file.path, file.stamp);
            let piece = Piece::new(&Arc::new(file), Span { offset, len });
            Arc::new(if undivided { piece.undivided() } else { piece })
        }
        Locator::Lost { lost, size } => Arc::new(Missing::new(lost, size)),
        Locator::Range(integers) => Arc::new(integers),
    })
}

#[cfg(test)]
mod tests;
