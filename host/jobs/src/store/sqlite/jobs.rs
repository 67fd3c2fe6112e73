//! Jobs as rows: submit, find, list, cancel, redrive.

use rusqlite::{Connection, named_params, params};

use crate::job::{End, JobId, JobState, Move, UnixMs};
use crate::store::rows::{
    APP_HAS, CALLER_HAS, Columns, HEAD, JOB, LARGE, PAST, USAGE, count_jobs, damaged, had_of, head_of, job_of, listed,
    past_of,
};
use crate::store::rules::{CurrentUse, Head, scope, sql, unsigned, within_bounds};
use crate::store::{
    Bounds, EventPage, Filter, Idempotency, Job, JobQuery, MAX_PAGE, NewJob, Page, PastJob, StoreError, StoreResult,
    Submission, Usage, cause,
};

/// Reads a job's head.
pub(super) fn head(connection: &Connection, id: JobId) -> StoreResult<Head> {
    let mut select = connection.prepare_cached(&format!("SELECT {HEAD} FROM jobs WHERE id = ?1"))?;
    let mut rows = select.query([id.to_string()])?;
    rows.next()?.map_or(Err(StoreError::NotFound(id)), head_of)
}

pub(super) fn get(connection: &Connection, id: JobId) -> StoreResult<Job> {
    let mut select = connection.prepare_cached(&format!("SELECT {JOB}, {LARGE} FROM jobs WHERE id = ?1"))?;
    let mut rows = select.query([id.to_string()])?;
    rows.next()?.map_or(Err(StoreError::NotFound(id)), job_of)
}

pub(super) fn get_of(connection: &Connection, id: JobId, caller: &str) -> StoreResult<Job> {
    let select = format!("SELECT {JOB}, {LARGE} FROM jobs WHERE id = ?1 AND caller = ?2");
    let mut select = connection.prepare_cached(&select)?;
    let mut rows = select.query(params![id.to_string(), caller])?;
    rows.next()?.map_or(Err(StoreError::NotFound(id)), job_of)
}

