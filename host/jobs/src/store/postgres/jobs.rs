//! Jobs as rows: submit, find, list, cancel, redrive.

use crate::job::{End, JobId, JobState, Move, UnixMs};
use crate::store::rows::{
    APP_HAS, CALLER_HAS, Columns, HEAD, JOB, LARGE, PAST, damaged, had_of, head_of, job_of, listed, past_of,
};
use crate::store::rules::{Head, scope, sql, within_bounds};
use crate::store::{
    Bounds, EventPage, Filter, Job, JobQuery, MAX_PAGE, NewJob, Page, PastJob, StoreError, StoreResult, Submission,
    cause,
};

use super::fault::now;
use super::session::Transaction;

/// First of the two keys of advisory locks on callers.
const CALLERS: i32 = 0x4672_6E63;

/// Reads a job's head. With `lock`, locks the row until the end of the transaction.
pub(super) async fn head(transaction: &Transaction<'_>, id: JobId, lock: bool) -> StoreResult<Head> {
    let lock = if lock { "FOR UPDATE" } else { "" };
    let found = transaction.row(&format!("SELECT {HEAD} FROM jobs WHERE id = $1 {lock}"), &[&id.to_string()]).await?;
    found.map_or(Err(StoreError::NotFound(id)), |row| head_of(&row))
}

pub(super) async fn get(transaction: &Transaction<'_>, id: JobId) -> StoreResult<Job> {
    let select = format!("SELECT {JOB}, {LARGE} FROM jobs WHERE id = $1");
    let found = transaction.row(&select, &[&id.to_string()]).await?;
    found.map_or(Err(StoreError::NotFound(id)), |row| job_of(&row))
}

pub(super) async fn get_of(transaction: &Transaction<'_>, id: JobId, caller: &str) -> StoreResult<Job> {
    let select = format!("SELECT {JOB}, {LARGE} FROM jobs WHERE id = $1 AND caller = $2");
    let found = transaction.row(&select, &[&id.to_string(), &caller]).await?;
    found.map_or(Err(StoreError::NotFound(id)), |row| job_of(&row))
}

