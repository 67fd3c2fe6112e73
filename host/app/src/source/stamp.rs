//! The identity of a file's content: what tells a file from what it was, with one look and without reading all of it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::local::is_local;

/// Bytes before the end that tell, once a file has grown, whether it is the same file.
const TAIL: u64 = 256;

/// Files that were written to within this time before they are planned may well be written to while the query runs: of
/// those the tail is kept.
const LIVELY: Duration = Duration::from_secs(3600);

/// A file's content as it was when it was planned.
///
/// Size and modification time identify it, on this machine, on a copy, or on another mount. Blind to a change that keeps
/// the size and falls into the same tick of the file system's clock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// The digest of the last [`TAIL`] bytes of a file that may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tail: Option<u64>,
    /// The file's identity, in the process that planned it: elsewhere the numbers are others.
    #[serde(skip)]
    here: Option<Identity>,
    /// Whether it is known to lie on a file system of this machine alone.
    #[serde(skip)]
    local: bool,
}

/// A file, whatever its names, as long as file systems stay mounted.
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

/// The result of comparing a file with what was planned of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    /// It is as it was.
    Same,
    /// Something was appended: what was planned is still there.
    Grown,
    /// It was replaced, cut off, or written to.
    Changed,
}

impl Stamp {
    /// The stamp of the open `file`; `now` is when its plan is made.
    pub(super) fn of(found: &Metadata, file: &File, now: SystemTime) -> io::Result<Self> {
        let size = found.size();
        // A time in the future counts as now.
        let lively = found.modified().is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age < LIVELY) || at > now);
        Ok(Self {
            size,
            modified: (found.mtime(), found.mtime_nsec()),
            tail: if lively { Some(tail(file, size)?) } else { None },
            here: Some(Identity::of(found)),
            local: is_local(file),
        })
    }

    /// The number of its file system, 0 where that is unknown, unless it is known to be one of this machine alone.
    pub(super) fn remote(&self) -> Option<u64> {
        (!self.local).then(|| self.here.map_or(0, |here| here.device))
    }

    /// Compares the open `file` with it.
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

    /// Archives and some file systems keep whole seconds only: a copy is told by those.
    fn is_same_time(&self, found: (i64, i64)) -> bool {
        let coarse = self.here.is_none() && (found.1 == 0 || self.modified.1 == 0);
        found.0 == self.modified.0 && (coarse || found.1 == self.modified.1)
    }
}

/// The digest of the last bytes of the first `size`.
fn tail(file: &File, size: u64) -> io::Result<u64> {
    let len = size.min(TAIL);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    match file.read_exact_at(&mut bytes, size - len) {
        // Cut off in between: what is looked at again then tells.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        read => read?,
    }
    let digest = Sha256::digest(&bytes);
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    Ok(u64::from_le_bytes(first))
}
