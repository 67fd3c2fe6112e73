//! Contents that a worker pulls from the root that has them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use frond_root::share::Share;
use frond_root::{Content, Failure, FailureKind, Grain, PullTimes, Units};
use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

use super::read_ahead::{Next, ReadAhead};
use crate::frames::{self, AttemptOf, MOST_PULLED_AHEAD, Pull, Said, owned};
use crate::outcome::{failure_of, micros};
use crate::session::FrameSender;

/// Bytes that are read ahead beyond the end of an attempt's share, for its last record.
const BEYOND: u64 = 64 << 10;

/// Bytes, or the reason why there are none.
type Pulled = Result<Bytes, Failure>;

/// Next number under which reads are known to the pool of threads that wait for them, counted down
/// from the largest: file systems have small numbers.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(u64::MAX);

/// Pulls of one session that are not answered.
pub(super) struct Pulls {
    sender: FrameSender,
    /// Number under which the pool of threads that wait for reads knows this root: one that does
    /// not answer must not hold up the reads from others.
    root: u64,
    /// Number of the reads of files for this root: a file system that does not answer must not hold
    /// up the reads from the root.
    files: u64,
    next: AtomicU64,
    /// `None` once the session is lost.
    open: Mutex<Option<HashMap<u64, Weak<PullAnswer>>>>,
    /// Number of blocks that are read ahead and not dropped.
    ahead: AtomicUsize,
}

/// Answer of a pull, which its reader waits for. Dropping it gives the pull up.
struct PullAnswer {
    pulls: Arc<Pulls>,
    pull: u64,
    len: u64,
    answer: Mutex<Option<Pulled>>,
    answered: Condvar,
    /// True for one of the blocks that are read ahead.
    is_ahead: bool,
}

impl PullAnswer {
    /// Waits for the bytes on this thread.
    fn wait(&self) -> Pulled {
        let mut answer = self.answer.lock();
        loop {
            match &*answer {
                Some(pulled) => return pulled.clone(),
                None => self.answered.wait(&mut answer),
            }
        }
    }

    /// Sets the answer.
    fn set(&self, pulled: Pulled) {
        let pulled = pulled.and_then(|bytes| {
            let fits = bytes.len() as u64 <= self.len;
            let wrong = || Failure::new(FailureKind::Lost, "the root sent more of its content than was asked for");
            // A small block would hold on to the packet that it came in.
            if fits { Ok(if self.is_ahead { owned(bytes) } else { bytes }) } else { Err(wrong()) }
        });
        *self.answer.lock() = Some(pulled);
        self.answered.notify_all();
    }
}

impl Drop for PullAnswer {
    fn drop(&mut self) {
        if self.is_ahead {
            self.pulls.ahead.fetch_sub(1, Ordering::SeqCst);
        }
        if let Some(open) = self.pulls.open.lock().as_mut() {
            open.remove(&self.pull);
        }
    }
}

fn lost() -> Failure {
    Failure::new(FailureKind::Lost, "the root was lost while its content was read")
}

impl Pulls {
    pub(super) fn new(sender: FrameSender) -> Arc<Self> {
        let number = || NEXT_NUMBER.fetch_sub(1, Ordering::Relaxed);
        let open = Mutex::new(Some(HashMap::new()));
        let next = AtomicU64::new(0);
        Arc::new(Self { sender, root: number(), files: number(), next, open, ahead: AtomicUsize::new(0) })
    }

    /// Asks for bytes.
    fn ask(self: &Arc<Self>, of: AttemptOf, range: Range<u64>, is_ahead: bool) -> Arc<PullAnswer> {
        let pull = self.next.fetch_add(1, Ordering::Relaxed);
        let len = range.end - range.start;
        let answer = Mutex::new(None);
        let asked = Arc::new(PullAnswer { pulls: self.clone(), pull, len, answer, answered: Condvar::new(), is_ahead });
        let is_open = self.open.lock().as_mut().map(|open| open.insert(pull, Arc::downgrade(&asked))).is_some();
        if is_open {
            self.sender.post(frames::encoded(Said::Pull(Pull { pull, of, offset: range.start, len })));
        } else {
            asked.set(Err(lost()));
        }
        asked
    }

    /// Asks for a block that nobody waits for yet, unless there are many of those.
    fn ask_ahead(self: &Arc<Self>, of: AttemptOf, range: Range<u64>) -> Option<Arc<PullAnswer>> {
        let more = |ahead: usize| (ahead < MOST_PULLED_AHEAD).then_some(ahead + 1);
        self.ahead.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(self.ask(of, range, true))
    }

