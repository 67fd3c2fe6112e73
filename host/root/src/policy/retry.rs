//! Whether and when a failed attempt is tried again.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

/// The most attempts that one partition may have.
pub const MAX_ATTEMPTS: u32 = 3;
/// Retries allowed as a share of the attempts within [`WINDOW`].
pub const SHARE: f64 = 0.1;
/// Retries allowed within [`WINDOW`] whatever the share, so that small queries may retry.
pub const MIN_RETRIES: u64 = 10;
/// How far back attempts count.
pub const WINDOW: Duration = Duration::from_secs(10);
/// The pause before the second attempt, doubled before each further one.
pub const BASE_PAUSE: Duration = Duration::from_millis(10);

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

/// The pause before attempt `attempt` (from 2): exponential, with a jitter between one half and the whole that depends
/// on nothing but `query` and `partition`, so that a query can be replayed.
#[must_use]
pub fn pause(query: &impl Hash, partition: u32, attempt: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (query, partition, attempt).hash(&mut hasher);
    let jitter = 0.5 + (hasher.finish() % 1024) as f64 / 2048.0;
    BASE_PAUSE.mul_f64(f64::from(1_u32 << attempt.saturating_sub(2).min(16)) * jitter)
}
