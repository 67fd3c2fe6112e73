//! Partials on their way into the journal: those of ended attempts, and what running leaves keep.

use std::time::Duration;

use tokio::time::Instant;

use super::{GatherLoop, Live};
use crate::copying::AttemptEnd;
use crate::flow::journaling::{JournalReport, RecalledPartial};
use crate::journal::KeptPartial;
use crate::ledger::PartialRange;
use crate::scatter::Report;
use crate::share::Part;
use crate::work::Done;

/// The least time between two looks at what running leaves keep.
const KEEPS: Duration = Duration::from_millis(100);
/// Bytes a second that running leaves may store of what they keep: most of it is replaced soon.
const KEEP_RATE: u64 = 2 << 20;

impl GatherLoop<'_> {
    /// Records which attempts run, and since when.
    pub(super) fn track(&mut self, report: &Report) {
        match report {
            Report::Started { id, slot, at, .. } if self.journal.is_on() || self.run.services.events.wanted() => {
                self.live.insert(*id, Live { slot: *slot, since: *at });
            }
            Report::Ended { id, .. } => _ = self.live.remove(id),
            Report::Started { .. } => {}
        }
    }

    /// Has the partial of an ended attempt stored, if it counts. Returns the attempt if it need not
    /// wait for that.
    pub(super) fn store_end(&mut self, end: AttemptEnd) -> Option<AttemptEnd> {
        if !self.journal.is_on() {
            return Some(end);
        }
        let AttemptEnd { id, outcome, reached } = &end;
        let Some((units, partial)) = self.gather.to_store(id.partition, outcome, reached) else { return Some(end) };
        let is_stored = outcome.result.is_err() && units.is_some_and(|units| self.journal.has(*id, &units));
        if is_stored {
            return Some(end);
        }
        // A whole partition replaces what its leaf has kept of it, as a part that reaches further.
        let kept = reached.part.filter(|part| part.kept > part.stretch.begin);
        let units = units.or_else(|| kept.map(|Part { units, .. }| whole_range(units)));
        let kept =
            KeptPartial { partition: id.partition, attempt: id.number, ran: outcome.ran, partial, units, replaces: 0 };
        self.journal.add(kept, Some(end));
        None
    }

    /// Has stored what running leaves have kept. It counts when they end; but if the process ends
    /// first, the next one starts from there.
    pub(super) fn store_keeps(&mut self) {
        let now = Instant::now();
        let mut bytes = 0;
        for (id, emission) in self.scatter.copy_keeps() {
            let Done::Units { begin, end, of } = emission.done else { continue };
            let units = PartialRange { begin, end, until: end, of };
            if !self.gather.is_new(id.partition, &units) {
                continue;
            }
            bytes += emission.partial.len() as u64;
            let ran = self.live.get(&id).map_or(Duration::ZERO, |live| now.saturating_duration_since(live.since));
            let kept = KeptPartial {
                partition: id.partition,
                attempt: id.number,
                ran,
                partial: emission.partial,
                units: Some(units),
                replaces: 0,
            };
            self.journal.add(kept, None);
        }
        self.keeps_at = Some(now + KEEPS.max(Duration::from_millis(bytes * 1000 / KEEP_RATE)));
    }

    /// Takes the result of a journal operation.
    pub(super) fn journaled(&mut self, news: JournalReport) {
        match news {
            JournalReport::Kept { stored, ends } => {
                self.scatter.stored(&stored);
                ends.into_iter().for_each(|end| self.ended(end));
            }
            JournalReport::Recalled(partials) => {
                for RecalledPartial { partition, units, partial } in partials {
                    self.gather.recalled(partition, units.as_ref(), partial, &mut self.actions);
                }
                self.perform();
            }
            JournalReport::Failed(failure) => {
                self.journal_failure.get_or_insert(failure);
                // Nothing more can be stored: the next to run the query has use for what is finished.
                self.scatter.abandon();
                self.gather.cancel(Instant::now(), &mut self.actions);
            }
        }
    }
}

fn whole_range(units: u64) -> PartialRange {
    PartialRange { begin: 0, end: units, until: units, of: units }
}
