//! Jobs as rows: submit, find, list, cancel, redrive.

use crate::job::{End, JobId, JobState, Move, UnixMs};
use crate::store::rows::{
    APP_HAS, CALLER_HAS, Columns, HEAD, JOB, LARGE, PAST, USAGE, count_jobs, damaged, head_of, job_of, listed, past_of,
    word,
};
use crate::store::rules::{CurrentUse, Head, scope, sql, within_bounds};
use crate::store::{
    Bounds, CancelKind, EventPage, Filter, Job, JobQuery, MAX_PAGE, NewJob, Page, PastJob, StoreError, StoreResult,
    Submission, Usage, cause,
};

use super::{Sql, list as texts, number, one, values};

/// Reads a job's head.
pub(crate) async fn head(db: &impl Sql, id: JobId) -> StoreResult<Head> {
    let select = format!("SELECT {HEAD} FROM jobs WHERE id = $1");
    one(db, &select, values![&id.to_string()], head_of).await?.ok_or(StoreError::NotFound(id))
}

/// Reads a job's head, and locks its row until the end of the transaction.
pub(crate) async fn locked<S: Sql>(db: &S, id: JobId) -> StoreResult<Head> {
    let select = format!("SELECT {HEAD} FROM jobs WHERE id = $1 {}", S::LOCK);
    one(db, &select, values![&id.to_string()], head_of).await?.ok_or(StoreError::NotFound(id))
}

pub(crate) async fn get(db: &impl Sql, id: JobId) -> StoreResult<Job> {
    let select = format!("SELECT {JOB}, {LARGE} FROM jobs WHERE id = $1");
    one(db, &select, values![&id.to_string()], job_of).await?.ok_or(StoreError::NotFound(id))
}

pub(crate) async fn get_of(db: &impl Sql, id: JobId, caller: &str) -> StoreResult<Job> {
    let select = format!("SELECT {JOB}, {LARGE} FROM jobs WHERE id = $1 AND caller = $2");
    one(db, &select, values![&id.to_string(), caller], job_of).await?.ok_or(StoreError::NotFound(id))
}

