//! Listing of a folder, read in batches: a folder may have more entries than a call may hold.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_primitives::fs::{OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, statat};
use wasmtime_wasi::p2::bindings::filesystem::types::{DirectoryEntry, ErrorCode};

use super::error::FileError;
use super::threads::Bulkhead;
use super::{Closing, Files, Node, system};

/// Most entries per batch.
const BATCH: usize = 256;

/// Folder that is being listed.
pub(super) struct Listing {
    folder: Option<Closing<Dir>>,
    lane: Arc<Bulkhead>,
    entries: VecDeque<Result<DirectoryEntry, FileError>>,
}

impl Listing {
    /// Opens a folder to list it.
    pub(super) async fn open(files: &Files, folder: Arc<Node>) -> Result<Self, FileError> {
        let places = files.places()?;
        let lane = folder.file.lane.clone();
        let dir = files.call(&lane, move || Ok(open(folder.file()?)?)).await?;
        let folder = Closing { inner: Some((dir, places)), lane: lane.clone() };
        Ok(Self { folder: Some(folder), lane, entries: VecDeque::new() })
    }

    /// Returns the next entry, in the order of the file system.
    pub(super) async fn next(&mut self, files: &Files) -> Result<Option<DirectoryEntry>, FileError> {
        if self.entries.is_empty()
            && let Some(folder) = self.folder.take()
        {
            let (folder, entries) = files.call(&self.lane, move || Ok(batch(folder))).await?;
            self.folder = folder;
            self.entries = entries;
        }
        self.entries.pop_front().transpose()
    }
}

fn open(folder: &File) -> io::Result<Dir> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(system::bits(OFlags::DIRECTORY | OFlags::NONBLOCK));
    Ok(Dir::new(cap_primitives::fs::open(folder, Path::new("."), &options)?)?)
}

/// Open folder, unless it is at its end, and the entries read so far.
type Batch = (Option<Closing<Dir>>, VecDeque<Result<DirectoryEntry, FileError>>);

/// Reads the next batch. Returns the folder only if there may be more entries.
fn batch(mut folder: Closing<Dir>) -> Batch {
    let mut entries = VecDeque::new();
    let Some((dir, _)) = folder.inner.as_mut() else { return (None, entries) };
    while entries.len() < BATCH {
        match dir.read() {
            None => return (None, entries),
            Some(Ok(entry)) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            Some(Ok(entry)) => entries.push_back(shown(dir, &entry)),
            Some(Err(error)) => {
                entries.push_back(Err(FileError::Io(error.into())));
                return (None, entries);
            }
        }
    }
    (Some(folder), entries)
}

fn shown(dir: &Dir, entry: &rustix::fs::DirEntry) -> Result<DirectoryEntry, FileError> {
    let kind = match entry.file_type() {
        // Some file systems do not report the type here.
        FileType::Unknown => statat(dir.fd().map_err(io::Error::from)?, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |found| FileType::from_raw_mode(found.st_mode)),
        kind => kind,
    };
    let name = entry.file_name().to_str().map_err(|_| FileError::Code(ErrorCode::IllegalByteSequence))?;
    Ok(DirectoryEntry { type_: system::type_of(kind), name: name.to_owned() })
}
