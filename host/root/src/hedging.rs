//! Attempts of one query that run beside each other at the same units: which are to be copied, and
//! which of them counts. A pure state machine: it gets events with their times.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::hedge::{CopyBudget, CopySettings, LeafTimes, MAX_LIVE, MIN_ENDED, copy_age, most_at_once};
use crate::work::AttemptId;

/// Attempt that has not ended.
#[derive(Clone, Copy, Debug)]
struct Running {
    since: Instant,
    is_copy: bool,
    /// Number of the attempt that was copied first, if there are rivals.
    group: Option<u32>,
}

/// Attempts at the same units, of which the first success wins.
#[derive(Debug)]
struct Rivals {
    /// Running attempts, in the order of their starts.
    live: Vec<AttemptId>,
    /// Start of the latest.
    latest: Instant,
}

/// Standing of an attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It had no rival, or was the last one: its outcome is the outcome.
    Sole,
    /// It failed while rivals run: one of them may still succeed.
    Outlived,
    /// It is the first success: the rivals must stop.
    Won {
        /// The rivals that still run.
        losers: Vec<AttemptId>,
        /// True if it is a copy.
        is_copy: bool,
    },
    /// A rival had won before: the outcome is of no use.
    Beaten,
}

/// Attempts that may be copied now, and the time of the next look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyLook {
    /// The attempts, oldest first.
    pub due: Vec<AttemptId>,
    /// Time at which another attempt is old enough, if none ends before.
    pub next: Option<Instant>,
}

/// Running attempts of one query and their copies.
#[derive(Debug)]
pub struct Hedging {
    is_on: bool,
    /// Number of partitions to run.
    partitions: u64,
    budget: CopyBudget,
    times: LeafTimes,
    running: HashMap<AttemptId, Running>,
    /// Rivals by partition and number of the attempt that was copied first.
    rivals: HashMap<(u32, u32), Rivals>,
    /// Attempts that must stop, and have not ended.
    beaten: HashMap<AttemptId, Running>,
    /// Number of copies that have not ended.
    copies: usize,
}

impl Hedging {
    /// Makes the state of a query with this many partitions to run.
    #[must_use]
    pub fn new(settings: &CopySettings, partitions: usize) -> Self {
        Self {
            is_on: settings.is_on,
            partitions: partitions as u64,
            budget: CopyBudget::new(settings.history.clone().unwrap_or_default()),
            times: LeafTimes::default(),
            running: HashMap::new(),
            rivals: HashMap::new(),
            beaten: HashMap::new(),
            copies: 0,
        }
    }

    /// Records that an attempt began that is no copy.
    pub fn started(&mut self, id: AttemptId, at: Instant) {
        if self.is_on {
            self.budget.attempt();
            self.running.insert(id, Running { since: at, is_copy: false, group: None });
        }
    }

    /// Records that a copy of attempt `of` began. False if the copy must stop: the other one has
    /// ended.
    pub fn copied(&mut self, id: AttemptId, of: u32, at: Instant) -> bool {
        let original = AttemptId { number: of, ..id };
        self.budget.spend();
        self.copies += 1;
        let copy = Running { since: at, is_copy: true, group: None };
        let Some(running) = self.running.get_mut(&original) else {
            self.beaten.insert(id, copy);
            return false;
        };
        let group = *running.group.get_or_insert(of);
        let rivals = Rivals { live: vec![original], latest: at };
        let rivals = self.rivals.entry((id.partition, group)).or_insert(rivals);
        rivals.live.push(id);
        rivals.latest = at;
        self.running.insert(id, Running { group: Some(group), ..copy });
        true
    }