pub(super) fn submit(connection: &Connection, new: &NewJob, now: UnixMs) -> StoreResult<Submission> {
    let earlier = match &new.idempotency {
        Some(key) => known(connection, new, key)?,
        None => None,
    };
    if let Some(id) = earlier {
        return Ok(Submission { job: get(connection, id)?, fresh: false });
    }
    match get(connection, new.id) {
        Ok(job) => return Ok(Submission { job, fresh: false }),
        Err(StoreError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    within_bounds(new, &had(connection, new)?, now)?;
    insert(connection, new, now)?;
    Ok(Submission { job: get(connection, new.id)?, fresh: true })
}

/// Bytes that a caller's jobs take.
pub(super) fn bytes_of(connection: &Connection, caller: &str) -> StoreResult<u64> {
    let mut select = connection.prepare_cached(CALLER_HAS)?;
    let mut rows = select.query([caller])?;
    rows.next()?.map_or(Ok(0), |row| row.count("bytes"))
}

/// Current use by the app and the caller of a new job.
fn had(connection: &Connection, new: &NewJob) -> StoreResult<CurrentUse> {
    if new.bounds == Bounds::default() {
        return Ok(CurrentUse::default());
    }
    let mut of_app = connection.prepare_cached(APP_HAS)?;
    let mut of_caller = connection.prepare_cached(CALLER_HAS)?;
    let mut apps = of_app.query([&new.app])?;
    let mut callers = new.caller.as_ref().map(|caller| of_caller.query([caller])).transpose()?;
    let app = apps.next()?.ok_or_else(|| damaged("waiting"))?;
    let caller = callers.as_mut().map(|rows| rows.next()).transpose()?.flatten();
    had_of(app, caller)
}

/// Returns the job of an earlier request with the same idempotency key.
fn known(connection: &Connection, new: &NewJob, key: &Idempotency) -> StoreResult<Option<JobId>> {
    let mut select =
        connection.prepare_cached("SELECT id, idem_print FROM jobs WHERE idem_scope = ?1 AND idem_key = ?2")?;
    let mut rows = select.query(params![scope(new.caller.as_deref()), key.key])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    if row.maybe_bytes("idem_print")?.as_ref() == Some(&key.fingerprint) {
        Ok(Some(row.word("id")?))
    } else {
        Err(StoreError::KeyReused)
    }
}

fn insert(connection: &Connection, new: &NewJob, now: UnixMs) -> StoreResult<()> {
    let key = new.idempotency.as_ref();
    let state = JobState::Submitted.next(Move::Queue)?;
    let json = |error| StoreError::Other(cause(error));
    connection
        .prepare_cached(
            "INSERT INTO jobs (id, state, app, version, floor, required, run_timeout_ms, retention_ms, share, caller, \
             created, queued, idem_scope, idem_key, idem_print, query, bytes) VALUES (:id, :state, :app, :version, :floor, \
             :required, :run_timeout_ms, :retention_ms, :share, :caller, :created, :created, :scope, :key, :print, :query, :bytes)",
        )?
        .execute(named_params! {
            ":id": new.id.to_string(),
            ":state": state.slug(),
            ":app": new.app,
            ":version": new.version,
            ":floor": serde_json::to_string(&new.floor).map_err(json)?,
            ":required": serde_json::to_string(&new.required).map_err(json)?,
            ":run_timeout_ms": sql(new.run_timeout_ms),
            ":retention_ms": sql(new.retention_ms),
            ":share": new.weight.max(1),
            ":caller": new.caller,
            ":created": sql(now.0),
            ":scope": key.map(|_| scope(new.caller.as_deref())),
            ":key": key.map(|key| &key.key),
            ":print": key.map(|key| &*key.fingerprint),
            ":query": &*new.query,
            ":bytes": sql(new.bytes()),
        })?;
    Ok(())
}

pub(super) fn asked(connection: &Connection, id: JobId) -> StoreResult<JobQuery> {
    let mut select = connection.prepare_cached("SELECT id, state, query, planned_query FROM jobs WHERE id = ?1")?;
    let mut rows = select.query([id.to_string()])?;
    let row = rows.next()?.ok_or(StoreError::NotFound(id))?;
    if row.word::<JobState>("state")? == JobState::Expired {
        return Err(StoreError::Expired(id));
    }
    let query = row.maybe_bytes("query")?.ok_or_else(|| damaged("query"))?;
    Ok(JobQuery { query, planned: row.maybe_bytes("planned_query")? })
}

pub(super) fn list(connection: &Connection, filter: &Filter, page: Page) -> StoreResult<Vec<Job>> {
    let states: Vec<_> = filter.states.iter().map(|state| state.slug()).collect();
    let mut select = connection.prepare_cached(&format!(
        "SELECT {JOB}, {listed} FROM jobs WHERE (?1 IS NULL OR app = ?1) AND (?2 IS NULL OR caller = ?2) \
         AND (?3 IS NULL OR state IN (SELECT value FROM json_each(?3))) AND (?4 IS NULL OR id < ?4) \
         ORDER BY id DESC LIMIT ?5",
        listed = listed()
    ))?;
    let mut rows = select.query(params![
        filter.app,
        filter.caller,
        (!states.is_empty()).then(|| serde_json::json!(states).to_string()),
        page.after.map(|id| id.to_string()),
        page.limit.min(MAX_PAGE),
    ])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(job_of(row)?);
    }
    Ok(jobs)
}

pub(super) fn cancel(connection: &Connection, id: JobId, keep_partial: bool, now: UnixMs) -> StoreResult<Job> {
    let head = head(connection, id)?.live()?;
    let cancelled = head.next(Move::End(End::Cancelled))?;
    connection.execute("UPDATE jobs SET cancel = ?2 WHERE num = ?1", params![head.num, keep_partial])?;
    if !head.state.is_held() {
        stopped(connection, head.num, cancelled, now)?;
    }
    end_cancelled(connection, now)?;
    get(connection, id)
}

/// Ends a cancelled job that has no owner.
pub(super) fn stopped(connection: &Connection, num: i64, cancelled: JobState, now: UnixMs) -> StoreResult<()> {
    connection.execute(
        "UPDATE jobs SET state = ?2, outcome = ?2, owner = NULL, lease_until = NULL, failing = 0, finished = ?3, \
         expires = ?3 + retention_ms WHERE num = ?1",
        params![num, cancelled.slug(), sql(now.0)],
    )?;
    Ok(())
}

/// Ends cancelled jobs with lapsed leases and without partials to be made into an answer, since no
/// owner may be left to take them.
pub(super) fn end_cancelled(connection: &Connection, now: UnixMs) -> StoreResult<()> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {HEAD} FROM jobs WHERE state IN ('planning', 'running', 'merging') AND lease_until <= ?1 \
         AND cancel IS NOT NULL AND (cancel = 0 OR planned = 0)"
    ))?;
    let mut rows = select.query([sql(now.0)])?;
    let mut left = Vec::new();
    while let Some(row) = rows.next()? {
        left.push(head_of(row)?);
    }
    for head in left {
        stopped(connection, head.num, head.next(Move::End(End::Cancelled))?, now)?;
    }
    Ok(())
}

