//! Reference model: a minimal store in memory to compare the real ones with. Written from the
//! trait's docs, independently of the stores and of `JobState::next`.

use std::collections::BTreeMap;

use frond_jobs::store::TOMBSTONE_MS;
use frond_jobs::{End, JobState};

use crate::kit::{EVENTS, STONES};

/// A result, or the name of an error.
pub(crate) type StoreResult<T> = Result<T, &'static str>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Done,
    Degraded,
    Failed,
    /// A part of [`UNITS`] units: where it begins and ends, and up to where the rest is skipped.
    Part([u64; 3]),
}

/// Units of a partition.
pub(crate) const UNITS: u64 = 12;

/// Result of a partition, and the attempt that it is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Given {
    pub(crate) index: u32,
    pub(crate) kind: Kind,
    pub(crate) attempt: u32,
}

/// Stored part of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) units: [u64; 3],
    pub(crate) attempt: u32,
    epoch: u64,
}

/// Partition of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) result: Option<Kind>,
    /// Stored parts, by the first unit.
    pub(crate) parts: BTreeMap<u64, Part>,
}

impl Cell {
    /// Units that the parts account for.
    fn covered(&self) -> u64 {
        self.parts.values().map(|part| part.units[2] - part.units[0]).sum()
    }

    /// Weight of what is stored, of 10.
    pub(crate) fn weight(&self) -> u64 {
        match self.result {
            Some(Kind::Done | Kind::Degraded) if self.parts.is_empty() => 10,
            _ => 10 * self.covered() / UNITS,
        }
    }

    /// True if the result is stored.
    fn accept(&mut self, result: &Given, epoch: u64) -> bool {
        let Kind::Part(units) = result.kind else {
            let is_free = self.result.is_none() && (self.parts.is_empty() || result.kind == Kind::Failed);
            if is_free {
                self.result = Some(result.kind);
            }
            return is_free;
        };
        let [begin, _, until] = units;
        let is_own = |part: &Part| (part.units[0], part.epoch, part.attempt) == (begin, epoch, result.attempt);
        let is_in_the_way = |part: &&Part| part.units[0] < until && begin < part.units[2] && !is_own(part);
        let part = Part { units, attempt: result.attempt, epoch };
        let is_free = self.result.is_none()
            && begin < until
            && !self.parts.values().any(|old| is_in_the_way(&old))
            && self.parts.get(&begin) != Some(&part);
        if is_free {
            self.parts.insert(begin, part);
            if self.covered() == UNITS {
                self.result = Some(Kind::Done);
            }
        }
        is_free
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Number of jobs that were stored before.
    pub(crate) row: u64,
    pub(crate) app: u8,
    pub(crate) caller: Option<u8>,
    pub(crate) share: u64,
    pub(crate) state: JobState,
    pub(crate) epoch: u64,
    pub(crate) lease: u64,
    pub(crate) plan: Option<Vec<Cell>>,
    pub(crate) queued: u64,
    pub(crate) started: Option<u64>,
    pub(crate) finished: Option<u64>,
    pub(crate) expires: Option<u64>,
    pub(crate) retention: u64,
    pub(crate) cancel: Option<bool>,
    pub(crate) has_result: bool,
    pub(crate) outcome: Option<JobState>,
    pub(crate) key: Option<u8>,
    pub(crate) print: u8,
    pub(crate) events: u64,
}

impl Job {
    fn is_held(&self) -> bool {
        [JobState::Planning, JobState::Running, JobState::Merging].contains(&self.state)
    }

    fn is_over(&self) -> bool {
        [JobState::Succeeded, JobState::Partial, JobState::Failed, JobState::Cancelled].contains(&self.state)
    }

    /// True if the job can end without an owner.
    fn may_end_alone(&self) -> bool {
        self.cancel.is_some_and(|keep| !(keep && self.plan.is_some()))
    }

    fn stop(&mut self, now: u64) {
        self.state = JobState::Cancelled;
        self.outcome = Some(JobState::Cancelled);
        self.finished = Some(now);
        self.expires = Some(now + self.retention);
    }

    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.plan.iter().flatten().filter(|cell| cell.result == Some(kind)).count() as u64
    }

    /// Numbers of the events that are kept.
    pub(crate) fn kept(&self) -> Vec<u64> {
        match self.state {
            JobState::Expired => Vec::new(),
            _ => (self.events.saturating_sub(EVENTS) + 1..=self.events).collect(),
        }
    }
}

/// The store: jobs by number; later numbers are newer.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) jobs: BTreeMap<u64, Job>,
    rows: u64,
}

