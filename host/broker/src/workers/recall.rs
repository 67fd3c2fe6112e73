//! Recalls: partials that workers keep for a query whose earlier root is gone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::journal::KeptPartial;
use frond_root::ledger::PartialRange;
use frond_root::{AttemptId, Plan};
use tokio::sync::Notify;

use super::memo_key::{MemoKey, TokenClaim};
use super::peer::Wrong;
use crate::frames::{self, Held, MOST_TIME, RangeOf, owned};

/// The most bytes of partials that one recall gathers.
const MOST_BYTES: u64 = 256 << 20;
/// The most partials that one recall gathers.
const MOST_PARTIALS: usize = 65_536;
/// The most of them from one worker: as many as one keeps.
const MOST_OF_WORKER: usize = 4096;

/// Partial that a worker has kept for a query, of an attempt that a root with the key has ordered.
/// Its units and its size are to be checked against the plan.
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
    /// Id of the memo.
    pub(super) id: Bytes,
}

/// Recalls that workers have not answered.
#[derive(Default)]
pub(super) struct Recalls {
    open: HashMap<u64, OpenRecall>,
    next: u64,
}

/// Recall with the answers so far.
struct OpenRecall {
    key: MemoKey,
    /// Partials with their workers.
    partials: Vec<(u64, HeldPartial)>,
    /// Numbers of the partials by worker.
    numbers: BTreeMap<u64, Vec<u64>>,
    bytes: u64,
    /// Workers that have not answered.
    awaited: HashSet<u64>,
    /// Told once all have.
    answered: Arc<Notify>,
}

impl Recalls {
    /// Begins a recall from these workers. Returns its number, and what is told at its end.
    pub(super) fn begin(&mut self, key: MemoKey, workers: HashSet<u64>) -> (u64, Arc<Notify>) {
        self.next += 1;
        let answered = Arc::new(Notify::new());
        let recall = OpenRecall {
            key,
            partials: Vec::new(),
            numbers: BTreeMap::new(),
            bytes: 0,
            awaited: workers,
            answered: answered.clone(),
        };
        recall.tell();
        self.open.insert(self.next, recall);
        (self.next, answered)
    }

    /// Takes a worker's answer. Others than those that are awaited come too late. Of a worker that
    /// hands over what it cannot have, nothing is taken at all.
    ///
    /// # Errors
    /// A partial that cannot be, or of an attempt that no root with the key has ordered.
    pub(super) fn answered(&mut self, worker: u64, held: Held) -> Result<(), Wrong> {
        let Some(recall) = self.open.get_mut(&held.recall).filter(|recall| recall.awaited.contains(&worker)) else {
            return Ok(());
        };
        match held.partial {
            Some(partial) => recall.take(worker, partial).inspect_err(|_| recall.discard(worker)),
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
        let Some(OpenRecall { key, partials, numbers, .. }) = self.open.remove(&recall) else {
            return HeldPartials::default();
        };
        let mut partials: Vec<_> = partials.into_iter().map(|(_, partial)| partial).collect();
        partials.sort_by_key(|one| (!one.has_ended, one.kept.units.is_some(), u64::MAX - units(&one.kept)));
        HeldPartials { partials, numbers, id: key.id() }
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
        let frames::KeptPartial { number, epoch, partition, attempt, ran, partial, units, has_ended, token } = partial;
        let units = units.map(|RangeOf { begin, end, until, of }| PartialRange { begin, end, until, of });
        if units.is_some_and(|units| !can_be(&units)) {
            return Err("kept units that cannot be".to_owned());
        }
        let id = AttemptId { partition, number: attempt };
        if !self.key.verify(&TokenClaim { epoch, id, begin: units.map_or(0, |units| units.begin) }, &token) {
            return Err("kept a partial of an attempt that it was not given".to_owned());
        }
        let bytes = self.bytes.saturating_add(partial.len() as u64);
        let numbers = self.numbers.entry(worker).or_default();
        if bytes > MOST_BYTES || self.partials.len() >= MOST_PARTIALS || numbers.len() >= MOST_OF_WORKER {
            // The leaves of the others run again.
            return Ok(());
        }
        self.bytes = bytes;
        numbers.push(number);
        let ran = Duration::from_micros(ran).min(MOST_TIME);
        let kept = KeptPartial { partition, attempt, ran, partial: owned(partial), units, replaces: 0 };
        self.partials.push((worker, HeldPartial { epoch, kept, has_ended }));
        Ok(())
    }

    /// Forgets what a worker has handed over.
    fn discard(&mut self, worker: u64) {
        self.numbers.remove(&worker);
        self.partials.retain(|(of, _)| *of != worker);
        self.bytes = self.partials.iter().map(|(_, one)| one.kept.partial.len() as u64).sum();
    }
}

/// True for units in their order, of which there are any.
fn can_be(units: &PartialRange) -> bool {
    units.begin < units.until && units.begin <= units.end && units.end <= units.until && units.until <= units.of
}