pub(super) fn redrive(connection: &Connection, id: JobId, now: UnixMs) -> StoreResult<Job> {
    let head = head(connection, id)?.live()?;
    let queued = head.next(Move::Redrive)?;
    connection.execute(
        "UPDATE partitions SET state = 'pending', attempts = 0, run_ms = 0, failure = NULL \
         WHERE job = ?1 AND state = 'failed'",
        [head.num],
    )?;
    connection.execute(
        "UPDATE jobs SET state = ?2, queued = ?3, failed = 0, failing = 0, outcome = NULL, started = NULL, finished = NULL, \
         expires = NULL, cancel = NULL, reason = NULL, coverage = NULL, content_type = NULL, result_size = NULL, \
         result_blob = NULL, result = NULL, strikes = 0, bytes = max(bytes - COALESCE(result_size, 0), 0) \
         WHERE num = ?1",
        params![head.num, queued.slug(), sql(now.0)],
    )?;
    get(connection, id)
}

pub(super) fn retain(connection: &Connection, id: JobId, retention_ms: u64) -> StoreResult<Job> {
    let head = head(connection, id)?.live()?;
    connection.execute(
        "UPDATE jobs SET retention_ms = ?2, expires = finished + ?2 WHERE num = ?1",
        params![head.num, sql(retention_ms)],
    )?;
    get(connection, id)
}

pub(super) fn events(connection: &Connection, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage> {
    let transaction = connection.unchecked_transaction()?;
    let head = head(&transaction, id)?.live()?;
    let first: Option<i64> =
        transaction.query_row("SELECT min(seq) FROM events WHERE job = ?1", [head.num], |row| row.get(0))?;
    let mut select =
        transaction.prepare_cached("SELECT seq, line FROM events WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3")?;
    let mut rows = select.query(params![head.num, sql(after), limit.min(MAX_PAGE)])?;
    let mut page = EventPage::default();
    if let Some(first) = first {
        page.missed = unsigned(first).saturating_sub(1).saturating_sub(after);
    }
    while let Some(row) = rows.next()? {
        page.events.push((row.count("seq")?, row.text("line")?));
    }
    Ok(page)
}

pub(super) fn history(connection: &Connection, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {PAST} FROM jobs WHERE app = ?1 AND version = ?2 AND outcome = 'succeeded' \
         ORDER BY finished DESC, id DESC LIMIT ?3"
    ))?;
    let mut rows = select.query(params![app, version, limit.min(MAX_PAGE)])?;
    let mut past = Vec::new();
    while let Some(row) = rows.next()? {
        past.push(past_of(row)?);
    }
    Ok(past)
}

pub(super) fn usage(connection: &Connection, bytes: u64, now: UnixMs) -> StoreResult<Usage> {
    let mut select = connection.prepare_cached(USAGE)?;
    let mut rows = select.query([])?;
    let mut usage = Usage { bytes, now, ..Usage::default() };
    while let Some(row) = rows.next()? {
        count_jobs(&mut usage, row)?;
    }
    Ok(usage)
}
