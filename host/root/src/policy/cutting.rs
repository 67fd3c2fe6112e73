//! Cutting on idle: when a slot is idle and nothing is left to start, the running share with the
//! longest expected rest is cut in half (work stealing by halves). That needs neither speeds nor a
//! model of the work: a share that was cut too early, or of a slow leaf, is cut again.

use std::time::Duration;

use crate::share::Pace;

/// The most shares of one partition that are cut off from others, and the most failures after which
/// its retries begin anew.
pub const MAX_PIECES: u32 = 64;
/// The least expected rest of a share that is cut.
pub const MIN_REST: Duration = Duration::from_millis(2);
/// A share is cut only if its expected rest is at least this many times the price of a cut.
pub const MIN_PRICES: u32 = 4;

/// Expected time until a share is done: its units over its own rate, or its age while the rate is
/// unknown.
#[must_use]
pub fn expected_rest(pace: &Pace) -> Duration {
    match pace.rate {
        Some(rate) => Duration::try_from_secs_f64(pace.left as f64 / rate).unwrap_or(Duration::MAX),
        None => pace.age,
    }
}

/// Chooses the running share to cut, if one is worth it. A cut costs `price`: the time from a claim
/// to the first piece, and one more merge.
pub fn choose<K>(running: impl IntoIterator<Item = (K, Pace)>, price: Duration) -> Option<K> {
    let least = (price * MIN_PRICES).max(MIN_REST);
    let rests = running.into_iter().map(|(key, pace)| (key, expected_rest(&pace)));
    rests.filter(|(_, rest)| *rest >= least).max_by_key(|(_, rest)| *rest).map(|(key, _)| key)
}