pub(super) async fn submit(transaction: &Transaction<'_>, new: &NewJob, set: Option<i64>) -> StoreResult<Submission> {
    if new.bounds != Bounds::default() {
        if let Some(id) = known(transaction, new).await? {
            return Ok(Submission { job: get(transaction, id).await?, fresh: false });
        }
        has_room(transaction, new, set).await?;
    }
    // The conflicting row may be gone before it is read, since a sweep frees keys.
    for _ in 0..3 {
        if insert(transaction, new, set).await? {
            return Ok(Submission { job: get(transaction, new.id).await?, fresh: true });
        }
        if let Some(id) = known(transaction, new).await? {
            return Ok(Submission { job: get(transaction, id).await?, fresh: false });
        }
        match get(transaction, new.id).await {
            Ok(job) => return Ok(Submission { job, fresh: false }),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Unavailable(cause("other processes change the same job at the same time")))
}

/// Refuses a job that would take its app or its caller over its bounds. Submissions of one caller
/// are serialized, since concurrent ones would each find the same room.
async fn has_room(transaction: &Transaction<'_>, new: &NewJob, set: Option<i64>) -> StoreResult<()> {
    if let Some(caller) = &new.caller {
        let lock = "SELECT pg_advisory_xact_lock($1, hashtext($2))";
        transaction.rows(lock, &[&CALLERS, caller]).await?;
    }
    let app = transaction.row(APP_HAS, &[&new.app]).await?.ok_or_else(|| damaged("waiting"))?;
    let caller = match &new.caller {
        Some(caller) => transaction.row(CALLER_HAS, &[caller]).await?,
        None => None,
    };
    let time = transaction.row(&format!("SELECT {} AS now", now(1)), &[&set]).await?.ok_or_else(|| damaged("now"))?;
    within_bounds(new, &had_of(&app, caller.as_ref())?, UnixMs(time.count("now")?))
}

/// Bytes that a caller's jobs take.
pub(super) async fn bytes_of(transaction: &Transaction<'_>, caller: &str) -> StoreResult<u64> {
    transaction.row(CALLER_HAS, &[&caller]).await?.map_or(Ok(0), |row| row.count("bytes"))
}

/// Returns the job of an earlier request with the same idempotency key.
async fn known(transaction: &Transaction<'_>, new: &NewJob) -> StoreResult<Option<JobId>> {
    let Some(key) = &new.idempotency else {
        return Ok(None);
    };
    let select = "SELECT id, idem_print FROM jobs WHERE idem_scope = $1 AND idem_key = $2";
    let Some(row) = transaction.row(select, &[&scope(new.caller.as_deref()), &key.key]).await? else {
        return Ok(None);
    };
    if row.maybe_bytes("idem_print")?.as_ref() == Some(&key.fingerprint) {
        Ok(Some(row.word("id")?))
    } else {
        Err(StoreError::KeyReused)
    }
}

/// Returns false if there is a job with the same id or key.
async fn insert(transaction: &Transaction<'_>, new: &NewJob, set: Option<i64>) -> StoreResult<bool> {
    let key = new.idempotency.as_ref();
    let state = JobState::Submitted.next(Move::Queue)?;
    let json = |error| StoreError::Other(cause(error));
    let insert = format!(
        "INSERT INTO jobs (id, state, app, version, floor, required, run_timeout_ms, retention_ms, share, caller, \
         created, queued, idem_scope, idem_key, idem_print, query, bytes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, {now}, {now}, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING",
        now = now(11)
    );
    let changed = transaction
        .execute(
            &insert,
            &[
                &new.id.to_string(),
                &state.slug(),
                &new.app,
                &new.version,
                &serde_json::to_string(&new.floor).map_err(json)?,
                &serde_json::to_string(&new.required).map_err(json)?,
                &sql(new.run_timeout_ms),
                &sql(new.retention_ms),
                &i64::from(new.weight.max(1)),
                &new.caller,
                &set,
                &key.map(|_| scope(new.caller.as_deref())),
                &key.map(|key| &key.key),
                &key.map(|key| &*key.fingerprint),
                &&*new.query,
                &sql(new.bytes()),
            ],
        )
        .await?;
    Ok(changed == 1)
}

pub(super) async fn asked(transaction: &Transaction<'_>, id: JobId) -> StoreResult<JobQuery> {
    let head = head(transaction, id, false).await?.live()?;
    let found = transaction.row("SELECT query, planned_query FROM jobs WHERE num = $1", &[&head.num]).await?;
    let row = found.ok_or(StoreError::NotFound(id))?;
    let query = row.maybe_bytes("query")?.ok_or_else(|| damaged("query"))?;
    Ok(JobQuery { query, planned: row.maybe_bytes("planned_query")? })
}

pub(super) async fn list(transaction: &Transaction<'_>, filter: &Filter, page: Page) -> StoreResult<Vec<Job>> {
    let states: Vec<_> = filter.states.iter().map(|state| state.slug()).collect();
    let select = format!(
        "SELECT {JOB}, {listed} FROM jobs WHERE ($1::text IS NULL OR app = $1) AND ($2::text IS NULL OR caller = $2) \
         AND ($3::text[] IS NULL OR state = ANY ($3)) AND ($4::text IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
        listed = listed()
    );
    let states = (!states.is_empty()).then_some(states);
    let after = page.after.map(|id| id.to_string());
    let limit = i64::from(page.limit.min(MAX_PAGE));
    let found = transaction.rows(&select, &[&filter.app, &filter.caller, &states, &after, &limit]).await?;
    found.iter().map(job_of).collect()
}

pub(super) async fn cancel(transaction: &Transaction<'_>, id: JobId, keep: bool, set: Option<i64>) -> StoreResult<Job> {
    let head = head(transaction, id, true).await?.live()?;
    let cancelled = head.next(Move::End(End::Cancelled))?;
    let keep = i64::from(keep);
    transaction.execute("UPDATE jobs SET cancel = $2 WHERE num = $1", &[&head.num, &keep]).await?;
    if !head.state.is_held() {
        stopped(transaction, head.num, cancelled, set).await?;
    }
    end_cancelled(transaction, set).await?;
    get(transaction, id).await
}

/// Ends a cancelled job that has no owner.
pub(super) async fn stopped(
    transaction: &Transaction<'_>,
    num: i64,
    cancelled: JobState,
    set: Option<i64>,
) -> StoreResult<()> {
    let end = format!(
        "UPDATE jobs SET state = $2, outcome = $2, owner = NULL, lease_until = NULL, failing = 0, finished = {now}, \
         expires = {now} + retention_ms WHERE num = $1",
        now = now(3)
    );
    transaction.execute(&end, &[&num, &cancelled.slug(), &set]).await.map(drop)
}

/// Ends cancelled jobs with lapsed leases and without partials to be made into an answer, since no
/// owner may be left to take them.
pub(super) async fn end_cancelled(transaction: &Transaction<'_>, set: Option<i64>) -> StoreResult<()> {
    let select = format!(
        "SELECT {HEAD} FROM jobs WHERE state IN ('planning', 'running', 'merging') AND lease_until <= {} \
         AND cancel IS NOT NULL AND (cancel = 0 OR planned = 0) FOR UPDATE SKIP LOCKED",
        now(1)
    );
    for row in transaction.rows(&select, &[&set]).await? {
        let head = head_of(&row)?;
        stopped(transaction, head.num, head.next(Move::End(End::Cancelled))?, set).await?;
    }
    Ok(())
}

pub(super) async fn redrive(transaction: &Transaction<'_>, id: JobId, set: Option<i64>) -> StoreResult<Job> {
    let head = head(transaction, id, true).await?.live()?;
    let queued = head.next(Move::Redrive)?;
    let reset = "UPDATE partitions SET state = 'pending', attempts = 0, run_ms = 0, failure = NULL \
         WHERE job = $1 AND state = 'failed'";
    transaction.execute(reset, &[&head.num]).await?;
    let again = format!(
        "UPDATE jobs SET state = $2, queued = {}, failed = 0, failing = 0, outcome = NULL, started = NULL, \
         finished = NULL, expires = NULL, cancel = NULL, reason = NULL, coverage = NULL, content_type = NULL, \
         result_size = NULL, result = NULL, strikes = 0, \
         bytes = GREATEST(bytes - COALESCE(result_size, 0), 0) WHERE num = $1",
        now(3)
    );
    transaction.execute(&again, &[&head.num, &queued.slug(), &set]).await?;
    get(transaction, id).await
}

pub(super) async fn retain(transaction: &Transaction<'_>, id: JobId, retention_ms: u64) -> StoreResult<Job> {
    let head = head(transaction, id, true).await?.live()?;
    let update = "UPDATE jobs SET retention_ms = $2, expires = finished + $2 WHERE num = $1";
    transaction.execute(update, &[&head.num, &sql(retention_ms)]).await?;
    get(transaction, id).await
}

pub(super) async fn events(transaction: &Transaction<'_>, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage> {
    let head = head(transaction, id, false).await?.live()?;
    let first = transaction.row("SELECT min(seq) AS first FROM events WHERE job = $1", &[&head.num]).await?;
    let first = first.map(|row| row.time("first")).transpose()?.flatten();
    let select = "SELECT seq, line FROM events WHERE job = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let limit = i64::from(limit.min(MAX_PAGE));
    let found = transaction.rows(select, &[&head.num, &sql(after), &limit]).await?;
    let events = found.iter().map(|row| Ok((row.count("seq")?, row.text("line")?))).collect::<StoreResult<_>>()?;
    Ok(EventPage { events, missed: first.map_or(0, |first| first.0.saturating_sub(1).saturating_sub(after)) })
}

pub(super) async fn history(
    transaction: &Transaction<'_>,
    app: &str,
    version: &str,
    limit: u32,
) -> StoreResult<Vec<PastJob>> {
    let select = format!(
        "SELECT {PAST} FROM jobs WHERE app = $1 AND version = $2 AND outcome = 'succeeded' \
         ORDER BY finished DESC, id DESC LIMIT $3"
    );
    let found = transaction.rows(&select, &[&app, &version, &i64::from(limit.min(MAX_PAGE))]).await?;
    found.iter().map(past_of).collect()
}
