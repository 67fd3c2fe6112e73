//! Contents that a worker pulls from the root that has them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use bytes::{Bytes, BytesMut};
use frond_root::{Content, Failure, FailureKind, Units};
use parking_lot::Mutex;

use crate::frames::{self, AttemptOf, MAX_PULL, Pull, Said};
use crate::outcome::failure_of;
use crate::session::FrameSender;

/// Bytes, or the reason why there are none.
type Pulled = Result<Bytes, Failure>;

/// Number of the next session, counted down from the largest: file systems have small numbers.
static NEXT_ROOT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Pulls of one session that are not answered.
pub(super) struct Pulls {
    sender: FrameSender,
    /// Number under which the pool of threads that wait for reads knows this root: one that does
    /// not answer must not hold up the reads from others.
    root: u64,
    next: AtomicU64,
    /// `None` once the session is lost.
    open: Mutex<Option<HashMap<u64, SyncSender<Pulled>>>>,
}

impl Pulls {
    pub(super) fn new(sender: FrameSender) -> Arc<Self> {
        let root = NEXT_ROOT.fetch_sub(1, Ordering::Relaxed);
        Arc::new(Self { sender, root, next: AtomicU64::new(0), open: Mutex::new(Some(HashMap::new())) })
    }

    /// Asks for bytes, and waits for them on this thread.
    fn pull(&self, of: AttemptOf, offset: u64, len: u64) -> Pulled {
        let lost = || Failure::new(FailureKind::Lost, "the root was lost while its content was read");
        let pull = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = sync_channel(1);
        self.open.lock().as_mut().ok_or_else(lost)?.insert(pull, answer);
        self.sender.post(frames::encoded(Said::Pull(Pull { pull, of, offset, len })));
        let bytes = answered.recv().map_err(|_| lost())??;
        if bytes.len() as u64 > len {
            return Err(Failure::new(FailureKind::Lost, "the root sent more of its content than was asked for"));
        }
        Ok(bytes)
    }

    /// Takes the answer to a pull.
    pub(super) fn answered(&self, content: frames::Content) {
        let frames::Content { pull, bytes, failure } = content;
        let waiting = self.open.lock().as_mut().and_then(|open| open.remove(&pull));
        if let Some(waiting) = waiting {
            // Nobody waits any more if its leaf was stopped.
            let _ = waiting.try_send(match failure {
                None => Ok(bytes),
                Some(failure) => Err(*failure_of(&failure)),
            });
        }
    }

    /// Ends all pulls: the session is lost.
    pub(super) fn close(&self) {
        self.open.lock().take();
    }
}

/// Content at the root.
pub(super) struct PulledContent {
    pub(super) pulls: Arc<Pulls>,
    pub(super) of: AttemptOf,
    pub(super) size: u64,
    pub(super) units: Units,
}

impl fmt::Debug for PulledContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PulledContent").field("of", &self.of).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Content for PulledContent {
    fn size(&self) -> u64 {
        self.size
    }

    fn units(&self) -> Units {
        self.units
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        let end = offset.saturating_add(len as u64).min(self.size);
        if end <= offset {
            return Ok(Bytes::new());
        }
        if end - offset <= MAX_PULL {
            return self.pulls.pull(self.of, offset, end - offset);
        }
        let mut all = BytesMut::new();
        let mut at = offset;
        while at < end {
            let read = self.pulls.pull(self.of, at, (end - at).min(MAX_PULL))?;
            if read.is_empty() {
                break;
            }
            at += read.len() as u64;
            all.extend_from_slice(&read);
        }
        Ok(all.freeze())
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        self.read(0, usize::try_from(self.size).unwrap_or(usize::MAX))
    }

    fn remote(&self) -> Option<u64> {
        Some(self.pulls.root)
    }
}

/// Content that came with its order.
#[derive(Debug)]
pub(super) struct InlineContent {
    pub(super) bytes: Bytes,
    pub(super) size: u64,
    pub(super) units: Units,
}

impl Content for InlineContent {
    fn size(&self) -> u64 {
        self.size
    }

    fn units(&self) -> Units {
        self.units
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.bytes.read(offset, len)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(self.bytes.clone())
    }
}