    /// Takes the answer to a pull.
    pub(super) fn answered(&self, content: frames::Content) {
        let frames::Content { pull, bytes, failure } = content;
        let asked = self.open.lock().as_mut().and_then(|open| open.remove(&pull));
        // Nobody waits any more if its leaf was stopped.
        if let Some(asked) = asked.and_then(|asked| asked.upgrade()) {
            asked.set(match failure {
                None => Ok(bytes),
                Some(failure) => Err(*failure_of(&failure)),
            });
        }
    }

    /// Ends all pulls: the session is lost.
    pub(super) fn close(&self) {
        let open = self.open.lock().take();
        // Dropping an answer takes the lock.
        for asked in open.into_iter().flatten().filter_map(|(_, asked)| asked.upgrade()) {
            asked.set(Err(lost()));
        }
    }
}

/// Content at the root.
pub(super) struct PulledContent {
    pulls: Arc<Pulls>,
    of: AttemptOf,
    size: u64,
    units: Units,
    share: Option<Arc<Share>>,
    /// `None` once the attempt has ended.
    reads: Mutex<Option<ReadAhead<Arc<PullAnswer>>>>,
    times: Mutex<Option<PullTimes<Instant>>>,
}

impl PulledContent {
    /// Content of an attempt, with the attempt's share.
    pub(super) fn new(pulls: Arc<Pulls>, of: AttemptOf, size: u64, units: Units, share: Option<Arc<Share>>) -> Self {
        Self { pulls, of, size, units, share, reads: Mutex::new(Some(ReadAhead::default())), times: Mutex::default() }
    }

    /// Times of all reads so far; `None` before the first.
    pub(super) fn times(&self) -> Option<PullTimes<Instant>> {
        *self.times.lock()
    }

    /// Notes a read that began at `from`.
    fn note(&self, from: Instant, bytes: usize) {
        let to = Instant::now();
        let mut times = self.times.lock();
        let PullTimes { from: first, waited, reads, bytes: before, .. } =
            times.unwrap_or(PullTimes { from, to, waited: 0, reads: 0, bytes: 0 });
        let waited = waited + micros(to.saturating_duration_since(from));
        *times = Some(PullTimes { from: first, to, waited, reads: reads + 1, bytes: before + bytes as u64 });
    }

    /// Number under which the pool of threads knows reads of the content's file, if the worker has
    /// the file.
    pub(super) fn file_number(&self) -> u64 {
        self.pulls.files
    }

    /// Ends all reads, before the root hears that the attempt has ended: it takes none after that.
    /// A read may outlive its leaf, which was stopped.
    pub(super) fn close(&self) {
        self.reads.lock().take();
    }

    /// Byte after the last that is read ahead: the leaf takes no more pieces beyond its share.
    fn limit(&self) -> u64 {
        let share = self.share.as_ref().filter(|_| self.units.grain == Grain::Byte);
        share.map_or(self.size, |share| share.stretch().end.saturating_add(BEYOND).min(self.size))
    }

    /// Next bytes of a read that has come to `at`; empty where the content ends.
    fn next(&self, at: u64, end: u64) -> Pulled {
        let limit = self.limit();
        let ask = |range| self.pulls.ask(self.of, range, false);
        let ask_ahead = |range| self.pulls.ask_ahead(self.of, range);
        let next = self.reads.lock().as_mut().map(|reads| reads.next(at, end, limit, ask, ask_ahead));
        let over = || Failure::new(FailureKind::Cancelled, "its attempt has ended");
        let (range, asked) = match next.ok_or_else(over)? {
            Next::Tail(bytes) => return Ok(within(&bytes, 0, end - at)),
            Next::Block(range, asked) => (range, asked),
        };
        // Without the lock: the root may take long.
        let pulled = asked.wait()?;
        Ok(within(&pulled, at - range.start, end - at))
    }

    /// Reads a range that is not empty.
    fn pull(&self, range: Range<u64>) -> Pulled {
        self.reads.lock().iter_mut().for_each(|reads| reads.begin(&range));
        let mut at = range.start;
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while at < range.end {
            let read = self.next(at, range.end)?;
            if read.is_empty() {
                break;
            }
            at += read.len() as u64;
            if first.is_empty() {
                first = read;
                continue;
            }
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&read);
        }
        let bytes = if all.is_empty() { first } else { all.freeze() };
        self.reads.lock().iter_mut().for_each(|reads| reads.end(at, &bytes));
        Ok(bytes)
    }
}

/// At most `len` bytes from `offset`.
fn within(bytes: &Bytes, offset: u64, len: u64) -> Bytes {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(index(offset)..index(offset.saturating_add(len)))
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
        let from = Instant::now();
        let pulled = self.pull(offset..end);
        self.note(from, pulled.as_ref().map_or(0, Bytes::len));
        if pulled.is_err() {
            self.reads.lock().iter_mut().for_each(ReadAhead::reset);
        }
        pulled
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

#[cfg(test)]
mod tests;
