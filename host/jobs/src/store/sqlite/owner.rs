//! Calls of a job's owner, from taking the job to its end. Every write carries the owner's epoch.

use rusqlite::{Connection, params};

use crate::job::{End, JobId, Move, UnixMs};
use crate::store::rows::{HEAD, PARTITION, SCOPE, at_work, cancel_of, head_of, partition_of};
use crate::store::rules::{Head, MOST, check_plan, left_out, plan_bytes, sql};
use crate::store::{
    EventBatch, Job, JobEnd, JobFilter, LeaseNews, Locator, MAX_PAGE, PartitionPage, PartitionRow, PlanRecord,
    RunnableJobs, StoreError, StoreResult, TakenJob, cause,
};

use super::blobs::StoredBytes;
use super::jobs::{get, head, stopped};

pub(super) fn take(
    connection: &Connection,
    owner: &str,
    apps: &JobFilter,
    now: UnixMs,
    lease_until: UnixMs,
) -> StoreResult<Option<TakenJob>> {
    let Some(head) = next_waiting(connection, apps, now)? else {
        return Ok(None);
    };
    let epoch = head.epoch + 1;
    let changed = connection.execute(
        "UPDATE jobs SET state = ?3, owner = ?4, epoch = ?5, lease_until = ?6, started = COALESCE(started, ?7), \
         failing = 0, strikes = strikes + 1 WHERE num = ?1 AND epoch = ?2",
        params![head.num, sql(head.epoch), head.taken()?.slug(), owner, sql(epoch), sql(lease_until.0), sql(now.0)],
    )?;
    head.fenced(changed as u64)?;
    Ok(Some(TakenJob { job: get(connection, head.id)?, epoch, at: now }))
}

/// Names of apps, as JSON, that a filter has, and whether it lets these pass or all others.
fn names(filter: &JobFilter) -> (Option<String>, bool) {
    match filter {
        JobFilter::All => (None, true),
        JobFilter::Only(names) | JobFilter::Runnable(RunnableJobs { apps: names, .. }) => {
            (Some(serde_json::json!(names).to_string()), true)
        }
        JobFilter::Except(names) => (Some(serde_json::json!(names).to_string()), false),
        JobFilter::NotOf { among, .. } => names(among),
    }
}

/// Returns the next job to take.
fn next_waiting(connection: &Connection, filter: &JobFilter, now: UnixMs) -> StoreResult<Option<Head>> {
    let (names, only) = names(filter);
    let left_out = serde_json::json!(left_out(filter)).to_string();
    let mut select = connection.prepare_cached(&format!(
        "WITH {at_work} SELECT {HEAD} FROM jobs \
             LEFT JOIN of_app ON held_app = app LEFT JOIN of_caller ON held_scope = {SCOPE} \
         WHERE (state = 'queued' OR (state IN ('planning', 'running', 'merging') AND lease_until <= ?1)) \
           AND (?2 IS NULL OR (app IN (SELECT value FROM json_each(?2))) = ?3) \
           AND {SCOPE} NOT IN (SELECT value FROM json_each(?4)) \
         ORDER BY COALESCE(caller_held, 0), CAST(COALESCE(app_held, 0) AS REAL) / share, queued, id LIMIT 1",
        at_work = at_work("lease_until > ?1")
    ))?;
    let mut rows = select.query(params![sql(now.0), names, only, left_out])?;
    rows.next()?.map(head_of).transpose()
}

/// Lets all leases lapse.
pub(super) fn lapse(connection: &Connection) -> StoreResult<()> {
    connection.execute(
        "UPDATE jobs SET lease_until = 0 WHERE state IN ('planning', 'running', 'merging') AND lease_until > 0",
        [],
    )?;
    Ok(())
}

pub(super) fn renew(connection: &Connection, id: JobId, epoch: u64, lease_until: UnixMs) -> StoreResult<LeaseNews> {
    let head = head(connection, id)?.held_by(epoch)?;
    let mut update =
        connection.prepare_cached("UPDATE jobs SET lease_until = ?3 WHERE num = ?1 AND epoch = ?2 RETURNING cancel")?;
    let mut rows = update.query(params![head.num, sql(epoch), sql(lease_until.0)])?;
    let cancel = rows.next()?.map(cancel_of).ok_or(StoreError::Fenced { epoch: head.epoch })??;
    while rows.next()?.is_some() {}
    Ok(LeaseNews { cancel })
}

pub(super) fn wanted(connection: &Connection, id: JobId, epoch: u64) -> StoreResult<LeaseNews> {
    let mut select = connection.prepare_cached(&format!("SELECT {HEAD} FROM jobs WHERE id = ?1"))?;
    let mut rows = select.query([id.to_string()])?;
    let row = rows.next()?.ok_or(StoreError::NotFound(id))?;
    head_of(row)?.held_by(epoch)?;
    Ok(LeaseNews { cancel: cancel_of(row)? })
}

pub(super) fn release(connection: &Connection, id: JobId, epoch: u64, now: UnixMs) -> StoreResult<()> {
    let head = head(connection, id)?.held_by(epoch)?;
    if head.cancel.is_some_and(|kind| !head.needs_owner(kind)) {
        return stopped(connection, head.num, head.next(Move::End(End::Cancelled))?, now);
    }
    let changed = connection.execute(
        "UPDATE jobs SET state = ?3, owner = NULL, lease_until = NULL, strikes = max(strikes - 1, 0) \
         WHERE num = ?1 AND epoch = ?2",
        params![head.num, sql(epoch), head.next(Move::Requeue)?.slug()],
    )?;
    head.fenced(changed as u64)
}

