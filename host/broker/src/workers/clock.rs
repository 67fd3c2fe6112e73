//! Times of a worker's attempts on the root's clock.
//!
//! The offset between the two clocks is unknown, but bounded by each exchange: an order arrives
//! after the root has claimed its attempt. The root uses the highest of these bounds. So an attempt
//! lies as early as it can, behind its claim, and its end is not later than the root hears of it;
//! and the attempts of one worker keep their distances. Times that do not fit are moved to where
//! they do.

use frond_root::Ticket;
use tokio::time::Instant;

use crate::frames::Started;
use crate::outcome::{MAX_NUMBER, micros, time};

/// Bound on the offset of a worker's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerClock {
    /// Time on the root's clock from which times count here.
    base: Instant,
    /// The worker's clock shows 0 at this time, in microseconds from `base`, or later. `None`
    /// before the first attempt.
    zero: Option<i64>,
}

impl WorkerClock {
    /// No bound yet, for a worker that joins at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self { base: now, zero: None }
    }

    /// Returns the time at which an attempt began, of which the root hears at `now`: not before its
    /// claim, and not after `now`.
    pub(super) fn began(&mut self, started: &Started, ticket: &Ticket, now: Instant) -> Instant {
        let Some(at) = started.at.map(number) else { return now };
        let received = at - number(started.queued);
        let claimed = self.since_base(ticket.claimed.min(now));
        let latest = self.since_base(now) - at;
        let own = (claimed - received).min(latest);
        // A clock that is faster than the root's has overtaken its bound.
        let zero = self.zero.filter(|zero| *zero <= latest).map_or(own, |zero| zero.max(own));
        self.zero = Some(zero);
        let after_claim = u64::try_from(at.saturating_add(zero).saturating_sub(claimed)).unwrap_or_default();
        (ticket.claimed + time(after_claim)).min(now)
    }

    /// Returns the time at which an attempt ended that began at `began`, of which the root hears at
    /// `now`: not before it began, and not after `now`. `lasted` is what the worker says of its
    /// length.
    pub(super) fn ended(&mut self, began: Instant, lasted: Option<u64>, now: Instant) -> Instant {
        let Some(lasted) = lasted else { return now };
        let ended = began + time(lasted);
        let excess = number(micros(ended.saturating_duration_since(now)));
        self.zero = self.zero.map(|zero| zero.saturating_sub(excess));
        ended.min(now)
    }

    /// Microseconds from the base to a time, which may be before it.
    fn since_base(&self, time: Instant) -> i64 {
        let after = number(micros(time.saturating_duration_since(self.base)));
        after - number(micros(self.base.saturating_duration_since(time)))
    }
}

/// A number of microseconds, within [`MAX_NUMBER`].
fn number(micros: u64) -> i64 {
    i64::try_from(micros.min(MAX_NUMBER)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
