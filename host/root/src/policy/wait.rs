//! Adaptive wait: how long the gather goes on once the floor is reached.
//!
//! The formula is that of Vespa's adaptive coverage (`InterleavedSearchInvoker`): the more answers
//! are pending, the longer the wait, as a share of the time left.

use std::time::Duration;

/// Share of the time left that the gather waits for the last pending partition.
pub const MIN_FACTOR: f64 = 0.1;
/// Share of the time left that the gather waits when as many are pending as may be missing.
pub const MAX_FACTOR: f64 = 0.5;

/// `left × (min + (max − min) × (pending − 1) / (allowed_missing − 1))`, the last factor within 0
/// and 1.
///
/// `pending` counts the unsettled partitions, `allowed_missing` those that may be missing under the
/// floor.
#[must_use]
pub fn adaptive_wait(left: Duration, pending: u64, allowed_missing: u64, min: f64, max: f64) -> Duration {
    let spread = match allowed_missing {
        0 | 1 => 0.0,
        _ => (pending.saturating_sub(1) as f64 / (allowed_missing - 1) as f64).min(1.0),
    };
    left.mul_f64((min + (max - min) * spread).clamp(0.0, 1.0))
}
