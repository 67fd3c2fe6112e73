//! State of a query, updated by its events.

use std::time::Duration;

use bytes::Bytes;
use frond_root::answer::share;
use frond_root::{Coverage, Event, EventKind, Failure, PartitionKey};

use super::views::Counts;

/// State of a recorded query: its events, counts and running leaves.
#[derive(Default)]
pub(super) struct State {
    pub(super) events: Vec<Event>,
    pub(super) missed: u64,
    pub(super) counts: Counts,
    pub(super) weight: u64,
    pub(super) covered: u64,
    /// The attempt on each slot: start, partition, key and weight.
    pub(super) on_slots: Vec<Option<(u64, u32, PartitionKey, u64)>>,
    pub(super) slowest: Option<Slowest>,
    pub(super) preview: Option<SoFar>,
    pub(super) end: Option<End>,
}

/// A preview of the answer at some moment.
#[derive(Clone)]
pub(crate) struct SoFar {
    pub(crate) at: Duration,
    pub(crate) body: Bytes,
    pub(crate) fraction: f64,
}

/// The attempt that took longest.
#[derive(Clone, Debug)]
pub(crate) struct Slowest {
    pub(crate) key: PartitionKey,
    pub(crate) ms: f64,
}

/// The end of a query.
pub(super) struct End {
    pub(super) took: Duration,
    pub(super) outcome: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) coverage: Option<Box<Coverage>>,
    pub(super) answer: Option<(Bytes, usize)>,
}

impl State {
    /// The covered share of the weight, from 0 to 1.
    pub(super) fn fraction(&self) -> f64 {
        if self.weight == 0 { 0.0 } else { share(self.covered, self.weight) }
    }

    pub(super) fn count(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Planned { partitions, weight, .. } => {
                self.counts.planned = *partitions;
                self.weight = *weight;
            }
            EventKind::AttemptStarted { partition, key, slot, weight, .. } => {
                let slot = *slot as usize;
                if self.on_slots.len() <= slot {
                    self.on_slots.resize(slot + 1, None);
                }
                if let Some(place) = self.on_slots.get_mut(slot) {
                    *place = Some((event.at, *partition, key.clone(), *weight));
                }
                self.counts.running += 1;
            }
            EventKind::AttemptEnded { slot, failure, .. } => {
                self.counts.running = self.counts.running.saturating_sub(1);
                let Some((began, _, key, weight)) = self.on_slots.get_mut(*slot as usize).and_then(Option::take) else {
                    return;
                };
                let ms = event.at.saturating_sub(began) as f64 / 1e3;
                if self.slowest.as_ref().is_none_or(|slowest| ms > slowest.ms) {
                    self.slowest = Some(Slowest { key, ms });
                }
                if failure.is_none() {
                    self.counts.settled += 1;
                    self.covered += weight;
                }
            }
            EventKind::PartitionMissing { .. } => {
                self.counts.settled += 1;
                self.counts.missing += 1;
            }
            _ => {}
        }
    }
}

/// The size of an event's texts, in bytes.
pub(super) fn texts(event: &Event) -> usize {
    match &event.kind {
        EventKind::AttemptStarted { key, .. } | EventKind::PartitionMissing { key, .. } => key.as_str().len(),
        EventKind::AttemptEnded { failure: Some(failure), .. }
        | EventKind::FoldEnded { failure: Some(failure), .. } => {
            let lines = failure.log.iter().chain(&failure.backtrace).map(|line| line.len() + size_of::<String>());
            failure.message.len() + lines.sum::<usize>()
        }
        EventKind::AttemptEnded { log, .. } => log.iter().map(|line| line.len() + size_of::<String>()).sum(),
        EventKind::QueryEnded { coverage, .. } => account_bytes(coverage),
        _ => 0,
    }
}

/// The approximate size of an account, in bytes.
pub(super) fn account_bytes(coverage: &Coverage) -> usize {
    let texts = |failure: &Failure| failure.log.iter().map(String::len).sum::<usize>() + failure.message.len();
    let each = coverage.missing.iter().map(|one| one.failure.as_ref().map_or(0, texts) + 256);
    size_of::<Coverage>() + each.sum::<usize>()
}
