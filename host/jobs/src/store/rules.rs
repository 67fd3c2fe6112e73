//! Rules that both stores share: the calls that a job's row permits, and bounds. Pure.

use frond_root::plan::MAX_PARTITIONS;

use crate::job::{End, JobId, JobState, Move, UnixMs};

use std::borrow::Cow;

use super::{CancelKind, JobEnd, JobFilter, Locator, NewJob, OverBound, PlanRecord, StoreError, StoreResult};

/// Columns of a job's row that decide about calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) id: JobId,
    /// Primary key of the row, by which other tables refer to it.
    pub(crate) num: i64,
    pub(crate) state: JobState,
    pub(crate) epoch: u64,
    pub(crate) planned: bool,
    pub(crate) partitions: u64,
    pub(crate) cancel: Option<CancelKind>,
}

impl Head {
    /// Returns the head, unless the job is a tombstone.
    pub(crate) fn live(self) -> StoreResult<Self> {
        match self.state {
            JobState::Expired => Err(StoreError::Expired(self.id)),
            _ => Ok(self),
        }
    }

    /// Returns the head, if the owner with `epoch` holds the job.
    pub(crate) fn held_by(self, epoch: u64) -> StoreResult<Self> {
        let head = self.live()?;
        if head.state.is_held() && head.epoch == epoch {
            Ok(head)
        } else {
            Err(StoreError::Fenced { epoch: head.epoch })
        }
    }

    /// Refuses a write with the epoch as fencing token that has changed no row.
    pub(crate) fn fenced(&self, changed: u64) -> StoreResult<()> {
        match changed {
            0 => Err(StoreError::Fenced { epoch: self.epoch }),
            _ => Ok(()),
        }
    }

    /// Returns the state after the move `by`.
    pub(crate) fn next(&self, by: Move) -> StoreResult<JobState> {
        Ok(self.state.next(by)?)
    }

    /// Returns the state after a take. A job with a lapsed lease is requeued first.
    pub(crate) fn taken(&self) -> StoreResult<JobState> {
        let queued = if self.state.is_held() { self.next(Move::Requeue)? } else { self.state };
        Ok(queued.next(Move::Start { planned: self.planned })?)
    }

    /// Returns the job's end: an accepted cancel overrides the owner's.
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

    /// True if a cancelled job needs an owner to make its partials into an answer.
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

/// Largest stored number; larger ones are clamped. Two of them can be added.
pub(crate) const MOST: i64 = i64::MAX / 4;

/// Converts a number for a database. All numbers are far below [`MOST`], except times that mean
/// "never".
pub(crate) fn sql(number: u64) -> i64 {
    i64::try_from(number).map_or(MOST, |number| number.min(MOST))
}

/// Converts a number from a database.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Scope of a caller's idempotency keys, tombstones and turns. The scope without a caller differs
/// from that of every caller. In SQL, it is [`super::rows::SCOPE`].
pub(crate) fn scope(caller: Option<&str>) -> String {
    caller.map_or_else(String::new, |caller| format!("={caller}"))
}

/// Scopes of the callers whose jobs a filter leaves out.
pub(crate) fn left_out(filter: &JobFilter) -> Vec<String> {
    match filter {
        JobFilter::NotOf { caller, among } => {
            let mut scopes = left_out(among);
            scopes.push(scope(caller.as_deref()));
            scopes
        }
        JobFilter::All | JobFilter::Only(_) | JobFilter::Except(_) | JobFilter::Runnable(_) => Vec::new(),
    }
}

/// Reason of a cancelled job.
pub(crate) fn cancelled() -> serde_json::Value {
    serde_json::json!({ "reason": "cancelled" })
}

/// Current use by the app and the caller of a new job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CurrentUse {
    pub(crate) app_waiting: u64,
    pub(crate) waiting: u64,
    pub(crate) jobs: u64,
    pub(crate) bytes: u64,
    /// Time at which the first of the caller's ended jobs expires.
    pub(crate) expires: Option<UnixMs>,
}

/// Refuses a job that would take its app or its caller over its bounds.
pub(crate) fn within_bounds(new: &NewJob, current: &CurrentUse, now: UnixMs) -> StoreResult<()> {
    let bounds = new.bounds;
    let room_in = current.expires.map(|expires| expires.since(now));
    let bytes = current.bytes.saturating_add(new.bytes());
    let met = |count: u64, most: Option<u64>| most.filter(|most| count >= *most);
    let of_caller = || {
        new.caller.as_ref()?;
        met(current.waiting, bounds.waiting)
            .map(OverBound::CallerWaiting)
            .or_else(|| met(current.jobs, bounds.jobs).map(|most| OverBound::CallerJobs(most, room_in)))
            .or_else(|| met(bytes, bounds.bytes).map(|most| OverBound::CallerBytes(most, room_in)))
    };
    let over = met(current.app_waiting, bounds.waiting).map(OverBound::AppWaiting).or_else(of_caller);
    over.map_or(Ok(()), |over| Err(StoreError::OverBound(over)))
}

/// Fraction (1/n) of a store's bound that is reserved for existing jobs; new jobs are refused in
/// it.
const HEADROOM: u64 = 16;

/// Refuses a new job if the store takes `used` bytes and may take `most`.
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

/// Returns the weight of a plan, and refuses a plan with too many partitions.
pub(crate) fn check_plan(planned: &PlanRecord) -> StoreResult<u64> {
    let size = planned.partitions.len() as u64;
    let limit = MAX_PARTITIONS as u64;
    if size > limit {
        return Err(StoreError::TooLarge { what: "partitions of a plan", size, limit });
    }
    Ok(planned.partitions.iter().fold(0_u64, |sum, one| sum.saturating_add(one.weight)))
}
