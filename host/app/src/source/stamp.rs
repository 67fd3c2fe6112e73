//! Fingerprint of a file's content from its metadata: detects changes without reading the whole
//! file.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, SystemTime};

use frond_root::Digest;
use serde::{Deserialize, Serialize};

use crate::local::is_local;

/// Bytes before the planned end that identify a file after it has grown.
const TAIL: u64 = 256;

/// Age of the last write, at planning, below which a file may still be written to during the query.
/// The stamps of such files include the tail.
const LIVELY: Duration = Duration::from_secs(3600);

/// Fingerprint of a file's content at planning.
///
/// Size and modification time identify the content on this machine, on a copy, or on another mount.
/// A change is missed if it keeps the size and falls into the same tick of the file system's clock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// Modification time as seconds and nanoseconds.
    modified: (i64, i64),
    /// Digest of the last [`TAIL`] bytes of a file that may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tail: Option<u64>,
    /// Identity of the file, known only in the process that planned it: numbers differ elsewhere.
    #[serde(skip)]
    here: Option<Identity>,
    /// True if the file is known to lie on a local file system.
    #[serde(skip)]
    local: bool,
}

/// Identity of a file under any name, valid as long as file systems stay mounted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// Result of comparing a file with its stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    /// The file is unchanged.
    Same,
    /// Bytes were appended; the planned bytes are unchanged.
    Grown,
    /// The file was replaced, truncated or overwritten.
    Changed,
}

impl Stamp {
    /// Returns the stamp of the open `file`; `now` is the time of planning.
    pub(super) fn of(found: &Metadata, file: &File, now: SystemTime) -> io::Result<Self> {
        let size = found.size();
        // A modification time in the future counts as now.
        let lively = found.modified().is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age < LIVELY) || at > now);
        Ok(Self {
            size,
            modified: (found.mtime(), found.mtime_nsec()),
            tail: if lively { Some(tail(file, size)?) } else { None },
            here: Some(Identity::of(found)),
            local: is_local(file),
        })
    }

    /// Stamp of a file that another host has planned.
    pub(super) fn of_another_host(size: u64, (seconds, nanos): (i64, u32)) -> Self {
        Self { size, modified: (seconds, nanos.into()), tail: None, here: None, local: false }
    }

    /// Modification time as seconds and nanoseconds.
    pub(super) fn modified(&self) -> (i64, u32) {
        (self.modified.0, u32::try_from(self.modified.1).unwrap_or_default())
    }

    /// Device number of the file system, or 0 if unknown; `None` for a local file system.
    pub(super) fn remote(&self) -> Option<u64> {
        (!self.local).then(|| self.here.map_or(0, |here| here.device))
    }

    /// Compares the open `file` with the stamp.
    pub(super) fn compare(&self, found: &Metadata, file: &File) -> io::Result<Comparison> {
        let replaced = self.here.is_some_and(|here| here != Identity::of(found));
        if !found.is_file() || replaced || found.size() < self.size {
            return Ok(Comparison::Changed);
        }
        if found.size() == self.size {
            let same = self.is_same_time((found.mtime(), found.mtime_nsec()));
            return Ok(if same { Comparison::Same } else { Comparison::Changed });
        }
        match self.tail {
            Some(planned) if tail(file, self.size)? == planned => Ok(Comparison::Grown),
            _ => Ok(Comparison::Changed),
        }
    }

    /// True if the modification times agree. Archives and some file systems keep only whole
    /// seconds, so the stamp of another process is compared by seconds if one side has no
    /// nanoseconds.
    fn is_same_time(&self, found: (i64, i64)) -> bool {
        let coarse = self.here.is_none() && (found.1 == 0 || self.modified.1 == 0);
        found.0 == self.modified.0 && (coarse || found.1 == self.modified.1)
    }
}

/// Digest of the last [`TAIL`] bytes of the first `size`.
fn tail(file: &File, size: u64) -> io::Result<u64> {
    let len = size.min(TAIL);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    match file.read_exact_at(&mut bytes, size - len) {
        // Truncated since the metadata was read: the next check of the file reports it.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        read => read?,
    }
    let first = Digest::of(&bytes).0.first_chunk::<8>().copied().unwrap_or_default();
    Ok(u64::from_le_bytes(first))
}
