//! Recalls: partials that workers keep for a query whose earlier root is gone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::Plan;
use frond_root::journal::KeptPartial;
use frond_root::ledger::PartialRange;
use tokio::sync::Notify;

use super::peer::Wrong;
use crate::frames::{self, Held, MOST_TIME, RangeOf, owned};

/// The most bytes of partials that one recall gathers.
const MOST_BYTES: u64 = 256 << 20;
/// The most partials that one recall gathers.
const MOST_PARTIALS: usize = 65_536;
/// The most of them from one worker: as many as one keeps.
const MOST_OF_WORKER: usize = 4096;

/// Partial that a worker has kept for a query. The root has not asked this worker for it, so it is
/// to be checked against the plan.
#[derive(Clone, Debug)]
pub struct HeldPartial {
    /// Epoch of the run that its attempt belonged to.
    pub epoch: u64,
    /// The partial, as the journal stores it.
    pub kept: KeptPartial,
    /// True if its leaf ended with success; else the leaf kept it before.
    pub has_ended: bool,
}

impl HeldPartial {
    /// True if the plan has such units, and the partial has at most `largest` bytes.
    #[must_use]
    pub fn fits(&self, plan: &Plan, largest: u64) -> bool {
        let KeptPartial { partition, partial, units, .. } = &self.kept;
        let has = |of: &PartialRange| plan.get(*partition).is_some_and(|one| one.content.units().count == of.of);
        partial.len() as u64 <= largest && plan.get(*partition).is_some() && units.as_ref().is_none_or(has)
    }
}

/// Partials that workers have kept under one key. Several may account for the same units: the first
/// of them counts.
#[derive(Clone, Debug, Default)]
pub struct HeldPartials {
    /// The partials: those of finished leaves first, and those of the most units first.
    pub partials: Vec<HeldPartial>,
    /// Numbers of the partials by worker.
    pub(super) numbers: BTreeMap<u64, Vec<u64>>,
    /// The key.
    pub(super) key: Bytes,
}

/// Recalls that workers have not answered.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    open: HashMap<u64, OpenRecall>,
    next: u64,
}

/// Recall with the answers so far.
#[derive(Debug)]
struct OpenRecall {
    held: HeldPartials,
    bytes: u64,
    /// Workers that have not answered.
    awaited: HashSet<u64>,
    /// Told once all have.
    answered: Arc<Notify>,
}

impl Recalls {
    /// Begins a recall from these workers. Returns its number, and what is told at its end.
    pub(super) fn begin(&mut self, key: Bytes, workers: HashSet<u64>) -> (u64, Arc<Notify>) {
        self.next += 1;
        let answered = Arc::new(Notify::new());
        let held = HeldPartials { key, ..HeldPartials::default() };
        let recall = OpenRecall { held, bytes: 0, awaited: workers, answered: answered.clone() };
        recall.tell();
        self.open.insert(self.next, recall);
        (self.next, answered)
    }

    /// Takes a worker's answer. Others than those that are awaited come too late.
    ///
    /// # Errors
    /// A partial that cannot be.
    pub(super) fn answered(&mut self, worker: u64, held: Held) -> Result<(), Wrong> {
        let Some(recall) = self.open.get_mut(&held.recall).filter(|recall| recall.awaited.contains(&worker)) else {
            return Ok(());
        };
        match held.partial {
            Some(partial) => recall.take(worker, partial),
            None => {
                recall.awaited.remove(&worker);
                recall.tell();
                Ok(())
            }
        }
    }

    /// Waits no more for a worker that is lost.
    pub(super) fn lose(&mut self, worker: u64) {
        for recall in self.open.values_mut().filter(|recall| recall.awaited.contains(&worker)) {
            recall.awaited.remove(&worker);
            recall.tell();
        }
    }

    /// Ends a recall.
    pub(super) fn end(&mut self, recall: u64) -> HeldPartials {
        let mut held = self.open.remove(&recall).map(|recall| recall.held).unwrap_or_default();
        held.partials.sort_by_key(|one| (!one.has_ended, one.kept.units.is_some(), u64::MAX - units(&one.kept)));
        held
    }
}

/// Number of units that a part accounts for.
fn units(kept: &KeptPartial) -> u64 {
    kept.units.map_or(0, |units| units.until - units.begin)
}

impl OpenRecall {
    fn tell(&self) {
        if self.awaited.is_empty() {
            self.answered.notify_one();
        }
    }

    fn take(&mut self, worker: u64, partial: frames::KeptPartial) -> Result<(), Wrong> {
        let frames::KeptPartial { number, epoch, partition, attempt, ran, partial, units, has_ended } = partial;
        let units = units.map(|RangeOf { begin, end, until, of }| PartialRange { begin, end, until, of });
        if units.is_some_and(|units| !can_be(&units)) {
            return Err("kept units that cannot be".to_owned());
        }
        let bytes = self.bytes.saturating_add(partial.len() as u64);
        let numbers = self.held.numbers.entry(worker).or_default();
        if bytes > MOST_BYTES || self.held.partials.len() >= MOST_PARTIALS || numbers.len() >= MOST_OF_WORKER {
            // The leaves of the others run again.
            return Ok(());
        }
        self.bytes = bytes;
        numbers.push(number);
        let ran = Duration::from_micros(ran).min(MOST_TIME);
        let kept = KeptPartial { partition, attempt, ran, partial: owned(partial), units, replaces: 0 };
        self.held.partials.push(HeldPartial { epoch, kept, has_ended });
        Ok(())
    }
}

/// True for units in their order, of which there are any.
fn can_be(units: &PartialRange) -> bool {
    units.begin < units.until && units.begin <= units.end && units.end <= units.until && units.until <= units.of
}
