//! Round-trip estimator, and the time after which a packet is sent again (RFC 6298).

use std::time::Duration;

/// Shortest time until a packet without an acknowledgement is sent again. A busy peer may need a
/// few scheduling quanta to answer.
const MIN_TIMEOUT: Duration = Duration::from_millis(30);

/// Longest time until a packet without an acknowledgement is sent again.
const MAX_TIMEOUT: Duration = Duration::from_secs(1);

/// Time until a packet is sent again as long as no round trip was measured.
const FIRST_TIMEOUT: Duration = Duration::from_millis(100);

/// Most doublings of the timeout: enough to reach [`MAX_TIMEOUT`] from [`MIN_TIMEOUT`].
const MAX_DOUBLINGS: u32 = 6;

/// Smoothed round-trip time, with its variation.
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl RoundTrip {
    /// Takes a measured round trip.
    pub(super) fn measured(&mut self, took: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(took);
                self.variation = took / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(took)) / 4;
                self.smoothed = Some((smoothed * 7 + took) / 8);
            }
        }
    }

    /// The smoothed round-trip time, if any was measured.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Time until a packet is sent again, after so many timeouts without any answer.
    pub(super) fn timeout(&self, timeouts: u32) -> Duration {
        let first = match self.smoothed {
            None => FIRST_TIMEOUT,
            Some(smoothed) => (smoothed + self.variation * 4).clamp(MIN_TIMEOUT, MAX_TIMEOUT),
        };
        (first * 2_u32.pow(timeouts.min(MAX_DOUBLINGS))).min(MAX_TIMEOUT)
    }
}