pub(super) fn plan(connection: &Connection, id: JobId, epoch: u64, planned: &PlanRecord) -> StoreResult<()> {
    let head = head(connection, id)?.held_by(epoch)?;
    let running = head.next(Move::Run)?;
    let weight = check_plan(planned)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO partitions (job, idx, key, weight, elsewhere, inline) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (index, partition) in (0_u32..).zip(&planned.partitions) {
        let (elsewhere, inline) = match &partition.place {
            Locator::Elsewhere(text) => (Some(text), None),
            Locator::Inline(bytes) => (None, Some(&**bytes)),
        };
        insert.execute(params![head.num, index, partition.key.as_str(), sql(partition.weight), elsewhere, inline])?;
    }
    let changed = connection.execute(
        "UPDATE jobs SET state = ?3, planned = 1, planned_query = ?4, partitions = ?5, weight = ?6, version = ?7, \
         strikes = 0, bytes = min(bytes + ?8, ?9) WHERE num = ?1 AND epoch = ?2",
        params![
            head.num,
            sql(epoch),
            running.slug(),
            planned.query.as_deref(),
            sql(planned.partitions.len() as u64),
            sql(weight),
            planned.version,
            sql(plan_bytes(planned)),
            MOST,
        ],
    )?;
    head.fenced(changed as u64)
}

pub(super) fn partitions(connection: &Connection, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>> {
    let transaction = connection.unchecked_transaction()?;
    let head = head(&transaction, id)?.live()?;
    let states: Vec<_> = page.states.iter().map(|state| state.slug()).collect();
    let mut select = transaction.prepare_cached(&format!(
        "SELECT {PARTITION} FROM partitions WHERE job = ?1 AND idx > ?2 \
         AND (?3 IS NULL OR state IN (SELECT value FROM json_each(?3))) ORDER BY idx LIMIT ?4"
    ))?;
    let mut rows = select.query(params![
        head.num,
        page.after.map_or(-1, i64::from),
        (!states.is_empty()).then(|| serde_json::json!(states).to_string()),
        page.limit.min(MAX_PAGE),
    ])?;
    let mut partitions = Vec::new();
    while let Some(row) = rows.next()? {
        partitions.push(partition_of(row)?);
    }
    Ok(partitions)
}

pub(super) fn merge(connection: &Connection, id: JobId, epoch: u64) -> StoreResult<()> {
    let head = head(connection, id)?.held_by(epoch)?;
    let changed = connection.execute(
        "UPDATE jobs SET state = ?3 WHERE num = ?1 AND epoch = ?2",
        params![head.num, sql(epoch), head.next(Move::Merge)?.slug()],
    )?;
    head.fenced(changed as u64)
}

/// Ends the job; `result` is the stored form of the answer in `ended`.
pub(super) fn finish(
    connection: &Connection,
    id: JobId,
    epoch: u64,
    ended: &JobEnd,
    result: Option<&StoredBytes>,
    now: UnixMs,
) -> StoreResult<Job> {
    let head = head(connection, id)?.held_by(epoch)?;
    let ended = &*head.ended(ended);
    let result = result.filter(|_| ended.result.is_some());
    let state = head.next(Move::End(ended.end))?;
    let json = |value: &serde_json::Value| value.to_string();
    let changed = connection.execute(
        "UPDATE jobs SET state = ?3, outcome = ?3, owner = NULL, lease_until = NULL, failing = 0, finished = ?4, \
         expires = ?4 + retention_ms, reason = ?5, coverage = ?6, content_type = ?7, result_size = ?8, \
         result_blob = ?9, result = ?10, bytes = bytes + COALESCE(?8, 0), trimmed = 0 WHERE num = ?1 AND epoch = ?2",
        params![
            head.num,
            sql(epoch),
            state.slug(),
            sql(now.0),
            ended.reason.as_ref().map(json),
            json(&ended.coverage),
            ended.content_type,
            ended.result.as_ref().map(|bytes| sql(bytes.len() as u64)),
            result.and_then(StoredBytes::digest),
            result.and_then(StoredBytes::inline),
        ],
    )?;
    head.fenced(changed as u64)?;
    get(connection, id)
}

pub(super) fn append(connection: &Connection, id: JobId, epoch: u64, news: &EventBatch, kept: u64) -> StoreResult<()> {
    let head = head(connection, id)?.held_by(epoch)?;
    let EventBatch { lines, attempts, failing, account } = news;
    let account =
        account.as_ref().map(serde_json::to_string).transpose().map_err(|error| StoreError::Other(cause(error)))?;
    let count = sql(lines.len() as u64);
    let last: i64 = connection.query_row(
        "UPDATE jobs SET last_event = last_event + ?3, attempts = min(attempts + ?4, ?6), failing = ?5, \
         account = COALESCE(?7, account) WHERE num = ?1 AND epoch = ?2 RETURNING last_event",
        params![head.num, sql(epoch), count, sql(*attempts), sql(*failing), MOST, account],
        |row| row.get(0),
    )?;
    let first = last - count + 1;
    let mut insert = connection.prepare_cached("INSERT INTO events (job, seq, line) VALUES (?1, ?2, ?3)")?;
    for (number, line) in (first..).zip(lines) {
        insert.execute(params![head.num, number, line])?;
    }
    let mut drop = connection.prepare_cached("DELETE FROM events WHERE job = ?1 AND seq <= ?2")?;
    drop.execute(params![head.num, last - sql(kept)])?;
    Ok(())
}
