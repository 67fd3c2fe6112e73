//! A file, or a piece of one, as a partition's content: opened when its leaf runs, and refused if it has changed.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use frond_root::{Content, Failure, FailureKind};
use serde::{Deserialize, Serialize};

use super::cut::Span;

/// A regular file as it was when it was planned.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Planned {
    path: Box<Path>,
    stamp: Stamp,
}

/// What tells a file from what it was. Blind to a change that keeps the size and falls into the same tick of the file
/// system's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    device: u64,
    inode: u64,
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

/// Why a file could not be planned.
#[derive(Debug)]
pub(super) enum Unplanned {
    /// It is not a regular file but this, and was not opened: opening it may block for ever.
    Special(&'static str),
    /// The system's reason.
    Io(io::Error),
}

impl Planned {
    /// Opens the file, so that what cannot be read is known before anything runs.
    pub(super) fn open(path: &Path) -> Result<(Self, File), Unplanned> {
        let before = fs::metadata(path).map_err(Unplanned::Io)?;
        if !before.is_file() {
            return Err(Unplanned::Special(what_is(before.file_type())));
        }
        let file = File::open(path).map_err(Unplanned::Io)?;
        let planned = Self { path: path.into(), stamp: Stamp::of(&file.metadata().map_err(Unplanned::Io)?) };
        Ok((planned, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.stamp.size
    }

    /// Opens it again.
    pub(super) fn reopen(&self) -> Result<File, Failure> {
        // Before it is opened: what is now a named pipe would block.
        self.unchanged(&fs::metadata(&self.path).map_err(|error| self.unreadable(&error))?)?;
        let file = File::open(&self.path).map_err(|error| self.unreadable(&error))?;
        self.unchanged(&file.metadata().map_err(|error| self.unreadable(&error))?)?;
        Ok(file)
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, Failure> {
        let mut file = self.reopen()?;
        let mut bytes = Vec::with_capacity(len);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| (&file).take(len as u64).read_to_end(&mut bytes))
            .map_err(|error| self.unreadable(&error))?;
        // Once more: it may have changed while it was read.
        self.unchanged(&file.metadata().map_err(|error| self.unreadable(&error))?)?;
        if bytes.len() == len { Ok(bytes) } else { Err(self.changed()) }
    }

    fn unchanged(&self, found: &Metadata) -> Result<(), Failure> {
        if Stamp::of(found) == self.stamp { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> Failure {
        let message = format!("`{}` has changed since it was planned", self.path.display());
        Failure::new(FailureKind::InvalidPartition, message)
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        let path = self.path.display();
        if error.kind() == io::ErrorKind::NotFound {
            let message = format!("`{path}` is gone since it was planned");
            return Failure::new(FailureKind::InvalidPartition, message);
        }
        Failure::new(FailureKind::Unavailable, format!("cannot read `{path}`: {error}"))
    }
}

fn what_is(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "something special"
    }
}

/// A span of a planned file.
#[derive(Debug)]
pub(super) struct Piece {
    file: Arc<Planned>,
    span: Span,
}

impl Piece {
    pub(super) fn new(file: &Arc<Planned>, span: Span) -> Self {
        Self { file: Arc::clone(file), span }
    }

    pub(super) fn whole(file: Planned) -> Self {
        let span = Span { offset: 0, len: file.size() };
        Self::new(&Arc::new(file), span)
    }
}

impl Content for Piece {
    fn size(&self) -> u64 {
        self.span.len
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
        // Whoever goes on with it may stand elsewhere.
        let path = std::path::absolute(&self.file.path).ok()?.into_boxed_path();
        let file = Planned { path, stamp: self.file.stamp };
        serde_json::to_string(&Place { file, offset: self.span.offset, len: self.span.len }).ok()
    }
}

/// A piece as it is written down.
#[derive(Serialize, Deserialize)]
struct Place {
    file: Planned,
    offset: u64,
    len: u64,
}

/// The content at a place that [`Content::place`] wrote, which must be as it was planned.
///
/// # Errors
/// `invalid-partition` for a text that is no place.
pub fn reopen(place: &str) -> Result<impl Content + use<>, Failure> {
    let place = serde_json::from_str::<Place>(place);
    let wrong =
        |error| Failure::new(FailureKind::InvalidPartition, format!("the place of a partition is none: {error}"));
    let Place { file, offset, len } = place.map_err(wrong)?;
    Ok(Piece::new(&Arc::new(file), Span { offset, len }))
}
