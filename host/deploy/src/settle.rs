//! Debounce of one app's files, with exponential back-off for files that never settle.

use std::time::{Duration, Instant};

/// Files are still if two snapshots this far apart are equal.
pub(crate) const STILL: Duration = Duration::from_millis(200);
/// Files that never settle are loaded as they are after this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest pause between two snapshots of files that never settle.
const LONGEST: Duration = Duration::from_secs(60);

/// Debounce state of one app.
pub(crate) struct Settling<T> {
    since: Instant,
    next: Instant,
    pause: Duration,
    last: T,
}

/// Result of one snapshot of changing files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileActivity {
    /// The files are still.
    Still,
    /// The files keep changing, and are loaded as they are.
    Restless,
    /// The files are changing: there will be another snapshot.
    Changing,
}

/// Back-off for files that never settle: the pause before the next snapshot doubles each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RestlessFiles(Duration);

impl RestlessFiles {
    /// The back-off after another failure to settle.
    pub(crate) fn again(earlier: Option<Self>) -> Self {
        Self(earlier.map_or(PATIENCE, |Self(pause)| (pause * 2).min(LONGEST)))
    }
}

impl<T: PartialEq> Settling<T> {
    /// Starts with a snapshot of files that have just changed.
    pub(crate) fn new(now: Instant, seen: T, restless: Option<RestlessFiles>) -> Self {
        let pause = restless.map_or(STILL, |RestlessFiles(pause)| pause);
        Self { since: now, next: now + pause, pause, last: seen }
    }

    /// Time of the next snapshot.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Compares a new snapshot with the last one. The pauses between snapshots grow.
    pub(crate) fn snapshot(&mut self, now: Instant, seen: T) -> FileActivity {
        if seen == self.last {
            return FileActivity::Still;
        }
        self.last = seen;
        if now.saturating_duration_since(self.since) >= PATIENCE {
            return FileActivity::Restless;
        }
        self.pause = (self.pause * 2).min(PATIENCE);
        self.next = now + self.pause;
        FileActivity::Changing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses until files that change at each snapshot are loaded.
    fn pauses(start: Instant, restless: Option<RestlessFiles>) -> Vec<u64> {
        let mut settling = Settling::new(start, 0, restless);
        let mut pauses = Vec::new();
        let mut now = start;
        for seen in 1.. {
            pauses.push(u64::try_from((settling.next() - now).as_millis()).unwrap());
            now = settling.next();
            if settling.snapshot(now, seen) == FileActivity::Restless {
                break;
            }
        }
        pauses
    }

    #[test]
    fn files_that_are_seen_twice_the_same_are_still() {
        let start = Instant::now();
        let mut settling = Settling::new(start, 1, None);
        assert_eq!(settling.next(), start + STILL);
        assert_eq!(settling.snapshot(start + STILL, 2), FileActivity::Changing);
        assert_eq!(settling.snapshot(settling.next(), 2), FileActivity::Still);
    }

    #[test]
    fn files_that_never_get_still_are_looked_at_ever_more_rarely() {
        let start = Instant::now();
        assert_eq!(pauses(start, None), [200, 400, 800, 1600, 3200, 6400]);
        let mut restless = RestlessFiles::again(None);
        for pause in [10_000, 20_000, 40_000, 60_000, 60_000] {
            assert_eq!(pauses(start, Some(restless)), [pause]);
            restless = RestlessFiles::again(Some(restless));
        }
    }
}
