//! Waits of a leaf without a slot.

use std::time::Duration;

use tokio::time::Instant;

/// The most waits of one call that are named; of further ones only the sum is known.
pub const MAX_WAITS: usize = 16;

/// Waits of one call: their sum, and the longest ones.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    total: Duration,
    spans: Vec<(Instant, Instant)>,
}

impl Waits {
    /// Waits with this sum, of which these are the longest; at most [`MAX_WAITS`] are taken.
    #[must_use]
    pub fn summed(total: Duration, spans: impl IntoIterator<Item = (Instant, Instant)>) -> Self {
        Self { total, spans: spans.into_iter().take(MAX_WAITS).collect() }
    }

    /// Adds a wait, which ends after all earlier ones.
    pub fn add(&mut self, from: Instant, to: Instant) {
        self.total += length(&(from, to));
        self.spans.push((from, to));
        if self.spans.len() > MAX_WAITS {
            let shortest = self.spans.iter().enumerate().min_by_key(|(_, span)| length(span)).map(|(at, _)| at);
            shortest.map(|at| self.spans.remove(at));
        }
    }

    /// Sum of all waits.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The longest waits, from their start to their end, the first one first.
    #[must_use]
    pub fn spans(&self) -> &[(Instant, Instant)] {
        &self.spans
    }
}

fn length((from, to): &(Instant, Instant)) -> Duration {
    to.saturating_duration_since(*from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sum_is_exact_and_the_longest_are_named_in_order(lengths in prop::collection::vec(0_u64..1000, 0..60)) {
            let start = Instant::now();
            let mut waits = Waits::default();
            let mut at = start;
            for length in &lengths {
                let end = at + Duration::from_millis(*length);
                waits.add(at, end);
                at = end + Duration::from_millis(1);
            }
            prop_assert_eq!(waits.total(), Duration::from_millis(lengths.iter().sum()));
            prop_assert!(waits.spans().is_sorted());
            let mut longest = lengths.clone();
            longest.sort_unstable_by(|one, other| other.cmp(one));
            longest.truncate(MAX_WAITS);
            let mut named: Vec<u64> = waits.spans().iter().map(|span| length(span).as_millis() as u64).collect();
            named.sort_unstable_by(|one, other| other.cmp(one));
            prop_assert_eq!(named, longest);
        }
    }
}