impl Model {
    pub(crate) fn states(&self) -> BTreeMap<JobState, u64> {
        let mut states = BTreeMap::new();
        for job in self.jobs.values() {
            *states.entry(job.state).or_default() += 1;
        }
        states
    }

    fn live(&mut self, job: u64) -> StoreResult<&mut Job> {
        let job = self.jobs.get_mut(&job).ok_or("not found")?;
        if job.state == JobState::Expired { Err("expired") } else { Ok(job) }
    }

    fn held(&mut self, job: u64, epoch: u64) -> StoreResult<&mut Job> {
        let job = self.live(job)?;
        if job.is_held() && job.epoch == epoch { Ok(job) } else { Err("fenced") }
    }

    /// Returns the number of the job, and whether it is fresh.
    pub(crate) fn submit(&mut self, number: u64, new: Job) -> StoreResult<(u64, bool)> {
        let is_same = |job: &Job| job.key.is_some() && (job.key, job.caller) == (new.key, new.caller);
        let known = self.jobs.iter().find(|(_, job)| is_same(job));
        if let Some((known, job)) = known {
            return if job.print == new.print { Ok((*known, false)) } else { Err("key reused") };
        }
        if self.jobs.contains_key(&number) {
            return Ok((number, false));
        }
        self.jobs.insert(number, Job { row: self.rows, ..new });
        self.rows += 1;
        Ok((number, true))
    }

    /// Takes a job of these apps that is not this caller's.
    pub(crate) fn take(&mut self, apps: Option<u8>, not_of: Option<Option<u8>>, now: u64, until: u64) -> Option<u64> {
        let at_work = |is: &dyn Fn(&Job) -> bool| {
            self.jobs.values().filter(|job| is(job) && job.is_held() && job.lease > now).count()
        };
        let rank = |job: &Job| {
            let of_app = at_work(&|other| other.app == job.app) as f64 / job.share as f64;
            (at_work(&|other| other.caller == job.caller), of_app)
        };
        let waits = |job: &Job| job.state == JobState::Queued || (job.is_held() && job.lease <= now);
        let mut waiting: Vec<_> = self
            .jobs
            .iter()
            .filter(|(_, job)| waits(job) && apps.is_none_or(|app| app == job.app))
            .filter(|(_, job)| not_of.is_none_or(|caller| caller != job.caller))
            .map(|(number, job)| (rank(job), job.queued, *number))
            .collect();
        waiting.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let number = waiting.first()?.2;
        let job = self.jobs.get_mut(&number).unwrap();
        job.epoch += 1;
        job.lease = until;
        job.started = job.started.or(Some(now));
        job.state = if job.plan.is_some() { JobState::Running } else { JobState::Planning };
        Some(number)
    }

    pub(crate) fn renew(&mut self, job: u64, epoch: u64, until: u64) -> StoreResult<Option<bool>> {
        let job = self.held(job, epoch)?;
        job.lease = until;
        Ok(job.cancel)
    }

    pub(crate) fn release(&mut self, job: u64, epoch: u64, now: u64) -> StoreResult<()> {
        let job = self.held(job, epoch)?;
        if job.may_end_alone() {
            job.stop(now);
        } else {
            job.state = JobState::Queued;
        }
        Ok(())
    }

    pub(crate) fn plan(&mut self, job: u64, epoch: u64, partitions: usize) -> StoreResult<()> {
        let job = self.held(job, epoch)?;
        if job.state != JobState::Planning {
            return Err("illegal");
        }
        job.plan = Some(vec![Cell::default(); partitions]);
        job.state = JobState::Running;
        Ok(())
    }

    /// Returns the fresh indexes, and the number of discarded results.
    pub(crate) fn accept(&mut self, job: u64, epoch: u64, results: &[Given]) -> StoreResult<(Vec<u32>, u32)> {
        let job = self.held(job, epoch)?;
        let none = &mut Vec::new();
        let plan = job.plan.as_mut().unwrap_or(none);
        if results.iter().any(|one| one.index as usize >= plan.len()) {
            return Err("no partition");
        }
        let mut fresh = Vec::new();
        let mut discarded = 0;
        for one in results {
            if plan[one.index as usize].accept(one, epoch) {
                fresh.push(one.index);
            } else {
                discarded += 1;
            }
        }
        fresh.sort_unstable();
        Ok((fresh, discarded))
    }

    pub(crate) fn merge(&mut self, job: u64, epoch: u64) -> StoreResult<()> {
        let job = self.held(job, epoch)?;
        if job.state != JobState::Running {
            return Err("illegal");
        }
        job.state = JobState::Merging;
        Ok(())
    }

