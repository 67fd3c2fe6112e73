//! Contents that a worker pulls from the root that has them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use bytes::{Bytes, BytesMut};
use frond_root::{Content, Failure, FailureKind, Units};
use parking_lot::Mutex;

use crate::frames::{self, AttemptOf, Pull, Said};
use crate::outcome::failure_of;
use crate::session::FrameSender;

/// The most bytes of one pull.
pub const MAX_PULL: u64 = 1 << 20;

/// Number under which reads that wait for a root are known to the pool of threads that make them.
const FROM_A_ROOT: u64 = u64::MAX;

/// Bytes, or the reason why there are none.
type Pulled = Result<Bytes, Failure>;

/// Pulls of one session that are not answered.
pub(super) struct Pulls {
    sender: FrameSender,
    next: AtomicU64,
    /// `None` once the session is lost.
    open: Mutex<Option<HashMap<u64, SyncSender<Pulled>>>>,
}

impl Pulls {
    pub(super) fn new(sender: FrameSender) -> Arc<Self> {
        Arc::new(Self { sender, next: AtomicU64::new(0), open: Mutex::new(Some(HashMap::new())) })
    }

    /// Asks for bytes, and waits for them on this thread.
    fn pull(&self, of: AttemptOf, offset: u64, len: u64) -> Pulled {
        let lost = || Failure::new(FailureKind::Lost, "the root was lost while its content was read");
        let pull = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = sync_channel(1);
        self.open.lock().as_mut().ok_or_else(lost)?.insert(pull, answer);
        self.sender.post(frames::encoded(Said::Pull(Pull { pull, of, offset, len })));
        answered.recv().map_err(|_| lost())?
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
        let end = offset.saturating_add(len as u64).min(self.size.max(offset));
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
        Some(FROM_A_ROOT)
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
