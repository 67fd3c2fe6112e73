//! Answers that are being sent, charged to the budget for bodies until their last byte has left the
//! process.
//! A reader without progress for too long loses its connection. If answers exceed the budget, the
//! slowest readers lose theirs.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

use crate::budget::{Budget, Charge, SMALL};
use crate::links::{CloseReason, Link, Links, RequestGuard};

/// The most bytes that are passed on at once; progress is measured in these pieces.
const PIECE: usize = 64 << 10;
/// Readers without progress for this time may be cut off if answers exceed the budget.
const SLOW: Duration = Duration::from_secs(1);

/// The answers that are being sent.
pub(crate) struct Sending {
    budget: Arc<Budget>,
    links: Arc<Links>,
    next: AtomicU64,
    answers: Mutex<HashMap<u64, Arc<Answer>>>,
}

/// An answer, or a part of one, in memory.
struct Answer {
    bytes: u64,
    /// Time of the last progress, on the clock of the links.
    since: AtomicU64,
    link: Arc<Link>,
}

/// RAII entry of an answer: removed when its last byte was sent, or it is no longer wanted.
struct AnswerEntry {
    number: u64,
    answer: Arc<Answer>,
    sending: Arc<Sending>,
    _charge: Charge,
}

impl Drop for AnswerEntry {
    fn drop(&mut self) {
        self.sending.answers.lock().remove(&self.number);
    }
}

/// Bytes with their entry: every slice of them keeps the entry alive.
struct Owner {
    bytes: Bytes,
    _entry: Arc<AnswerEntry>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Sending {
    pub(crate) fn new(most: u64, links: Arc<Links>) -> Arc<Self> {
        Arc::new(Self { budget: Budget::new(most), links, next: AtomicU64::new(0), answers: Mutex::default() })
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(crate) fn links(&self) -> &Arc<Links> {
        &self.links
    }

    fn begin(self: &Arc<Self>, bytes: u64, link: &Arc<Link>) -> Arc<AnswerEntry> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let since = AtomicU64::new(self.links.now());
        let answer = Arc::new(Answer { bytes, since, link: link.clone() });
        self.answers.lock().insert(number, answer.clone());
        let charge = self.budget.charge(bytes);
        self.make_room();
        Arc::new(AnswerEntry { number, answer, sending: self.clone(), _charge: charge })
    }

    /// True if an answer fits into the budget, before it is begun.
    /// If not, the slowest readers are cut off and the client must retry: keeping the answer until
    /// then would exceed the budget.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let missing = self.budget.missing(bytes);
        self.cut_off(missing);
        missing == 0
    }

    /// Charges an answer that is about to be made; `None` if it does not fit into the budget. Drop
    /// the charge when the answer is sent, which charges it again.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Charge> {
        self.budget.reserve(bytes as u64).inspect_err(|missing| self.cut_off(*missing)).ok()
    }

    /// Cuts off the slowest readers until answers fit into the budget.
    fn make_room(&self) {
        self.cut_off(self.budget.over());
    }

    /// Cuts off the slowest readers until this many bytes are released.
    fn cut_off(&self, mut over: u64) {
        if over == 0 {
            return;
        }
        let mut slow = self.stalled(SLOW);
        // Cutting off readers of small answers would make no room.
        slow.retain(|answer| answer.bytes > SMALL);
        slow.sort_by_key(|answer| answer.since.load(Ordering::Relaxed));
        for answer in slow {
            if over == 0 {
                return;
            }
            self.links.close(&answer.link, CloseReason::SlowReader);
            over = over.saturating_sub(answer.bytes);
        }
    }

    /// Closes the connections of readers without progress for `patience`.
    pub(crate) fn look(&self, patience: Duration) {
        for answer in self.stalled(patience) {
            self.links.close(&answer.link, CloseReason::SlowReader);
        }
    }

    fn stalled(&self, patience: Duration) -> Vec<Arc<Answer>> {
        let now = self.links.now();
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let is_stalled = |answer: &&Arc<Answer>| now.saturating_sub(answer.since.load(Ordering::Relaxed)) > patience;
        self.answers.lock().values().filter(is_stalled).cloned().collect()
    }
}

/// Extension of a response whose body was charged before it was made.
#[derive(Clone)]
pub(crate) struct Reserved(#[expect(dead_code, reason = "held for its drop")] Arc<Charge>);

impl Reserved {
    pub(crate) fn new(charge: Charge) -> Self {
        Self(Arc::new(charge))
    }
}

/// A response's body that is being sent.
pub(crate) struct SendingBody {
    body: Body,
    sending: Arc<Sending>,
    busy: RequestGuard,
    /// A body of known size is charged before it is polled.
    whole: Option<Arc<AnswerEntry>>,
    /// The rest of the last frame.
    rest: Bytes,
    entry: Option<Arc<AnswerEntry>>,
}

impl SendingBody {
    /// Wraps a body. `busy` marks a request of its connection as running.
    pub(crate) fn new(body: Body, sending: Arc<Sending>, busy: RequestGuard) -> Self {
        let whole = body.size_hint().exact().filter(|bytes| *bytes > 0);
        let whole = whole.map(|bytes| sending.begin(bytes, busy.link()));
        Self { body, sending, busy, whole, rest: Bytes::new(), entry: None }
    }

    fn piece(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            self.entry = None;
            return None;
        }
        if let Some(entry) = &self.entry {
            entry.answer.since.store(self.sending.links.now(), Ordering::Relaxed);
        }
        Some(self.rest.split_to(PIECE.min(self.rest.len())))
    }

    fn hold(&mut self, bytes: Bytes) {
        let size = bytes.len() as u64;
        let whole = self.whole.take().filter(|whole| whole.answer.bytes == size);
        let entry = whole.unwrap_or_else(|| self.sending.begin(size, self.busy.link()));
        self.rest = Bytes::from_owner(Owner { bytes, _entry: entry.clone() });
        self.entry = Some(entry);
    }
}

impl HttpBody for SendingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        loop {
            if let Some(piece) = self.piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => self.hold(data),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests;
