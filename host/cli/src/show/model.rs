//! Model of one query, built from its events in the order of the recording: the source of all that
//! explain draws. It accepts any events. Contradictory ones are counted as `odd`.

pub mod build;
pub mod figures;
pub mod path;

use std::collections::BTreeMap;

use frond_root::event::GatherEnd;
use frond_root::{Coverage, FailureKind, Floor, Reason, Status, Usage};

use super::trouble::Excerpt;
use super::written::WrittenLines;

/// Model of a query. Times are in microseconds since the query's start unless stated otherwise.
#[derive(Debug, Default)]
pub struct Model {
    /// The start; `None` when the first event is missing.
    pub head: Option<Head>,
    /// The plan.
    pub planned: Option<PlanInfo>,
    /// The partitions that appear in events, by index.
    pub lanes: Vec<Lane>,
    /// All attempts, by partition and start: each lane refers to a range of them.
    attempts: Vec<Attempt>,
    /// The named waits of all attempts: each attempt refers to a range of them.
    waits: Vec<(u64, u64)>,
    /// The merge calls, by start.
    pub folds: Vec<Fold>,
    /// End of the gather, and its reason.
    pub gather_end: Option<(u64, GatherEnd)>,
    /// Time at which the floor was reached.
    pub floor_reached: Option<u64>,
    /// Intervals in which leaves were held back because partials used too much memory.
    pub held: Vec<(u64, u64)>,
    /// Start of the finish.
    pub finish: Option<u64>,
    /// The end; `None` for a recording that stops before.
    pub end: Option<End>,
    /// Failed calls by slug, each with the first example.
    pub troubles: Vec<Trouble>,
    /// The use of all attempts: the sum, and the maximum of memory.
    pub usage: Usage,
    /// Names of the workers whose slots ran attempts, sanitised, by slot.
    pub workers: BTreeMap<u32, Box<str>>,
    /// Number of attempts that ran in warm instances.
    pub warm: u64,
    /// Number of attempts that took the half of another one's rest.
    pub cuts: u64,
    /// Number of attempts that waited without a slot.
    pub waiting: u64,
    /// Time that attempts waited without a slot, in microseconds.
    pub waited: u64,
    /// Output of leaves that succeeded.
    pub written: WrittenLines,
    /// Time of the last event.
    pub last: u64,
    /// Number of events.
    pub events: u64,
    /// Number of events that contradict earlier ones.
    pub odd: u64,
}

/// The start of a query.
#[derive(Clone, Debug)]
pub struct Head {
    /// The app's name.
    pub app: String,
    /// The query's id.
    pub query: String,
    /// Time from the start to the answer, in microseconds.
    pub deadline: u64,
    /// Number of leaves that run at once.
    pub slots: usize,
    /// The floor of the answer.
    pub floor: Floor,
    /// The start, in Unix milliseconds.
    pub unix_ms: u64,
}

/// A query's plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanInfo {
    /// Time at which it was ready.
    pub at: u64,
    /// Number of partitions.
    pub partitions: u64,
    /// Sum of their weights.
    pub weight: u64,
    /// Time at which leaves are cut off.
    pub leaf_deadline: u64,
    /// Time at which the gather ends.
    pub gather_deadline: u64,
}

/// Partition of the query, with the range of its attempts.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its position in the plan.
    pub index: u32,
    /// Its key, sanitised and of bounded length.
    pub key: Box<str>,
    /// Its status and failure kind, if it is missing.
    pub missing: Option<(Status, Option<FailureKind>)>,
    first: u32,
    count: u32,
}

/// One attempt of a partition. Times are in microseconds since the query's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The partition's index.
    pub partition: u32,
    /// The attempt's number, from 1.
    pub number: u32,
    /// The slot that ran it.
    pub slot: u32,
    /// Number of earlier calls that its instance had served; 0 for a fresh instance.
    pub earlier: u32,
    /// Time from which it could have run.
    pub queued: u64,
    /// Start of the run.
    pub start: u64,
    /// End of the run, or the time at which the query stopped waiting for it.
    pub end: u64,
    /// Time within it without a slot, in microseconds.
    pub waited: u64,
    /// Its outcome.
    pub fate: Fate,
    /// Units of its partition that it had, from the first to before the last; `None` for all.
    pub units: Option<(u64, u64)>,
    /// Number of the attempt whose share was cut for it.
    pub cut_from: Option<u32>,
    first_wait: u32,
    waits: u32,
}

