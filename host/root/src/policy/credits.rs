//! Credits of a worker: the attempts, and the units of a share, that it has in advance.

use std::time::Duration;

/// The most attempts on their way to a worker, for each of its slots.
pub const MOST_AHEAD: usize = 64;
/// Longest time between two signs of life of a root or a worker, while either has work of the other.
pub const BEAT: Duration = Duration::from_millis(100);
/// Signs of life that may be missed until a worker counts as lost.
pub const MISSED_BEATS: u32 = 3;
/// The least time that the units of one lease should take: a cut moves only what is not leased.
pub const LEASE: Duration = Duration::from_millis(10);

/// The most attempts of a query that a worker of so many slots has at once. Beyond its slots it has
/// as many as its leaves take in two round trips, so that no slot waits for the next one, and a
/// slow worker holds little that others could run. `mean` is the average time of a leaf, if known.
#[must_use]
pub fn room(slots: usize, round_trip: Option<Duration>, mean: Option<Duration>) -> usize {
    let trip = round_trip.unwrap_or_default().as_secs_f64();
    let ahead = mean.map_or(0.0, |mean| slots as f64 * 2.0 * trip / mean.as_secs_f64());
    slots + (ahead as usize).min(slots * MOST_AHEAD)
}

/// Moving average of a leaf's time with one more leaf. `None` before the first.
#[must_use]
pub fn mean(before: Option<Duration>, ran: Duration) -> Duration {
    before.map_or(ran, |before| before - before / 8 + ran / 8).max(Duration::from_nanos(1))
}

/// Time that the units of one lease to a worker should take, at this round trip.
#[must_use]
pub fn lease_time(round_trip: Option<Duration>) -> Duration {
    LEASE.max(round_trip.unwrap_or_default() * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_as_many_attempts_as_its_leaves_take_in_two_round_trips() {
        let ms = Duration::from_millis;
        assert_eq!(room(4, Some(ms(5)), None), 4);
        assert_eq!(room(4, Some(ms(5)), Some(ms(1000))), 4);
        assert_eq!(room(4, Some(ms(5)), Some(ms(10))), 8);
        assert_eq!(room(4, Some(ms(500)), Some(ms(1))), 4 + 4 * MOST_AHEAD);
        assert_eq!(mean(Some(ms(80)), ms(160)), ms(90));
        assert_eq!((lease_time(None), lease_time(Some(ms(50)))), (LEASE, ms(200)));
    }
}
