//! One try at one partition: claimed by a runner, ended exactly once.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::failure::FailureKind;
use crate::limit::Limit;
use crate::plan::Partition;
use crate::share::Share;
use crate::work::{AttemptId, Done, Emission, Outcome, Ticket, Work};

/// RAII guard of a started attempt. The runner that holds it runs the leaf and ends it. Dropping it
/// without an end reports the attempt as `lost`.
#[derive(Debug)]
pub struct Attempt {
    work: Arc<dyn Work>,
    /// `None` once ended.
    ticket: Option<Ticket>,
    id: AttemptId,
    deadline: Instant,
    limit: Limit,
}

impl Attempt {
    /// Claims the next attempt for `slot`, and starts it. See [`Work::claim`].
    pub fn claim(work: &Arc<dyn Work>, slot: u32, now: Instant) -> Option<Self> {
        Some(Self::start(work.clone(), work.claim(slot, now)?, now))
    }

    /// Starts a claimed attempt.
    pub fn start(work: Arc<dyn Work>, ticket: Ticket, now: Instant) -> Self {
        work.start(&ticket, now);
        Self { work, id: ticket.id, deadline: ticket.deadline, limit: ticket.limit, ticket: Some(ticket) }
    }

    /// The query's bytes.
    #[must_use]
    pub fn query(&self) -> &Bytes {
        self.work.query()
    }

    /// Identity of the attempt.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        self.id
    }

    /// The partition's index in the plan.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.id.partition
    }

    /// Number of this attempt at the partition, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.id.number
    }

    /// The partition; `None` once ended.
    #[must_use]
    pub fn partition(&self) -> Option<&Partition> {
        self.ticket.as_ref().map(|ticket| &ticket.partition)
    }

    /// Time by which the leaf must have ended.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Limit that [`Attempt::deadline`] enforces.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// The query's leaves, which tell whether the attempt must stop.
    #[must_use]
    pub fn work(&self) -> &Arc<dyn Work> {
        &self.work
    }

    /// Cuts a running share, and starts an attempt at what is cut off. See [`Work::cut`].
    pub fn cut(work: &Arc<dyn Work>, slot: u32, now: Instant) -> Option<Self> {
        Some(Self::start(work.clone(), work.cut(slot, now)?, now))
    }

    /// Starts a copy of a slow attempt. See [`Work::copy`].
    pub fn copy(work: &Arc<dyn Work>, slot: u32, now: Instant) -> Option<Self> {
        Some(Self::start(work.clone(), work.copy(slot, now, &|_| true)?, now))
    }

    fn share(&self) -> Option<&Share> {
        self.ticket.as_ref()?.share.as_deref()
    }

    /// True once the leaf has asked for a piece.
    #[must_use]
    pub fn takes_pieces(&self) -> bool {
        self.share().is_some_and(Share::is_begun)
    }

    /// Begins anew, for a call that is made again: all of its units are handed out again, and what
    /// the leaf has emitted is forgotten.
    pub fn restart(&self) {
        if let Some(share) = self.share() {
            share.restart();
        }
        self.work.retract(self.id);
    }

    /// Hands out the next piece of the partition: see [`Work::poll_piece`].
    pub fn poll_piece(&self, now: Instant, context: &mut Context<'_>) -> Poll<Option<Range<u64>>> {
        match &self.ticket {
            Some(ticket) => self.work.poll_piece(ticket, now, context),
            None => Poll::Ready(None),
        }
    }

    /// Stores a partial of exactly the pieces that were handed out so far.
    pub fn keep(&self, partial: Bytes) {
        if let Some(share) = self.share() {
            let (Range { start: begin, end }, of) = share.keep();
            self.emit(Emission { partial, done: Done::Units { begin, end, of } });
        }
    }

    /// Gives up the pieces that are not handed out: the answer does not need them.
    pub fn skip_rest(&self, now: Instant) {
        if let Some(share) = self.share() {
            share.skip_rest(now);
        }
    }

    /// Stores the emission, replacing an earlier one. It counts if the leaf is cut off later.
    pub fn emit(&self, emission: Emission) {
        self.work.emit(self.id, emission);
    }

    /// Ends the attempt.
    pub fn end(mut self, outcome: Outcome, now: Instant) {
        self.report(outcome, now);
    }

    fn report(&mut self, outcome: Outcome, now: Instant) {
        if let Some(ticket) = self.ticket.take() {
            self.work.end(ticket, outcome, now);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            let lost = Outcome::failed(FailureKind::Lost, Duration::ZERO, "the runner dropped the attempt");
            self.report(lost, Instant::now());
        }
    }
}
