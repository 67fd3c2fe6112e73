//! Conversion of rows to values, for both databases: the single place that defines the meaning of
//! columns.

use std::str::FromStr;

use bytes::Bytes;
use frond_root::PartitionKey;
use frond_root::ledger::PartialRange;
use serde::de::DeserializeOwned;

use crate::job::{JobId, JobState, UnixMs};

use super::error::cause;
use super::rules::{Head, unsigned};
use super::{
    CancelKind, Counts, Job, Locator, Partial, PartitionRow, PartitionState, PastJob, StoreError, StoreResult, Usage,
};

/// Columns of a job, without the large ones.
pub(crate) const JOB: &str = "id, state, app, version, floor, run_timeout_ms, retention_ms, share, caller, \
     created, started, finished, expires, owner, epoch, lease_until, cancel, planned, partitions, weight, done, degraded, \
     failed, settled_weight, attempts, failing, last_event, strikes, bytes";

/// Large columns of a job.
pub(crate) const LARGE: &str = "required, account, reason, coverage";

/// Most bytes of a reason in a list, as JSON; a longer one is left out.
const MAX_REASON: u64 = 1 << 10;

/// Columns of a list in the place of the large ones, of which it reads short reasons only.
pub(crate) fn listed() -> String {
    format!(
        "CAST('[]' AS TEXT) AS required, CAST(NULL AS TEXT) AS account, \
         CASE WHEN octet_length(reason) <= {MAX_REASON} THEN reason END AS reason, CAST(NULL AS TEXT) AS coverage"
    )
}

/// Columns of a job's head.
pub(crate) const HEAD: &str = "id, num, state, epoch, planned, partitions, cancel";

/// Columns of a partition.
pub(crate) const PARTITION: &str = "idx, key, weight, elsewhere, inline, state, attempts, run_ms, failure";

/// Query for the number of jobs by state.
pub(crate) const USAGE: &str = "SELECT state, count(*) AS jobs, min(queued) AS oldest FROM jobs GROUP BY state";

/// Query for the number of jobs of an app that have not ended.
pub(crate) const APP_HAS: &str = "SELECT count(*) AS waiting FROM jobs \
     WHERE state IN ('queued', 'planning', 'running', 'merging') AND app = $1";

/// Query for the jobs and bytes of a caller.
pub(crate) const CALLER_HAS: &str = "SELECT count(*) AS jobs, \
     count(CASE WHEN state IN ('queued', 'planning', 'running', 'merging') THEN 1 END) AS waiting, \
     CAST(COALESCE(sum(bytes), 0) AS BIGINT) AS bytes, min(expires) AS expires \
     FROM jobs WHERE caller = $1 AND state <> 'expired'";

/// Scope of a job's caller: [`super::rules::scope`] in SQL.
pub(crate) const SCOPE: &str = "COALESCE('=' || caller, '')";

/// Jobs under a lease, counted by app and by caller: expressions for a `WITH` clause. `held` is the
/// condition for a lease that has not lapsed.
pub(crate) fn at_work(held: &str) -> String {
    format!(
        "at_work AS (SELECT app, {SCOPE} AS held_by FROM jobs \
             WHERE state IN ('planning', 'running', 'merging') AND {held}), \
         of_app (held_app, app_held) AS (SELECT app, count(*) FROM at_work GROUP BY app), \
         of_caller (held_scope, caller_held) AS (SELECT held_by, count(*) FROM at_work GROUP BY held_by)"
    )
}

/// Tombstones of the caller of the job `$1`, without partitions and events, beyond the latest `$3`;
/// at most `$2`.
pub(crate) fn old_tombstones() -> String {
    format!(
        "SELECT num FROM (SELECT num, trimmed FROM jobs \
             WHERE state = 'expired' AND {SCOPE} = (SELECT {SCOPE} FROM jobs WHERE num = $1) \
             ORDER BY expires DESC, num DESC LIMIT $2 OFFSET $3) AS old WHERE trimmed = 1"
    )
}

/// Columns of a past job's cost.
pub(crate) const PAST: &str = "id, partitions, weight, started, finished, leaf_ms";

/// A row of either database.
pub(crate) trait Columns {
    fn maybe_int(&self, column: &str) -> StoreResult<Option<i64>>;
    fn maybe_text(&self, column: &str) -> StoreResult<Option<String>>;
    fn maybe_bytes(&self, column: &str) -> StoreResult<Option<Bytes>>;

    fn int(&self, column: &str) -> StoreResult<i64> {
        self.maybe_int(column)?.ok_or_else(|| damaged(column))
    }

    fn count(&self, column: &str) -> StoreResult<u64> {
        self.int(column).map(unsigned)
    }

    fn index(&self, column: &str) -> StoreResult<u32> {
        u32::try_from(self.int(column)?).map_err(|_| damaged(column))
    }

    fn text(&self, column: &str) -> StoreResult<String> {
        self.maybe_text(column)?.ok_or_else(|| damaged(column))
    }

    fn time(&self, column: &str) -> StoreResult<Option<UnixMs>> {
        Ok(self.maybe_int(column)?.map(|ms| UnixMs(unsigned(ms))))
    }
}

/// Converts the text of a column.
pub(crate) fn word<T: FromStr>(row: &dyn Columns, column: &str) -> StoreResult<T> {
    row.text(column)?.parse().map_err(|_| damaged(column))
}

fn json<T: DeserializeOwned>(row: &dyn Columns, column: &str) -> StoreResult<T> {
    maybe_json(row, column)?.ok_or_else(|| damaged(column))
}

