//! What both stores decide by: who may do what with a job as its row stands. Pure.

use frond_root::plan::MAX_PARTITIONS;

use crate::job::{End, JobId, JobState, Move, UnixMs};

use std::borrow::Cow;

use super::{CancelKind, JobEnd, Locator, NewJob, OverBound, PlanRecord, StoreError, StoreResult};

/// What of a job's row decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) id: JobId,
    /// The row's number, by which other tables refer to it.
    pub(crate) num: i64,
    pub(crate) state: JobState,
    pub(crate) epoch: u64,
    pub(crate) planned: bool,
    pub(crate) partitions: u64,
    pub(crate) cancel: Option<CancelKind>,
}

impl Head {
    /// The head, unless it is a tombstone's.
    pub(crate) fn live(self) -> StoreResult<Self> {
        match self.state {
            JobState::Expired => Err(StoreError::Expired(self.id)),
            _ => Ok(self),
        }
    }

    /// The head, if `epoch` holds the job.
    pub(crate) fn held_by(self, epoch: u64) -> StoreResult<Self> {
        let head = self.live()?;
        match head.state.is_held() && head.epoch == epoch {
            true => Ok(head),
            false => Err(StoreError::Fenced { epoch: head.epoch }),
        }
    }

    /// Where `by` leads.
    pub(crate) fn next(&self, by: Move) -> StoreResult<JobState> {
        Ok(self.state.next(by)?)
    }

    /// Where taking the job leads. A lease that has lapsed puts it back to the queue first.
    pub(crate) fn taken(&self) -> StoreResult<JobState> {
        let queued = if self.state.is_held() { self.next(Move::Requeue)? } else { self.state };
        Ok(queued.next(Move::Start { planned: self.planned })?)
    }

    /// How the job ends: an accepted cancel counts, whatever its owner has made of the job.
    pub(crate) fn ended<'e>(&self, ended: &'e JobEnd) -> Cow<'e, JobEnd> {
        let Some(kind) = self.cancel else { return Cow::Borrowed(ended) };
        let mut ended = ended.clone();
        if !kind.keep_partial {
            ended.result = None;
        }
        if ended.end != End::Cancelled {
            ended.end = End::Cancelled;
            ended.reason = Some(cancelled());
        }
        Cow::Owned(ended)
    }

    /// True when a job that was asked to stop needs an owner to end: what it has is to be made into an answer.
    pub(crate) fn needs_owner(&self, kind: CancelKind) -> bool {
        kind.keep_partial && self.planned
    }

    /// Refuses partitions that are not in the plan.
    pub(crate) fn has(&self, indexes: impl IntoIterator<Item = u32>) -> StoreResult<()> {
        match indexes.into_iter().find(|index| u64::from(*index) >= self.partitions) {
            Some(index) => Err(StoreError::NoPartition { index, partitions: self.partitions }),
            None => Ok(()),
        }
    }
}

/// The largest number that is kept; larger ones become it. Two of them can be added.
pub(crate) const MOST: i64 = i64::MAX / 4;

/// A number as databases keep it. Ours are far below [`MOST`], but for times that mean "never".
pub(crate) fn sql(number: u64) -> i64 {
    i64::try_from(number).map_or(MOST, |number| number.min(MOST))
}

/// A number as it was kept.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Whose idempotency keys a job's key stands among. No name of a caller is like that of none.
pub(crate) fn scope(new: &NewJob) -> String {
    new.caller.as_ref().map_or_else(String::new, |caller| format!("={caller}"))
}

/// The reason of a job that was asked to stop.
pub(crate) fn cancelled() -> serde_json::Value {
    serde_json::json!({ "reason": "cancelled" })
}

/// What the app and the caller of a new job have by now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CurrentUse {
    pub(crate) app_waiting: u64,
    pub(crate) waiting: u64,
    pub(crate) jobs: u64,
    pub(crate) bytes: u64,
    /// When the first of the caller's jobs that have ended expires.
    pub(crate) expires: Option<UnixMs>,
}

/// Refuses a job with which its app or its caller would have more than it may.
pub(crate) fn within_bounds(new: &NewJob, had: &CurrentUse, now: UnixMs) -> StoreResult<()> {
    let bounds = new.bounds;
    let room_in = had.expires.map(|expires| expires.since(now));
    let bytes = had.bytes.saturating_add(new.query.len() as u64);
    let met = |had: u64, most: Option<u64>| most.filter(|most| had >= *most);
    let of_caller = || {
        new.caller.as_ref()?;
        met(had.waiting, bounds.waiting)
            .map(OverBound::CallerWaiting)
            .or_else(|| met(had.jobs, bounds.jobs).map(|most| OverBound::CallerJobs(most, room_in)))
            .or_else(|| met(bytes, bounds.bytes).map(|most| OverBound::CallerBytes(most, room_in)))
    };
    let over = met(had.app_waiting, bounds.waiting).map(OverBound::AppWaiting).or_else(of_caller);
    over.map_or(Ok(()), |over| Err(StoreError::OverBound(over)))
}

/// The part of a store's bound that is left to jobs that are there when new ones are no longer taken.
const HEADROOM: u64 = 16;

/// Refuses a new job when the store takes `used` bytes and may take `most`.
pub(crate) fn admit(used: u64, most: Option<u64>) -> StoreResult<()> {
    match most {
        Some(most) if used > most - most / HEADROOM => Err(StoreError::Full(None)),
        _ => Ok(()),
    }
}

/// Bytes that a plan takes.
pub(crate) fn plan_bytes(planned: &PlanRecord) -> u64 {
    let query = planned.query.as_ref().map_or(0, bytes::Bytes::len) as u64;
    planned.partitions.iter().fold(query, |sum, one| {
        sum.saturating_add(match &one.place {
            Locator::Inline(bytes) => bytes.len() as u64,
            Locator::Elsewhere(text) => text.len() as u64,
        })
    })
}

/// The weight of a plan.
pub(crate) fn check_plan(planned: &PlanRecord) -> StoreResult<u64> {
    let (size, limit) = (planned.partitions.len() as u64, MAX_PARTITIONS as u64);
    if size > limit {
        return Err(StoreError::TooLarge { what: "partitions of a plan", size, limit });
    }
    Ok(planned.partitions.iter().fold(0_u64, |sum, one| sum.saturating_add(one.weight)))
}
