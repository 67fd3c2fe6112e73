//! Rate limit of log lines that clients cause.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The most log lines of one kind in one second.
const LINES: u64 = 10;

/// Rate limit of one kind of log lines.
pub(crate) struct LogLimit(Mutex<Option<Second>>);

/// The last second with lines.
struct Second {
    began: Instant,
    /// Lines in this second, with those that were not logged.
    count: u64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Decides whether to log a line; returns the number of earlier ones that were not logged.
    pub(crate) fn line(&self, now: Instant) -> Option<u64> {
        let mut second = self.0.lock();
        let mut unlogged = 0;
        if second.as_ref().is_none_or(|second| now.duration_since(second.began) >= Duration::from_secs(1)) {
            unlogged = second.as_ref().map_or(0, |second| second.count.saturating_sub(LINES));
            *second = Some(Second { began: now, count: 0 });
        }
        let second = second.as_mut()?;
        second.count += 1;
        (second.count <= LINES).then_some(unlogged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_ten_lines_and_the_next_one_says_how_many_are_missing() {
        let limit = LogLimit::new();
        let now = Instant::now();
        let logged = (0..100).filter(|_| limit.line(now) == Some(0)).count();
        assert_eq!(logged, 10);
        let later = now + Duration::from_secs(2);
        assert_eq!((limit.line(later), limit.line(later)), (Some(90), Some(0)));
    }
}
