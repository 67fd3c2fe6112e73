//! Credits of a worker: the attempts, and the units of a share, that it has in advance.

use std::time::Duration;

/// The most attempts on their way to a worker, for each of its slots.
pub const MOST_AHEAD: usize = 64;
/// The least time that the units of one lease should take: a cut moves only what is not leased.
pub const LEASE: Duration = Duration::from_millis(10);

/// Round trips in the time of a leaf up to which a slot may wait for its next one: one hundredth.
const LEAST_TRIPS: f64 = 0.01;

/// The least time that the first units of a share should take: that of a piece.
pub const FIRST_LEASE: Duration = Duration::from_millis(3);

/// The most attempts of a query that a worker of so many slots has at once. Beyond its slots it has
/// as many as its leaves take in two round trips, so that no slot waits for the next one, and a
/// slow worker holds little that others could run. `mean` is the average time of a leaf, if known:
/// beside leaves of a hundred round trips and more, none is ahead.
#[must_use]
pub fn room(slots: usize, round_trip: Option<Duration>, mean: Option<Duration>) -> usize {
    let trip = round_trip.unwrap_or_default().as_secs_f64();
    let trips = mean.map_or(0.0, |mean| trip / mean.as_secs_f64());
    let ahead = if trips > LEAST_TRIPS { (slots as f64 * 2.0 * trips).ceil() } else { 0.0 };
    slots + (ahead as usize).min(slots * MOST_AHEAD)
}

/// Whether a worker of so many slots, which had `room` for attempts and has `active` ones, gets
/// further ones: once half of those ahead have begun, so that several go in one message.
#[must_use]
pub fn is_low(slots: usize, room: usize, active: usize) -> bool {
    active <= usize::midpoint(slots, room)
}

/// Moving average of a leaf's time with one more leaf. `None` before the first.
#[must_use]
pub fn mean(before: Option<Duration>, ran: Duration) -> Duration {
    before.map_or(ran, |before| before - before / 8 + ran / 8).max(Duration::from_nanos(1))
}

/// Time that the first units of a share on a worker should take, at this round trip and at the
/// speed of the query's other leaves: until the next ones are there, whose number follows from the
/// share's own speed.
#[must_use]
pub fn first_lease_time(round_trip: Option<Duration>) -> Duration {
    FIRST_LEASE.max(round_trip.unwrap_or_default() * 3)
}

/// Time that the units of each further lease to a worker should take, at this round trip.
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
        assert_eq!(room(4, Some(ms(5)), Some(ms(500))), 4);
        assert_eq!(room(4, Some(ms(5)), Some(ms(499))), 5);
        assert_eq!(room(4, Some(ms(5)), Some(ms(10))), 8);
        assert_eq!(room(4, Some(ms(500)), Some(ms(1))), 4 + 4 * MOST_AHEAD);
        assert_eq!(mean(Some(ms(80)), ms(160)), ms(90));
        let low: Vec<_> = (3..9).filter(|active| is_low(4, 8, *active)).collect();
        assert_eq!(low, [3, 4, 5, 6]);
        assert!(is_low(4, 5, 4) && !is_low(4, 5, 5) && is_low(1, 1, 0) && is_low(1, 1, 1));
        assert_eq!((lease_time(None), lease_time(Some(ms(50)))), (LEASE, ms(200)));
        assert_eq!((first_lease_time(None), first_lease_time(Some(ms(50)))), (FIRST_LEASE, ms(150)));
    }
}
