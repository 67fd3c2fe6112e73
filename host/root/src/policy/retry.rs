//! Retries of failed attempts: exponential back-off with jitter, and a retry budget.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

/// Allowed retries as a share of the attempts within [`WINDOW`].
pub const SHARE: f64 = 0.1;
/// Retries that are always allowed within [`WINDOW`], so that small queries may retry.
pub const MIN_RETRIES: u64 = 10;
/// Length of the sliding window.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Wait from which a retry is calm: it causes no retry storm and needs no place in the budget.
pub const CALM: Duration = Duration::from_secs(1);
/// The longest wait that a failure may ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Rules for retries of one partition: exponential back-off with jitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// The most attempts, at least 1.
    pub attempts: u32,
    /// Pause before the second attempt; doubled before each further one.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// Time after the partition's first failure within which a retry may begin; `None` leaves it to
    /// the deadline.
    pub within: Option<Duration>,
}

impl Retry {
    /// Rules for a foreground query.
    pub const QUERY: Self =
        Self { attempts: 3, first: Duration::from_millis(10), most: Duration::from_secs(1), within: None };
    /// Rules for a job: a service that restarts is back within minutes.
    pub const JOB: Self = Self {
        attempts: 20,
        first: Duration::from_secs(1),
        most: Duration::from_secs(60),
        within: Some(Duration::from_secs(600)),
    };

    /// Pause before attempt `attempt` (from 2): exponential back-off. The jitter, between one half
    /// and the whole, depends only on `query`, `partition` and `attempt`, so that a query can be
    /// replayed.
    #[must_use]
    pub fn pause(&self, query: &impl Hash, partition: u32, attempt: u32) -> Duration {
        self.whole(attempt).mul_f64(jitter(query, partition, attempt))
    }

    /// Schedules attempt `attempt` after a failure at `now`; the partition's first failure was at
    /// `since`. If the failure `asks` for a wait, the attempt begins no earlier. `None` when the
    /// rules allow no further attempt.
    #[must_use]
    pub fn next(
        &self,
        query: &impl Hash,
        (partition, attempt): (u32, u32),
        (since, now): (Instant, Instant),
        asks: Option<Duration>,
    ) -> Option<Next> {
        if attempt > self.attempts {
            return None;
        }
        let pause = self.pause(query, partition, attempt);
        let wait = match asks {
            // Jitter spreads the retries of callers that were given the same wait.
            Some(least) => {
                pause.max(least.min(MAX_RETRY_AFTER) + self.first.mul_f64(jitter(query, partition, attempt)))
            }
            None => pause,
        };
        let at = now.checked_add(wait)?;
        let in_time = asks.is_some() || self.within.is_none_or(|within| at.saturating_duration_since(since) <= within);
        in_time.then_some(Next { at, calm: self.whole(attempt).max(wait) >= CALM })
    }

    /// Pause without jitter.
    fn whole(&self, attempt: u32) -> Duration {
        self.first.saturating_mul(1 << attempt.saturating_sub(2).min(16)).min(self.most)
    }
}

/// Time of an allowed retry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Next {
    /// Earliest start of the retry.
    pub at: Instant,
    /// True when it waits long enough to need no place in the budget.
    pub calm: bool,
}

fn jitter(query: &impl Hash, partition: u32, attempt: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (query, partition, attempt).hash(&mut hasher);
    0.5 + (hasher.finish() % 1024) as f64 / 2048.0
}

const BUCKET: Duration = Duration::from_secs(1);

/// Retry budget: counts attempts and retries over a sliding window, in buckets of a second.
#[derive(Debug, Default)]
pub struct RetryBudget {
    buckets: VecDeque<Bucket>,
}

/// Attempts and retries of one interval.
#[derive(Debug)]
struct Bucket {
    from: Instant,
    attempts: u64,
    retries: u64,
}

impl RetryBudget {
    /// Counts a started attempt.
    pub fn attempt(&mut self, now: Instant) {
        self.count(now, 1, 0);
    }

    /// Takes a retry from the budget. False when none is left.
    pub fn spend(&mut self, now: Instant) -> bool {
        self.forget(now);
        let attempts: u64 = self.buckets.iter().map(|bucket| bucket.attempts).sum();
        let retries: u64 = self.buckets.iter().map(|bucket| bucket.retries).sum();
        let granted = retries < MIN_RETRIES.max((attempts as f64 * SHARE) as u64);
        if granted {
            self.count(now, 0, 1);
        }
        granted
    }

    fn forget(&mut self, now: Instant) {
        let old = |bucket: &Bucket| now.saturating_duration_since(bucket.from) > WINDOW;
        while self.buckets.front().is_some_and(old) {
            self.buckets.pop_front();
        }
    }

    fn count(&mut self, now: Instant, attempts: u64, retries: u64) {
        match self.buckets.back_mut() {
            Some(last) if now.saturating_duration_since(last.from) < BUCKET => {
                last.attempts += attempts;
                last.retries += retries;
            }
            _ => {
                self.forget(now);
                self.buckets.push_back(Bucket { from: now, attempts, retries });
            }
        }
    }
}
