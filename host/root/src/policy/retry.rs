//! Retries of failed attempts: whether there is one, and when.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

/// Retries allowed as a share of the attempts within [`WINDOW`].
pub const SHARE: f64 = 0.1;
/// Retries allowed within [`WINDOW`] whatever the share, so that small queries may retry.
pub const MIN_RETRIES: u64 = 10;
/// How far back attempts count.
pub const WINDOW: Duration = Duration::from_secs(10);
/// A retry that waits for so long is no storm, and needs no place in the budget.
pub const CALM: Duration = Duration::from_secs(1);
/// The longest wait that a failure may ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Rules for the attempts at one partition: exponential pauses with jitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// The most attempts, at least 1.
    pub attempts: u32,
    /// The pause before the second attempt, doubled before each further one.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// How long after the partition's first failure a retry may begin; `None` leaves it to the deadline.
    pub within: Option<Duration>,
}

impl Retry {
    /// The rules for a query that somebody waits for.
    pub const QUERY: Self =
        Self { attempts: 3, first: Duration::from_millis(10), most: Duration::from_secs(1), within: None };
    /// The rules for a job: a service that restarts is back within minutes.
    pub const JOB: Self = Self {
        attempts: 20,
        first: Duration::from_secs(1),
        most: Duration::from_secs(60),
        within: Some(Duration::from_secs(600)),
    };

    /// The pause before attempt `attempt` (from 2): exponential, with a jitter between one half and the whole that depends
    /// on nothing but `query` and `partition`, so that a query can be replayed.
    #[must_use]
    pub fn pause(&self, query: &impl Hash, partition: u32, attempt: u32) -> Duration {
        self.whole(attempt).mul_f64(jitter(query, partition, attempt))
    }

    /// When attempt `attempt` begins that follows a failure at `now`, the first of which was at `since`. A failure that
    /// `asks` for a wait is not tried again before. `None` when the rules allow no further attempt.
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
            // Not all at once, who were told the same.
            Some(asked) => {
                pause.max(asked.min(MAX_RETRY_AFTER) + self.first.mul_f64(jitter(query, partition, attempt)))
            }
            None => pause,
        };
        let at = now.checked_add(wait)?;
        let in_time = asks.is_some() || self.within.is_none_or(|within| at.saturating_duration_since(since) <= within);
        in_time.then_some(Next { at, calm: self.whole(attempt).max(wait) >= CALM })
    }

    /// The pause without its jitter.
    fn whole(&self, attempt: u32) -> Duration {
        self.first.saturating_mul(1 << attempt.saturating_sub(2).min(16)).min(self.most)
    }
}

/// A retry that the rules allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Next {
    /// Not before this.
    pub at: Instant,
    /// It waits for long enough to need no place in the budget.
    pub calm: bool,
}

fn jitter(query: &impl Hash, partition: u32, attempt: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (query, partition, attempt).hash(&mut hasher);
    0.5 + (hasher.finish() % 1024) as f64 / 2048.0
}

const BUCKET: Duration = Duration::from_secs(1);

/// Counts attempts and retries over a sliding window, in buckets of a second.
#[derive(Debug, Default)]
pub struct RetryBudget {
    buckets: VecDeque<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    from: Instant,
    attempts: u64,
    retries: u64,
}

impl RetryBudget {
    /// Counts an attempt that began.
    pub fn attempt(&mut self, now: Instant) {
        self.count(now, 1, 0);
    }

    /// Spends one retry, if there is one left.
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
