//! One query as its events tell it: what explain, and later a page, draws. Built from events in the order in which they
//! were written; it takes any events at all, also those that contradict each other, which it counts as `odd`.

pub mod build;
pub mod figures;
pub mod path;

use frond_root::event::GatherEnd;
use frond_root::{Coverage, FailureKind, Floor, Reason, Status, Usage};

pub use build::Builder;

use super::trouble::Excerpt;
use super::written::WrittenLines;

/// A query.
#[derive(Debug, Default)]
pub struct Model {
    /// How it began; `None` when the first event is missing.
    pub head: Option<Head>,
    /// Its plan.
    pub planned: Option<PlanInfo>,
    /// The partitions that were heard of, by index.
    pub lanes: Vec<Lane>,
    /// All attempts, by partition and start: a lane has a range of them.
    attempts: Vec<Attempt>,
    /// The merges, by start.
    pub folds: Vec<Fold>,
    /// When the gather ended, and why.
    pub gather_end: Option<(u64, GatherEnd)>,
    /// When the floor was reached.
    pub floor_reached: Option<u64>,
    /// When leaves were held back for the memory of partials, and until when.
    pub held: Vec<(u64, u64)>,
    /// When the finish began.
    pub finish: Option<u64>,
    /// How it ended; `None` for a recording that stops before.
    pub end: Option<End>,
    /// Failed calls by slug, each with the first example.
    pub troubles: Vec<Trouble>,
    /// What all attempts used together; of memory, the most.
    pub usage: Usage,
    /// Output of leaves that succeeded.
    pub written: WrittenLines,
    /// The last moment heard of.
    pub last: u64,
    /// How many events were taken.
    pub events: u64,
    /// How many of them made no sense where they stood.
    pub odd: u64,
}

/// How a query began.
#[derive(Clone, Debug)]
pub struct Head {
    /// The app's name.
    pub app: String,
    /// The query's id.
    pub query: String,
    /// From the start to the answer.
    pub deadline: u64,
    /// Leaves at once.
    pub slots: usize,
    /// How much must be there.
    pub floor: Floor,
    /// When it began, in Unix milliseconds.
    pub unix_ms: u64,
}

/// A query's plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanInfo {
    /// When it was ready.
    pub at: u64,
    /// How many partitions.
    pub partitions: u64,
    /// Their weight.
    pub weight: u64,
    /// When leaves are cut off.
    pub leaf_deadline: u64,
    /// When the gather ends.
    pub gather_deadline: u64,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its position in the plan.
    pub index: u32,
    /// Its key, sanitised and of bounded length.
    pub key: Box<str>,
    /// What became of it, if it is missing.
    pub missing: Option<(Status, Option<FailureKind>)>,
    first: u32,
    count: u32,
}

/// One try at a partition. Times are microseconds since the query began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The partition's index.
    pub partition: u32,
    /// Its number, from 1.
    pub number: u32,
    /// The slot it ran on.
    pub slot: u32,
    /// Since when it might have run.
    pub queued: u64,
    /// When it began.
    pub start: u64,
    /// When it ended, or was no longer waited for.
    pub end: u64,
    /// What came of it.
    pub fate: Fate,
}

impl Attempt {
    /// How long it ran.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its partial was used.
    Used,
    /// It failed by itself.
    Failed(FailureKind),
    /// It was stopped, or no longer waited for, while it ran.
    CutOff,
    /// It succeeded when that was no longer wanted.
    Discarded,
    /// The recording stops while it runs.
    Open,
}

/// One merge.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// Which one.
    pub number: u32,
    /// When it began.
    pub start: u64,
    /// When it ended; `None` when that was not told.
    pub end: Option<u64>,
    /// Partials in.
    pub inputs: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Why it failed, if it did.
    pub failure: Option<FailureKind>,
}

/// How a query ended.
#[derive(Clone, Debug)]
pub struct End {
    /// When.
    pub at: u64,
    /// `complete`, `partial` or `failed`.
    pub outcome: String,
    /// Why it failed, if it did.
    pub reason: Option<Reason>,
    /// The account.
    pub coverage: Box<Coverage>,
}

/// All failed calls with one slug.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The slug.
    pub kind: FailureKind,
    /// How many.
    pub count: u64,
    /// Where the first was: a partition and attempt, or a merge.
    pub place: String,
    /// The first.
    pub example: Excerpt,
}

impl Model {
    /// The query that these events tell of.
    #[must_use]
    pub fn of<'a>(events: impl IntoIterator<Item = &'a frond_root::Event>) -> Self {
        let mut builder = Builder::default();
        for event in events {
            builder.take(event);
        }
        builder.build()
    }

    /// All attempts, by partition and start.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The attempts of one partition, by start.
    #[must_use]
    pub fn attempts_of(&self, lane: &Lane) -> &[Attempt] {
        let first = lane.first as usize;
        self.attempts.get(first..first.saturating_add(lane.count as usize)).unwrap_or_default()
    }

    /// The lane of a partition.
    #[must_use]
    pub fn lane(&self, index: u32) -> Option<&Lane> {
        let found = self.lanes.binary_search_by_key(&index, |lane| lane.index);
        self.lanes.get(found.ok()?)
    }

    /// When the query ended, or the last moment heard of.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.end.as_ref().map_or(self.last, |end| end.at)
    }

    /// When the plan was ready: from then on partitions were queued.
    #[must_use]
    pub fn scattered(&self) -> u64 {
        self.planned.map_or(0, |planned| planned.at)
    }

    /// How many partitions there are, as far as is known.
    #[must_use]
    pub fn partitions(&self) -> u64 {
        let seen = self.lanes.len() as u64;
        self.planned.map_or(seen, |planned| planned.partitions.max(seen))
    }

    /// How many partitions are known to have succeeded, or to be missing.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let settled =
            |lane: &&Lane| lane.missing.is_some() || self.attempts_of(lane).iter().any(|one| one.fate == Fate::Used);
        self.lanes.iter().filter(settled).count() as u64
    }
}

/// Adds one call's usage to a sum; of memory, the most is kept.
pub fn add_usage(sum: &mut Usage, one: Usage) {
    sum.fuel = sum.fuel.saturating_add(one.fuel);
    sum.memory = sum.memory.max(one.memory);
    sum.output = sum.output.saturating_add(one.output);
    sum.log = sum.log.saturating_add(one.log);
}

#[cfg(test)]
mod tests;
