//! Byte budget of all bodies in flight.
//! A request's body is charged before it is read, until its query has ended; an answer's, until it
//! has been sent. A request waits for its share before a byte is read (backpressure). An answer is
//! in memory already, so it is charged at once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Size of a small body, in bytes. A part of the budget is reserved for these (bulkhead).
pub(crate) const SMALL: u64 = 64 << 10;
/// Divisor: this part of the budget is reserved for small bodies.
const FOR_SMALL: u64 = 8;
/// Divisor: this part of the budget is reserved for large answers, so that requests cannot starve
/// them.
const FOR_ANSWERS: u64 = 4;
/// Divisor: this part of the budget is reserved for large requests, whatever answers take.
const FOR_REQUESTS: u64 = 4;
/// Divisor: the large bodies of one token may use this part of the budget.
const OF_ONE: u64 = 2;

/// Byte budget for the bodies of requests and answers.
pub(crate) struct Budget {
    most: u64,
    taken: Mutex<BudgetUse>,
    /// Notified when bytes are released.
    freed: Notify,
}

/// Bytes in use.
#[derive(Default)]
struct BudgetUse {
    small: u64,
    requests: u64,
    answers: u64,
    /// Bytes of large requests by token.
    callers: HashMap<String, u64>,
}

/// The part of the budget that a body is charged to.
#[derive(Clone, Copy)]
enum Part {
    Small,
    /// A request over [`SMALL`].
    Request,
    /// An answer over [`SMALL`].
    Answer,
}

impl BudgetUse {
    fn all(&self) -> u64 {
        self.small.saturating_add(self.requests).saturating_add(self.answers)
    }

    fn of(&mut self, part: Part) -> &mut u64 {
        match part {
            Part::Small => &mut self.small,
            Part::Request => &mut self.requests,
            Part::Answer => &mut self.answers,
        }
    }
}

/// RAII guard of charged bytes: releases them when dropped.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
    part: Part,
    caller: Option<String>,
}

impl Budget {
    pub(crate) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), freed: Notify::new() })
    }

    /// The most bytes in flight.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// Bytes in flight.
    pub(crate) fn used(&self) -> u64 {
        self.taken.lock().all()
    }

    /// The most bytes of one large request.
    pub(crate) fn largest_request(most: u64) -> u64 {
        most - most / FOR_SMALL - most / FOR_ANSWERS
    }

    /// Bytes that are missing for an answer of this size: in the free budget or in the answers'
    /// reserve, whichever is larger.
    pub(crate) fn missing(&self, answer: u64) -> u64 {
        self.missing_beside(&self.taken.lock(), answer)
    }

    fn missing_beside(&self, taken: &BudgetUse, answer: u64) -> u64 {
        // A single answer is always admitted, whatever its size.
        if taken.answers == 0 || answer <= SMALL {
            return 0;
        }
        let beside = self.most.saturating_sub(taken.small + taken.requests);
        (taken.answers + answer).saturating_sub(beside.max(self.most / FOR_ANSWERS))
    }

    /// Bytes in use beyond the budget.
    pub(crate) fn over(&self) -> u64 {
        self.used().saturating_sub(self.most)
    }

    /// Charges a request's body, waiting until the budget allows it.
    pub(crate) async fn take(self: &Arc<Self>, bytes: u64, caller: Option<&str>) -> Charge {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on, no release is missed.
            freed.as_mut().enable();
            if let Some(charge) = self.try_take(bytes, caller) {
                return charge;
            }
            freed.await;
        }
    }

    fn try_take(self: &Arc<Self>, bytes: u64, caller: Option<&str>) -> Option<Charge> {
        let mut taken = self.taken.lock();
        let all = taken.all().saturating_add(bytes);
        if bytes <= SMALL {
            if all > self.most && taken.small.saturating_add(bytes) > self.most / FOR_SMALL {
                return None;
            }
        } else {
            let own = caller.and_then(|caller| taken.callers.get(caller)).copied().unwrap_or_default();
            // A single body is always admitted, whatever its size.
            let is_too_much = own > 0 && own.saturating_add(bytes) > self.most / OF_ONE;
            let requests = taken.requests.saturating_add(bytes);
            let is_beyond = all > self.most && requests > self.most / FOR_REQUESTS;
            if is_too_much || is_beyond || requests > Self::largest_request(self.most) {
                return None;
            }
        }
        Some(self.charged(&mut taken, bytes, Part::Request, caller))
    }

    /// Charges an answer that is about to be made.
    ///
    /// # Errors
    /// The bytes that are missing.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Charge, u64> {
        let mut taken = self.taken.lock();
        match self.missing_beside(&taken, bytes) {
            0 => Ok(self.charged(&mut taken, bytes, Part::Answer, None)),
            missing => Err(missing),
        }
    }

    /// Charges an answer, which is in memory already, even beyond the budget.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        self.charged(&mut self.taken.lock(), bytes, Part::Answer, None)
    }

    fn charged(self: &Arc<Self>, taken: &mut BudgetUse, bytes: u64, large: Part, caller: Option<&str>) -> Charge {
        let part = if bytes > SMALL { large } else { Part::Small };
        let caller = caller.filter(|_| bytes > SMALL).map(str::to_owned);
        *taken.of(part) += bytes;
        if let Some(caller) = &caller {
            *taken.callers.entry(caller.clone()).or_default() += bytes;
        }
        Charge { budget: self.clone(), bytes, part, caller }
    }

    fn give_back(&self, charge: &Charge, bytes: u64) {
        let mut taken = self.taken.lock();
        *taken.of(charge.part) -= bytes;
        if let Some(caller) = &charge.caller
            && let Some(own) = taken.callers.get_mut(caller)
        {
            *own -= bytes;
            if *own == 0 {
                taken.callers.remove(caller);
            }
        }
        drop(taken);
        self.freed.notify_waiters();
    }
}

impl Charge {
    /// Releases the bytes beyond `to`.
    pub(crate) fn shrink(&mut self, to: u64) {
        let rest = self.bytes.saturating_sub(to);
        self.bytes -= rest;
        self.budget.give_back(self, rest);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self, self.bytes);
    }
}

#[cfg(test)]
mod tests;
