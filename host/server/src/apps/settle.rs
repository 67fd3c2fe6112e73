//! Debounce of one app's files: when what was seen is still, and how often files are looked at that never are.

use std::time::{Duration, Instant};

/// Files are still when two looks so long apart see the same.
pub(crate) const STILL: Duration = Duration::from_millis(200);
/// Files that never get still are taken as they are after so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest pause between two looks at files that never get still.
const LONGEST: Duration = Duration::from_secs(60);

/// An app whose files change.
pub(crate) struct Settling<T> {
    since: Instant,
    next: Instant,
    pause: Duration,
    last: T,
}

/// What a look at changing files found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileActivity {
    /// They are still.
    Still,
    /// They are not, and are taken as they are.
    Restless,
    /// They are not: there will be another look.
    Changing,
}

/// How restless an app's files have been: the pause before the next look at them doubles each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RestlessFiles(Duration);

impl RestlessFiles {
    /// After another time that the files did not get still.
    pub(crate) fn again(earlier: Option<Self>) -> Self {
        Self(earlier.map_or(PATIENCE, |Self(pause)| (pause * 2).min(LONGEST)))
    }
}

impl<T: PartialEq> Settling<T> {
    /// Files that were just seen to change.
    pub(crate) fn new(now: Instant, seen: T, restless: Option<RestlessFiles>) -> Self {
        let pause = restless.map_or(STILL, |RestlessFiles(pause)| pause);
        Self { since: now, next: now + pause, pause, last: seen }
    }

    /// When they are to be looked at.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Takes what they were seen to be. The pauses between looks grow.
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

    /// The pauses until files that change at each look are taken.
    fn pauses(start: Instant, restless: Option<RestlessFiles>) -> Vec<u64> {
        let mut settling = Settling::new(start, 0, restless);
        let (mut pauses, mut now) = (Vec::new(), start);
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