fn maybe_json<T: DeserializeOwned>(row: &dyn Columns, column: &str) -> StoreResult<Option<T>> {
    let text = row.maybe_text(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| damaged(column))).transpose()
}

pub(crate) fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt(cause(format!("`{what}` is not as it was written")))
}

/// Converts a row with the columns [`JOB`] and [`LARGE`] to a job.
pub(crate) fn job_of(row: &dyn Columns) -> StoreResult<Job> {
    Ok(Job {
        id: word(row, "id")?,
        state: word(row, "state")?,
        app: row.text("app")?,
        version: row.text("version")?,
        floor: json(row, "floor")?,
        required: json(row, "required")?,
        run_timeout_ms: row.count("run_timeout_ms")?,
        retention_ms: row.count("retention_ms")?,
        weight: row.index("share")?,
        caller: row.maybe_text("caller")?,
        created: row.time("created")?.unwrap_or_default(),
        started: row.time("started")?,
        finished: row.time("finished")?,
        expires: row.time("expires")?,
        owner: row.maybe_text("owner")?,
        epoch: row.count("epoch")?,
        lease_until: row.time("lease_until")?,
        cancel: cancel_of(row)?,
        planned: row.int("planned")? != 0,
        counts: Counts {
            partitions: row.count("partitions")?,
            weight: row.count("weight")?,
            done: row.count("done")?,
            degraded: row.count("degraded")?,
            failed: row.count("failed")?,
            settled_weight: row.count("settled_weight")?,
            attempts: row.count("attempts")?,
            failing: row.count("failing")?,
        },
        events: row.count("last_event")?,
        strikes: row.count("strikes")?,
        account: maybe_json(row, "account")?.unwrap_or_default(),
        bytes: row.count("bytes")?,
        reason: maybe_json(row, "reason")?,
        coverage: maybe_json(row, "coverage")?,
    })
}

/// Converts the column `cancel` to the kind of cancel.
pub(crate) fn cancel_of(row: &dyn Columns) -> StoreResult<Option<CancelKind>> {
    Ok(row.maybe_int("cancel")?.map(|keep| CancelKind { keep_partial: keep != 0 }))
}

/// Converts a row with the columns [`HEAD`] to a head.
pub(crate) fn head_of(row: &dyn Columns) -> StoreResult<Head> {
    Ok(Head {
        id: word::<JobId>(row, "id")?,
        num: row.int("num")?,
        state: word::<JobState>(row, "state")?,
        epoch: row.count("epoch")?,
        planned: row.int("planned")? != 0,
        partitions: row.count("partitions")?,
        cancel: cancel_of(row)?,
    })
}

/// Converts the column `state` of a partition.
pub(crate) fn state_of(row: &dyn Columns) -> StoreResult<PartitionState> {
    let state = row.text("state")?;
    PartitionState::ALL.into_iter().find(|one| one.slug() == state).ok_or_else(|| damaged("state"))
}

/// Converts the range of a part; `None` for the partial of a whole partition.
pub(crate) fn range_of(row: &dyn Columns) -> StoreResult<Option<PartialRange>> {
    let Some(end) = row.maybe_int("ends")? else { return Ok(None) };
    let of = row.count("units")?;
    Ok(Some(PartialRange { begin: row.count("begins")?, end: unsigned(end), until: row.count("until")?, of }))
}

/// Converts a row of [`super::sql::parts::stored`] and its bytes to a partial.
pub(crate) fn partial_of(row: &dyn Columns, bytes: Bytes) -> StoreResult<Partial> {
    let degraded = state_of(row)? == PartitionState::Degraded;
    Ok(Partial { index: row.index("idx")?, range: range_of(row)?, bytes, degraded })
}

/// Converts a row with the columns [`PARTITION`] to a partition, without its parts.
pub(crate) fn partition_of(row: &dyn Columns) -> StoreResult<PartitionRow> {
    let place = match row.maybe_text("elsewhere")? {
        Some(text) => Locator::Elsewhere(text),
        None => Locator::Inline(row.maybe_bytes("inline")?.ok_or_else(|| damaged("inline"))?),
    };
    Ok(PartitionRow {
        index: row.index("idx")?,
        key: PartitionKey::from(row.text("key")?),
        weight: row.count("weight")?,
        place,
        state: state_of(row)?,
        attempts: row.index("attempts")?,
        run_ms: row.count("run_ms")?,
        failure: maybe_json(row, "failure")?,
        parts: Vec::new(),
    })
}

/// Adds a row of [`USAGE`] to the usage.
pub(crate) fn count_jobs(usage: &mut Usage, row: &dyn Columns) -> StoreResult<()> {
    let state = word::<JobState>(row, "state")?;
    let jobs = row.count("jobs")?;
    usage.jobs += jobs;
    usage.states.insert(state, jobs);
    if state == JobState::Queued {
        usage.oldest_queued = row.time("oldest")?;
    }
    Ok(())
}

/// Converts a row with the columns [`PAST`] to a past job.
pub(crate) fn past_of(row: &dyn Columns) -> StoreResult<PastJob> {
    let finished = row.time("finished")?.unwrap_or_default();
    let weight = row.count("weight")?;
    let leaf_ms = row.count("leaf_ms")?;
    Ok(PastJob {
        id: word(row, "id")?,
        partitions: row.count("partitions")?,
        weight,
        run_ms: finished.since(row.time("started")?.unwrap_or(finished)),
        leaf_ms,
        leaf_ms_per_weight: if weight == 0 { 0.0 } else { leaf_ms as f64 / weight as f64 },
        finished,
    })
}
