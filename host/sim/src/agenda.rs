//! Virtual time: an event heap, and instants that count from one base.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

/// Nanoseconds of a time.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Event heap. What is due at the same time happens in the order in which it was planned.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    /// Instant of time zero. Only differences to it are ever used.
    base: Instant,
    now: u64,
    planned: u64,
    done: u64,
    heap: BinaryHeap<Reverse<Entry<T>>>,
}

/// Planned event.
#[derive(Debug)]
struct Entry<T> {
    at: u64,
    number: u64,
    event: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<T> Agenda<T> {
    /// An empty agenda at time zero.
    pub(crate) fn new() -> Self {
        Self { base: Instant::now(), now: 0, planned: 0, done: 0, heap: BinaryHeap::new() }
    }

    /// Nanoseconds since time zero.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Number of events that have happened.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// The present as the root's decisions take it.
    pub(crate) fn instant(&self) -> Instant {
        self.instant_of(self.now)
    }

    /// A time as the root's decisions take it.
    pub(crate) fn instant_of(&self, at: u64) -> Instant {
        self.base + Duration::from_nanos(at)
    }

    /// A time of the root's decisions in nanoseconds since time zero.
    pub(crate) fn nanos_of(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.base))
    }

    /// Plans an event; one in the past happens now.
    pub(crate) fn plan(&mut self, at: u64, event: T) {
        self.planned += 1;
        self.heap.push(Reverse(Entry { at: at.max(self.now), number: self.planned, event }));
    }

    /// Moves on to the next event.
    pub(crate) fn next(&mut self) -> Option<T> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        self.done += 1;
        Some(entry.event)
    }
}
