//! Contents that a worker reads from files of its own, if it has the same ones as the root.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use frond_root::{Content, Failure, FilePiece, Units};

use super::content::PulledContent;

/// Files of this host that a worker reads in place of its roots.
pub trait FileReach: Debug + Send + Sync {
    /// Content of a file that a root names; `None` if the worker does not have it, or may not read
    /// it. Returns at once: the file is opened by reads. A read fails unless the file is as the
    /// root has planned it.
    fn content(&self, piece: &FilePiece) -> Option<Arc<dyn Content>>;
}

/// Content of a file that the worker may have. From the first read on that fails, it is pulled from
/// the root, which says what is wrong if the file has changed.
#[derive(Debug)]
pub(super) struct LocatedContent {
    file: Arc<dyn Content>,
    /// True once the file could not be read.
    is_lost: AtomicBool,
    pulled: Arc<PulledContent>,
}

impl LocatedContent {
    pub(super) fn new(file: Arc<dyn Content>, pulled: Arc<PulledContent>) -> Self {
        Self { file, is_lost: AtomicBool::new(false), pulled }
    }

    /// Bytes of the file, unless it cannot be read.
    fn read_file(&self, offset: u64, len: usize) -> Option<Bytes> {
        if self.is_lost.load(Ordering::Relaxed) {
            return None;
        }
        match self.file.read(offset, len) {
            Ok(bytes) => Some(bytes),
            Err(failure) => {
                self.is_lost.store(true, Ordering::Relaxed);
                tracing::debug!(%failure, "reads a content from the root, and not from its file");
                None
            }
        }
    }
}

impl Content for LocatedContent {
    fn size(&self) -> u64 {
        self.pulled.size()
    }

    fn units(&self) -> Units {
        self.pulled.units()
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.read_file(offset, len).map_or_else(|| self.pulled.read(offset, len), Ok)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        self.read(0, usize::try_from(self.size()).unwrap_or(usize::MAX))
    }

    fn remote(&self) -> Option<u64> {
        let is_lost = self.is_lost.load(Ordering::Relaxed);
        if is_lost { self.pulled.remote() } else { Some(self.pulled.file_number()) }
    }
}