    /// Records that an attempt ended.
    pub fn ended(&mut self, id: AttemptId, is_success: bool, at: Instant) -> Standing {
        if !self.is_on {
            return Standing::Sole;
        }
        if let Some(beaten) = self.beaten.remove(&id) {
            self.copies -= usize::from(beaten.is_copy);
            return Standing::Beaten;
        }
        let Some(Running { since, is_copy, group }) = self.running.remove(&id) else { return Standing::Sole };
        self.copies -= usize::from(is_copy);
        if is_success {
            self.times.finish(at.saturating_duration_since(since));
        }
        let Some(group) = group else { return Standing::Sole };
        if is_copy {
            self.budget.history().copy_ended(is_success);
        }
        let key = (id.partition, group);
        let Some(rivals) = self.rivals.get_mut(&key) else { return Standing::Sole };
        rivals.live.retain(|rival| *rival != id);
        if is_success {
            let losers = self.rivals.remove(&key).map(|rivals| rivals.live).unwrap_or_default();
            losers.iter().for_each(|loser| self.beat(*loser, at));
            return Standing::Won { losers, is_copy };
        }
        if rivals.live.is_empty() {
            self.rivals.remove(&key);
            return Standing::Sole;
        }
        Standing::Outlived
    }

    /// Records that a rival of a running attempt has won.
    fn beat(&mut self, loser: AttemptId, at: Instant) {
        if let Some(running) = self.running.remove(&loser) {
            self.times.censor(at.saturating_duration_since(running.since));
            if running.is_copy {
                self.budget.history().copy_ended(false);
            }
            self.beaten.insert(loser, running);
        }
    }

    /// Attempts that were told to stop and have not ended, with their starts.
    pub fn stopping(&self) -> impl Iterator<Item = (AttemptId, Instant)> {
        self.beaten.iter().map(|(id, running)| (*id, running.since))
    }

    /// True if an attempt was told to stop and has not ended.
    #[must_use]
    pub fn is_stopping(&self, id: AttemptId) -> bool {
        self.beaten.contains_key(&id)
    }

    /// Looks for attempts to copy on `slots` slots, of which `running` run; `is_last` if nothing is
    /// left to start.
    #[must_use]
    pub fn look(&self, slots: usize, running: usize, is_last: bool, now: Instant) -> CopyLook {
        let free = most_at_once(slots).saturating_sub(self.copies);
        let Some(age) = self.is_on.then(|| self.age()).flatten().filter(|_| free > 0) else {
            return CopyLook::default();
        };
        // Starts are not reported at once.
        let is_behind = !is_last || running > self.running.len() + self.beaten.len();
        let mut next = now.checked_add(age).filter(|_| is_behind);
        if !is_last {
            return CopyLook { due: Vec::new(), next };
        }
        let mut due = Vec::new();
        for (id, since) in self.copyable() {
            match since.checked_add(age) {
                Some(at) if at <= now => due.push((since, id)),
                at => next = at.into_iter().chain(next).min(),
            }
        }
        due.sort_unstable();
        due.truncate(free.min(self.budget.allowed()));
        CopyLook { due: due.into_iter().map(|(_, id)| id).collect(), next }
    }

    /// Attempts that may have one more rival, each with the time from which its age counts: its
    /// start, or that of its latest copy.
    fn copyable(&self) -> impl Iterator<Item = (AttemptId, Instant)> {
        let alone = self.running.iter().filter(|(_, running)| running.group.is_none());
        let alone = alone.map(|(id, running)| (*id, running.since));
        let few = self.rivals.values().filter(|rivals| rivals.live.len() < MAX_LIVE);
        alone.chain(few.filter_map(|rivals| Some((*rivals.live.first()?, rivals.latest))))
    }

    /// Age from which attempts are copied; `None` while it is unknown.
    fn age(&self) -> Option<Duration> {
        let least = MIN_ENDED.max(self.partitions.div_ceil(2));
        let is_known = self.times.finished() >= least;
        let median = is_known.then(|| self.times.quantile(0.5)).flatten();
        copy_age(median, self.budget.history().times())
    }
}

impl Drop for Hedging {
    /// Leaves what the query has learned to the app's next ones.
    fn drop(&mut self) {
        if self.is_on {
            self.budget.end(&self.times);
        }
    }
}

#[cfg(test)]
mod tests;