    pub(crate) fn finish(&mut self, job: u64, epoch: u64, end: End, now: u64) -> StoreResult<()> {
        let job = self.held(job, epoch)?;
        let (state, needs_merge) = match end {
            End::Succeeded => (JobState::Succeeded, true),
            End::Partial => (JobState::Partial, true),
            End::Failed => (JobState::Failed, false),
            End::Cancelled => (JobState::Cancelled, false),
        };
        if needs_merge && job.cancel.is_none() && job.state != JobState::Merging {
            return Err("illegal");
        }
        let state = if job.cancel.is_some() { JobState::Cancelled } else { state };
        job.state = state;
        job.outcome = Some(state);
        job.has_result = needs_merge && job.cancel != Some(false);
        job.finished = Some(now);
        job.expires = Some(now + job.retention);
        Ok(())
    }

    pub(crate) fn cancel(&mut self, job: u64, keep: bool, now: u64) -> StoreResult<()> {
        let job = self.live(job)?;
        if job.is_over() {
            return Err("late");
        }
        job.cancel = Some(keep);
        if !job.is_held() && job.may_end_alone() {
            job.stop(now);
        }
        self.stop_lapsed(now);
        Ok(())
    }

    /// Ends cancelled jobs that have neither an owner nor partials to be made into an answer.
    fn stop_lapsed(&mut self, now: u64) {
        let lapsed = |job: &&mut Job| job.is_held() && job.lease <= now && job.may_end_alone();
        self.jobs.values_mut().filter(lapsed).for_each(|job| job.stop(now));
    }

    pub(crate) fn redrive(&mut self, job: u64, now: u64) -> StoreResult<()> {
        let job = self.live(job)?;
        match job.state {
            JobState::Succeeded => return Err("late"),
            _ if !job.is_over() => return Err("illegal"),
            _ => {}
        }
        for cell in job.plan.iter_mut().flatten() {
            cell.result.take_if(|result| *result == Kind::Failed);
        }
        job.state = JobState::Queued;
        job.queued = now;
        (job.started, job.finished, job.expires, job.cancel, job.outcome) = (None, None, None, None, None);
        job.has_result = false;
        Ok(())
    }

    pub(crate) fn retain(&mut self, job: u64, ms: u64) -> StoreResult<()> {
        let job = self.live(job)?;
        job.retention = ms;
        job.expires = job.finished.map(|finished| finished + ms);
        Ok(())
    }

    pub(crate) fn append(&mut self, job: u64, epoch: u64, count: u64) -> StoreResult<()> {
        self.held(job, epoch)?.events += count;
        Ok(())
    }

    /// Returns the numbers of expired and of forgotten jobs.
    pub(crate) fn sweep(&mut self, now: u64) -> (u64, u64) {
        let mut expired = 0;
        for job in self.jobs.values_mut() {
            if job.is_over() && job.expires.unwrap() <= now {
                expired += 1;
                job.state = JobState::Expired;
                job.expires = Some(now);
                (job.key, job.cancel, job.has_result) = (None, None, false);
            }
        }
        self.drop_old_tombstones();
        self.stop_lapsed(now);
        let before = self.jobs.len();
        self.jobs.retain(|_, job| job.state != JobState::Expired || job.expires.unwrap() + TOMBSTONE_MS > now);
        (expired, (before - self.jobs.len()) as u64)
    }

    /// Keeps the latest tombstones of each caller.
    fn drop_old_tombstones(&mut self) {
        let stones = self.jobs.iter().filter(|(_, job)| job.state == JobState::Expired);
        let mut stones: Vec<_> = stones.map(|(number, job)| (job.expires, job.row, job.caller, *number)).collect();
        stones.sort_unstable();
        let mut kept: BTreeMap<Option<u8>, u64> = BTreeMap::new();
        for (.., caller, number) in stones.into_iter().rev() {
            let count = kept.entry(caller).or_default();
            *count += 1;
            if *count > STONES {
                self.jobs.remove(&number);
            }
        }
    }

    /// Succeeded jobs, tombstones included, latest first.
    pub(crate) fn succeeded(&self, app: u8) -> Vec<u64> {
        let mut all: Vec<_> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.app == app && job.outcome == Some(JobState::Succeeded))
            .map(|(number, job)| (job.finished.unwrap(), *number))
            .collect();
        all.sort_unstable();
        all.into_iter().rev().map(|(_, number)| number).collect()
    }
}
