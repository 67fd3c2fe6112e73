//! Recorded runs as worlds: the times of their leaves, on other slots and with other faults.

use std::collections::BTreeMap;

use frond_root::event::EndedPart;
use frond_root::{Event, EventKind, Floor};

use crate::distribution::Distribution;
use crate::problem::Problem;
use crate::world::{ClusterTable, MAX_SLOTS, MAX_UNITS, PiecesTable, QueryTable, World};

/// Reader of a recording, event by event.
#[derive(Clone, Debug, Default)]
pub struct RecordedRun {
    slots: usize,
    deadline: u64,
    floor: Floor,
    partitions: u64,
    /// Starts of attempts that have not ended, in microseconds.
    live: BTreeMap<(u32, u32), u64>,
    /// Slot time of each partition in microseconds, and the units that it was for.
    times: BTreeMap<u32, Taken>,
}

/// Slot time of a partition, and what it was for.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    micros: u64,
    /// Units that are done, if the partition was taken in parts.
    done: u64,
    of: u64,
    is_whole: bool,
}

impl RecordedRun {
    /// Adds the next event.
    pub fn add(&mut self, event: &Event) {
        match &event.kind {
            EventKind::QueryStarted { slots, deadline, floor, .. } => {
                self.slots = *slots;
                self.deadline = *deadline;
                self.floor = *floor;
            }
            EventKind::Planned { partitions, .. } => self.partitions = *partitions,
            EventKind::AttemptStarted { partition, attempt, .. } => {
                self.live.insert((*partition, *attempt), event.at);
            }
            EventKind::AttemptEnded { partition, attempt, failure, waited, part, .. } => {
                let began = self.live.remove(&(*partition, *attempt)).unwrap_or(event.at);
                let took = event.at.saturating_sub(began).saturating_sub(*waited);
                let is_success = failure.is_none();
                self.times.entry(*partition).or_default().add(took, part.as_ref(), is_success);
            }
            _ => {}
        }
    }

    /// Time of each partition's leaf in milliseconds, as if each had run as a whole. A partition
    /// that has not succeeded gets the median of the others.
    fn leaf_times(&self) -> Vec<f64> {
        let known: BTreeMap<u32, f64> =
            self.times.iter().filter_map(|(index, taken)| Some((*index, taken.ms()?))).collect();
        let mut sorted: Vec<f64> = known.values().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let count = u32::try_from(self.partitions).unwrap_or(u32::MAX);
        (0..count).map(|index| known.get(&index).copied().unwrap_or(median)).collect()
    }
}

impl Taken {
    fn add(&mut self, took: u64, part: Option<&EndedPart>, is_success: bool) {
        match part {
            Some(part) if part.done > part.begin => {
                self.micros += took;
                self.done += part.done - part.begin;
                self.of = part.of;
            }
            None if is_success => {
                self.micros = took;
                self.is_whole = true;
            }
            _ => {}
        }
    }

    /// Time of the whole partition in milliseconds; `None` if nothing of it is known.
    fn ms(&self) -> Option<f64> {
        let ms = self.micros as f64 / 1e3;
        let is_part = self.done > 0 && !self.is_whole;
        if is_part { Some(ms * self.of as f64 / self.done as f64) } else { self.is_whole.then_some(ms) }
    }
}

/// The world of a recorded run: one query with the same partitions, each with the time that its
/// leaf took, on as many slots, without faults. If partitions were taken in parts, so they are
/// again.
///
/// # Errors
/// A problem if the run has no leaf that succeeded, or is too large.
pub fn replayed(run: &RecordedRun) -> Result<World, Problem> {
    let is_known = run.times.values().any(|taken| taken.ms().is_some());
    Problem::unless(is_known, "recording", "must have a leaf that succeeded")?;
    let units = run.times.values().map(|taken| taken.of).max().filter(|of| *of > 0);
    let world = World {
        query: QueryTable {
            partitions: u32::try_from(run.partitions).unwrap_or(u32::MAX),
            leaf: Distribution::List(run.leaf_times()),
            pieces: units.map(|units| PiecesTable { units: units.min(MAX_UNITS), ..PiecesTable::default() }),
            deadline_ms: run.deadline as f64 / 1e3,
            floor: run.floor,
            ..QueryTable::default()
        },
        cluster: ClusterTable {
            slots: u32::try_from(run.slots).unwrap_or(MAX_SLOTS).max(1),
            ..ClusterTable::default()
        },
        ..World::default()
    };
    world.check()?;
    Ok(world)
}