pub(crate) async fn submit(db: &impl Sql, new: &NewJob) -> StoreResult<Submission> {
    if new.bounds != Bounds::default() {
        if let Some(id) = earlier(db, new).await? {
            return Ok(Submission { job: get(db, id).await?, fresh: false });
        }
        has_room(db, new).await?;
    }
    // The conflicting row may be gone before it is read, since a sweep frees keys.
    for _ in 0..3 {
        if insert(db, new).await? {
            return Ok(Submission { job: get(db, new.id).await?, fresh: true });
        }
        if let Some(id) = earlier(db, new).await? {
            match get(db, id).await {
                Ok(job) => return Ok(Submission { job, fresh: false }),
                Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Err(StoreError::Unavailable(cause("other processes change the same job at the same time")))
}

/// Returns the job of an earlier request with the same idempotency key, or else with the same id.
async fn earlier(db: &impl Sql, new: &NewJob) -> StoreResult<Option<JobId>> {
    let key = new.idempotency.as_ref();
    let select = "SELECT id, idem_print, CASE WHEN idem_scope = $2 AND idem_key = $3 THEN CAST(1 AS BIGINT) ELSE 0 END AS by_key \
         FROM jobs WHERE id = $1 OR (idem_scope = $2 AND idem_key = $3) ORDER BY by_key DESC LIMIT 1";
    let id = new.id.to_string();
    let scope = scope(new.caller.as_deref());
    let values = values![&id, &scope, key.map(|key| &key.key)];
    let read = |row: &dyn Columns| {
        let same = row.maybe_bytes("idem_print")?.as_ref() == key.map(|key| &key.fingerprint);
        let is_reused = row.int("by_key")? == 1 && !same;
        Ok((word(row, "id")?, is_reused))
    };
    match one(db, select, values, read).await? {
        Some((_, true)) => Err(StoreError::KeyReused),
        found => Ok(found.map(|(id, _)| id)),
    }
}

/// Refuses a job that would take its app or its caller over its bounds. Submissions of one caller
/// are serialized, since concurrent ones would each find the same room.
async fn has_room<S: Sql>(db: &S, new: &NewJob) -> StoreResult<()> {
    if let Some(caller) = &new.caller {
        db.lock_caller(caller).await?;
    }
    let mut current =
        CurrentUse { app_waiting: number(db, "waiting", APP_HAS, values![&new.app]).await?, ..CurrentUse::default() };
    if let Some(caller) = &new.caller {
        let read = |row: &dyn Columns| {
            let CurrentUse { app_waiting, .. } = current;
            let waiting = row.count("waiting")?;
            let expires = row.time("expires")?;
            Ok(CurrentUse { app_waiting, waiting, jobs: row.count("jobs")?, bytes: row.count("bytes")?, expires })
        };
        current = one(db, CALLER_HAS, values![caller], read).await?.ok_or_else(|| damaged("jobs"))?;
    }
    let now = number(db, "now", &format!("SELECT {} AS now", S::now(1)), &[db.time()]).await?;
    within_bounds(new, &current, UnixMs(now))
}

/// Bytes that a caller's jobs take.
pub(crate) async fn bytes_of(db: &impl Sql, caller: &str) -> StoreResult<u64> {
    number(db, "bytes", CALLER_HAS, values![caller]).await
}

/// Returns false if there is a job with the same id or key.
async fn insert<S: Sql>(db: &S, new: &NewJob) -> StoreResult<bool> {
    let key = new.idempotency.as_ref();
    let json = |error| StoreError::Other(cause(error));
    let insert = format!(
        "INSERT INTO jobs (id, state, app, version, floor, required, run_timeout_ms, retention_ms, share, caller, \
         created, queued, idem_scope, idem_key, idem_print, query, bytes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, {now}, {now}, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING",
        now = S::now(11)
    );
    let id = new.id.to_string();
    let floor = serde_json::to_string(&new.floor).map_err(json)?;
    let required = serde_json::to_string(&new.required).map_err(json)?;
    let scope = key.map(|_| scope(new.caller.as_deref()));
    let values = values![
        &id,
        JobState::Submitted.next(Move::Queue)?.slug(),
        &new.app,
        &new.version,
        &floor,
        &required,
        sql(new.run_timeout_ms),
        sql(new.retention_ms),
        i64::from(new.weight.max(1)),
        new.caller.as_ref(),
        db.time(),
        scope.as_ref(),
        key.map(|key| &key.key),
        key.map(|key| &*key.fingerprint),
        &*new.query,
        sql(new.bytes()),
    ];
    Ok(db.execute(&insert, values).await? == 1)
}

pub(crate) async fn asked(db: &impl Sql, id: JobId) -> StoreResult<JobQuery> {
    let head = head(db, id).await?.live()?;
    let select = "SELECT query, planned_query FROM jobs WHERE num = $1";
    let read = |row: &dyn Columns| {
        let query = row.maybe_bytes("query")?.ok_or_else(|| damaged("query"))?;
        Ok(JobQuery { query, planned: row.maybe_bytes("planned_query")? })
    };
    one(db, select, values![head.num], read).await?.ok_or(StoreError::NotFound(id))
}

pub(crate) async fn list<S: Sql>(db: &S, filter: &Filter, page: Page) -> StoreResult<Vec<Job>> {
    let states = (!filter.states.is_empty()).then(|| texts(filter.states.iter().map(|state| state.slug())));
    let select = format!(
        "SELECT {JOB}, {listed} FROM jobs WHERE (CAST($1 AS TEXT) IS NULL OR app = $1) \
         AND (CAST($2 AS TEXT) IS NULL OR caller = $2) AND (CAST($3 AS TEXT) IS NULL OR {states_of}) \
         AND (CAST($4 AS TEXT) IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
        listed = listed(),
        states_of = S::among("state", 3)
    );
    let after = page.after.map(|id| id.to_string());
    let limit = i64::from(page.limit.min(MAX_PAGE));
    let values = values![filter.app.as_ref(), filter.caller.as_ref(), states.as_ref(), after.as_ref(), limit];
    db.select(&select, values, job_of).await
}

pub(crate) async fn cancel(db: &impl Sql, id: JobId, keep_partial: bool) -> StoreResult<Job> {
    let head = locked(db, id).await?.live()?;
    let cancelled = head.next(Move::End(End::Cancelled))?;
    let keep = i64::from(keep_partial);
    db.execute("UPDATE jobs SET cancel = $2 WHERE num = $1", values![head.num, keep]).await?;
    if !head.state.is_held() && !head.needs_owner(CancelKind { keep_partial }) {
        stopped(db, head.num, cancelled).await?;
    }
    end_cancelled(db).await?;
    get(db, id).await
}

/// Ends a cancelled job that has no owner.
pub(crate) async fn stopped<S: Sql>(db: &S, num: i64, cancelled: JobState) -> StoreResult<()> {
    let end = format!(
        "UPDATE jobs SET state = $2, outcome = $2, owner = NULL, lease_until = NULL, failing = 0, finished = {now}, \
         expires = {now} + retention_ms WHERE num = $1",
        now = S::now(3)
    );
    db.execute(&end, values![num, cancelled.slug(), db.time()]).await.map(drop)
}

/// Ends cancelled jobs with lapsed leases and without partials to be made into an answer, since no
/// owner may be left to take them.
pub(crate) async fn end_cancelled<S: Sql>(db: &S) -> StoreResult<()> {
    let select = format!(
        "SELECT {HEAD} FROM jobs WHERE state IN ('planning', 'running', 'merging') AND lease_until <= {} \
         AND cancel IS NOT NULL AND (cancel = 0 OR planned = 0) {}",
        S::now(1),
        S::LOCK_FREE
    );
    for head in db.select(&select, &[db.time()], head_of).await? {
        stopped(db, head.num, head.next(Move::End(End::Cancelled))?).await?;
    }
    Ok(())
}

pub(crate) async fn redrive<S: Sql>(db: &S, id: JobId) -> StoreResult<Job> {
    let head = locked(db, id).await?.live()?;
    let queued = head.next(Move::Redrive)?;
    let reset = "UPDATE partitions SET state = 'pending', failure = NULL, \
         attempts = CASE WHEN units IS NULL THEN 0 ELSE attempts END, \
         run_ms = CASE WHEN units IS NULL THEN 0 ELSE run_ms END \
         WHERE job = $1 AND state = 'failed'";
    db.execute(reset, values![head.num]).await?;
    let again = format!(
        "UPDATE jobs SET state = $2, queued = {now}, failed = 0, failing = 0, outcome = NULL, started = NULL, \
         finished = NULL, expires = NULL, cancel = NULL, reason = NULL, coverage = NULL, content_type = NULL, \
         result_size = NULL, {no_file} result = NULL, strikes = 0, \
         bytes = {greatest}(bytes - COALESCE(result_size, 0), 0) WHERE num = $1",
        now = S::now(3),
        no_file = no_file::<S>(),
        greatest = S::GREATEST
    );
    db.execute(&again, values![head.num, queued.slug(), db.time()]).await?;
    get(db, id).await
}

/// Assignment that forgets the file of an answer.
pub(super) fn no_file<S: Sql>() -> &'static str {
    if S::FILES { "result_blob = NULL," } else { "" }
}

pub(crate) async fn retain(db: &impl Sql, id: JobId, retention_ms: u64) -> StoreResult<Job> {
    let head = locked(db, id).await?.live()?;
    let update = "UPDATE jobs SET retention_ms = $2, expires = finished + $2 WHERE num = $1";
    db.execute(update, values![head.num, sql(retention_ms)]).await?;
    get(db, id).await
}

pub(crate) async fn events(db: &impl Sql, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage> {
    let head = head(db, id).await?.live()?;
    let first = "SELECT min(seq) AS first FROM events WHERE job = $1";
    let first = one(db, first, values![head.num], |row| row.time("first")).await?.flatten();
    let select = "SELECT seq, line FROM events WHERE job = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let limit = i64::from(limit.min(MAX_PAGE));
    let read = |row: &dyn Columns| Ok((row.count("seq")?, row.text("line")?));
    let events = db.select(select, values![head.num, sql(after), limit], read).await?;
    Ok(EventPage { events, missed: first.map_or(0, |first| first.0.saturating_sub(1).saturating_sub(after)) })
}

pub(crate) async fn history(db: &impl Sql, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>> {
    let select = format!(
        "SELECT {PAST} FROM jobs WHERE app = $1 AND version = $2 AND outcome = 'succeeded' \
         ORDER BY finished DESC, id DESC LIMIT $3"
    );
    db.select(&select, values![app, version, i64::from(limit.min(MAX_PAGE))], past_of).await
}

/// Adds the numbers of jobs to the usage.
pub(crate) async fn usage(db: &impl Sql, mut usage: Usage) -> StoreResult<Usage> {
    db.select(USAGE, &[], |row| count_jobs(&mut usage, row)).await?;
    Ok(usage)
}