impl Attempt {
    /// Returns the duration of the run, in microseconds.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Returns true if its instance had served earlier partitions of the query.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.earlier > 0
    }
}

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its partial was used.
    Used,
    /// It failed.
    Failed(FailureKind),
    /// It was stopped while it ran, or the query stopped waiting for it.
    CutOff,
    /// It succeeded too late, or after another attempt of the partition.
    Discarded,
    /// It was running when the recording stopped.
    Open,
}

/// One merge call. Times are in microseconds since the query's start.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// Its number.
    pub number: u32,
    /// Its start.
    pub start: u64,
    /// Its end; `None` if no event reports it.
    pub end: Option<u64>,
    /// Number of its input partials.
    pub inputs: u32,
    /// Size of the inputs, in bytes.
    pub bytes: u64,
    /// Its failure kind, if it failed.
    pub failure: Option<FailureKind>,
}

/// The end of a query.
#[derive(Clone, Debug)]
pub struct End {
    /// Its time, in microseconds since the start.
    pub at: u64,
    /// `complete`, `partial` or `failed`.
    pub outcome: String,
    /// The reason, if it failed.
    pub reason: Option<Reason>,
    /// The coverage report.
    pub coverage: Box<Coverage>,
}

/// All failed calls with one slug.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The slug.
    pub kind: FailureKind,
    /// Number of failed calls.
    pub count: u64,
    /// Place of the first one: a partition and attempt, or a merge.
    pub place: String,
    /// The first failure.
    pub example: Excerpt,
}

impl Model {
    /// Returns all attempts, by partition and start.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Returns the attempts of one partition, by start.
    #[must_use]
    pub fn attempts_of(&self, lane: &Lane) -> &[Attempt] {
        let first = lane.first as usize;
        self.attempts.get(first..first.saturating_add(lane.count as usize)).unwrap_or_default()
    }

    /// Returns the longest waits of one attempt without a slot, from their start to their end.
    #[must_use]
    pub fn waits_of(&self, attempt: &Attempt) -> &[(u64, u64)] {
        let first = attempt.first_wait as usize;
        self.waits.get(first..first.saturating_add(attempt.waits as usize)).unwrap_or_default()
    }

    /// Returns the lane of a partition.
    #[must_use]
    pub fn lane(&self, index: u32) -> Option<&Lane> {
        let found = self.lanes.binary_search_by_key(&index, |lane| lane.index);
        self.lanes.get(found.ok()?)
    }

    /// Returns the end of the query, or the time of the last event.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.end.as_ref().map_or(self.last, |end| end.at)
    }

    /// Returns the time at which the plan was ready and partitions were queued.
    #[must_use]
    pub fn scattered(&self) -> u64 {
        self.planned.map_or(0, |planned| planned.at)
    }

    /// Returns the number of partitions, as far as it is known.
    #[must_use]
    pub fn partitions(&self) -> u64 {
        let seen = self.lanes.len() as u64;
        self.planned.map_or(seen, |planned| planned.partitions.max(seen))
    }

    /// Returns the number of partitions that have succeeded or are missing.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let settled =
            |lane: &&Lane| lane.missing.is_some() || self.attempts_of(lane).iter().any(|one| one.fate == Fate::Used);
        self.lanes.iter().filter(settled).count() as u64
    }
}

/// Adds one call's usage to a sum. For memory it takes the maximum.
pub fn add_usage(sum: &mut Usage, one: Usage) {
    sum.fuel = sum.fuel.saturating_add(one.fuel);
    sum.memory = sum.memory.max(one.memory);
    sum.output = sum.output.saturating_add(one.output);
    sum.log = sum.log.saturating_add(one.log);
}

#[cfg(test)]
mod tests;
