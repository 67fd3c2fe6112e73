//! Calls of a job's owner, from taking the job to its end. Every write carries the owner's epoch.

use std::time::Duration;

use crate::clock::ms;
use crate::job::{End, JobId, Move, UnixMs};
use crate::store::rows::{HEAD, PARTITION, SCOPE, at_work, cancel_of, damaged, head_of, partition_of};
use crate::store::rules::{Head, MOST, check_plan, left_out, plan_bytes, sql};
use crate::store::{
    EventBatch, Job, JobEnd, JobFilter, LeaseNews, MAX_PAGE, PartitionPage, PartitionRow, PlanRecord, RunnableJobs,
    StoreError, StoreResult, TakenJob, cause,
};

use super::jobs::{get, head, locked, stopped};
use super::{Sql, list, one, parts, values};

/// Reads the head of a job that the owner with `epoch` holds, and locks its row.
async fn held(db: &impl Sql, id: JobId, epoch: u64) -> StoreResult<Head> {
    locked(db, id).await?.held_by(epoch)
}

/// Condition for jobs that can be taken, as SQL, and its parameters.
struct Waiting {
    sql: String,
    apps: Option<String>,
    versions: Option<String>,
    unable: String,
    left_out: String,
}

impl Waiting {
    /// The parameters are the time, the names of apps, versions that the owner has and that it
    /// cannot run, and the scopes of callers that are left out.
    fn new<S: Sql>(filter: &JobFilter) -> Self {
        let mut among = filter;
        while let JobFilter::NotOf { among: other, .. } = among {
            among = other;
        }
        let mut not = "";
        let mut runnable = None;
        let apps = match among {
            JobFilter::All | JobFilter::NotOf { .. } => None,
            JobFilter::Only(names) => Some(names),
            JobFilter::Except(names) => {
                not = "NOT";
                Some(names)
            }
            JobFilter::Runnable(able) => {
                runnable = Some(able);
                Some(&able.apps)
            }
        };
        let sql = format!(
            "(state = 'queued' OR (state IN ('planning', 'running', 'merging') AND lease_until <= {now})) \
             AND (CAST($2 AS TEXT) IS NULL OR {not} {apps}) AND NOT {scopes} {runnable}",
            now = S::now(1),
            apps = S::among("app", 2),
            scopes = S::among(SCOPE, 5),
            runnable = S::runnable()
        );
        Self {
            sql,
            apps: apps.map(list),
            versions: runnable.map(|able: &RunnableJobs| list(&able.versions)),
            unable: list(runnable.map_or(&[][..], |able| &able.unable)),
            left_out: list(left_out(filter)),
        }
    }
}

/// Takes the next job. Takers never wait for each other, so while many take concurrently, the
/// fairness between callers and apps is only approximate.
pub(crate) async fn take<S: Sql>(
    db: &S,
    owner: &str,
    filter: &JobFilter,
    lease: Duration,
) -> StoreResult<Option<TakenJob>> {
    let waiting = Waiting::new::<S>(filter);
    let select = format!(
        "WITH {at_work} SELECT {HEAD} FROM jobs \
             LEFT JOIN of_app ON held_app = app LEFT JOIN of_caller ON held_scope = {SCOPE} WHERE {waiting} \
         ORDER BY COALESCE(caller_held, 0), CAST(COALESCE(app_held, 0) AS DOUBLE PRECISION) / share, queued, id \
         LIMIT 1 {lock}",
        at_work = at_work(&format!("lease_until > {}", S::now(1))),
        waiting = waiting.sql,
        lock = S::LOCK_FREE
    );
    let Waiting { apps, versions, unable, left_out, .. } = &waiting;
    let values = values![db.time(), apps.as_ref(), versions.as_ref(), unable, left_out];
    let Some(head) = one(db, &select, values, head_of).await? else {
        return Ok(None);
    };
    let epoch = head.epoch + 1;
    let update = format!(
        "UPDATE jobs SET state = $3, owner = $4, epoch = $5, lease_until = {now} + CAST($6 AS BIGINT), \
         started = COALESCE(started, {now}), failing = 0, strikes = strikes + 1 \
         WHERE num = $1 AND epoch = $2 RETURNING {now} AS at",
        now = S::now(7)
    );
    let state = head.taken()?.slug();
    let values = values![head.num, sql(head.epoch), state, owner, sql(epoch), sql(ms(lease)), db.time()];
    let at = one(db, &update, values, |row| row.count("at")).await?;
    let at = UnixMs(at.ok_or(StoreError::Fenced { epoch: head.epoch })?);
    Ok(Some(TakenJob { job: get(db, head.id).await?, epoch, at }))
}

/// True if a job waits, locked by another transaction or not.
#[cfg(feature = "postgres")]
pub(crate) async fn is_waiting<S: Sql>(db: &S, filter: &JobFilter) -> StoreResult<bool> {
    let Waiting { sql, apps, versions, unable, left_out } = &Waiting::new::<S>(filter);
    let select = format!("SELECT 1 FROM jobs WHERE {sql} LIMIT 1");
    let values = values![db.time(), apps.as_ref(), versions.as_ref(), unable, left_out];
    Ok(one(db, &select, values, |_| Ok(())).await?.is_some())
}

pub(crate) async fn renew<S: Sql>(db: &S, id: JobId, epoch: u64, lease: Duration) -> StoreResult<LeaseNews> {
    let head = held(db, id, epoch).await?;
    let update = format!(
        "UPDATE jobs SET lease_until = {} + CAST($3 AS BIGINT) WHERE num = $1 AND epoch = $2 RETURNING cancel",
        S::now(4)
    );
    let cancel = one(db, &update, values![head.num, sql(epoch), sql(ms(lease)), db.time()], cancel_of).await?;
    Ok(LeaseNews { cancel: cancel.ok_or(StoreError::Fenced { epoch: head.epoch })? })
}

pub(crate) async fn wanted(db: &impl Sql, id: JobId, epoch: u64) -> StoreResult<LeaseNews> {
    Ok(LeaseNews { cancel: head(db, id).await?.held_by(epoch)?.cancel })
}

pub(crate) async fn release<S: Sql>(db: &S, id: JobId, epoch: u64) -> StoreResult<()> {
    let head = held(db, id, epoch).await?;
    if head.cancel.is_some_and(|kind| !head.needs_owner(kind)) {
        return stopped(db, head.num, head.next(Move::End(End::Cancelled))?).await;
    }
    let update = format!(
        "UPDATE jobs SET state = $3, owner = NULL, lease_until = NULL, strikes = {}(strikes - 1, 0) \
         WHERE num = $1 AND epoch = $2",
        S::GREATEST
    );
    let queued = head.next(Move::Requeue)?.slug();
    head.fenced(db.execute(&update, values![head.num, sql(epoch), queued]).await?)
}

pub(crate) async fn plan<S: Sql>(db: &S, id: JobId, epoch: u64, planned: &PlanRecord) -> StoreResult<()> {
    let head = held(db, id, epoch).await?;
    let running = head.next(Move::Run)?.slug();
    let weight = check_plan(planned)?;
    db.add_partitions(head.num, &planned.partitions).await?;
    let update = format!(
        "UPDATE jobs SET state = $3, planned = 1, planned_query = $4, partitions = $5, weight = $6, version = $7, \
         strikes = 0, bytes = {}(bytes + $8, $9) WHERE num = $1 AND epoch = $2",
        S::LEAST
    );
    let values = values![
        head.num,
        sql(epoch),
        running,
        planned.query.as_deref(),
        sql(planned.partitions.len() as u64),
        sql(weight),
        &planned.version,
        sql(plan_bytes(planned)),
        MOST,
    ];
    head.fenced(db.execute(&update, values).await?)
}

pub(crate) async fn partitions<S: Sql>(db: &S, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>> {
    let head = head(db, id).await?.live()?;
    let states = (!page.states.is_empty()).then(|| list(page.states.iter().map(|state| state.slug())));
    let select = format!(
        "SELECT {PARTITION} FROM partitions WHERE job = $1 AND idx > $2 \
         AND (CAST($3 AS TEXT) IS NULL OR {}) ORDER BY idx LIMIT $4",
        S::among("state", 3)
    );
    let after = page.after.map_or(-1, i64::from);
    let limit = i64::from(page.limit.min(MAX_PAGE));
    let mut rows = db.select(&select, values![head.num, after, states.as_ref(), limit], partition_of).await?;
    if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
        let mut ranges = parts::ranges(db, head.num, (first.index, last.index), states.as_ref()).await?;
        for row in &mut rows {
            row.parts = ranges.remove(&row.index).unwrap_or_default();
        }
    }
    Ok(rows)
}

pub(crate) async fn merge(db: &impl Sql, id: JobId, epoch: u64) -> StoreResult<()> {
    let head = held(db, id, epoch).await?;
    let update = "UPDATE jobs SET state = $3 WHERE num = $1 AND epoch = $2";
    head.fenced(db.execute(update, values![head.num, sql(epoch), head.next(Move::Merge)?.slug()]).await?)
}

/// Ends the job. A large answer is in the file with the digest `file` instead of the row.
pub(crate) async fn finish<S: Sql>(
    db: &S,
    id: JobId,
    epoch: u64,
    ended: &JobEnd,
    file: Option<&str>,
) -> StoreResult<Job> {
    let head = held(db, id, epoch).await?;
    let ended = &*head.ended(ended);
    let state = head.next(Move::End(ended.end))?.slug();
    let result = ended.result.as_deref();
    let update = format!(
        "UPDATE jobs SET state = $3, outcome = $3, owner = NULL, lease_until = NULL, failing = 0, finished = {now}, \
         expires = {now} + retention_ms, reason = $5, coverage = $6, content_type = $7, \
         result_size = CAST($8 AS BIGINT), result = $9, bytes = bytes + COALESCE(CAST($8 AS BIGINT), 0), {file} \
         trimmed = 0 WHERE num = $1 AND epoch = $2",
        now = S::now(4),
        file = if S::FILES { "result_blob = $10," } else { "" }
    );
    let reason = ended.reason.as_ref().map(ToString::to_string);
    let coverage = ended.coverage.to_string();
    let mut values = values![
        head.num,
        sql(epoch),
        state,
        db.time(),
        reason.as_ref(),
        &coverage,
        ended.content_type.as_ref(),
        result.map(|bytes| sql(bytes.len() as u64)),
        result.filter(|_| file.is_none()),
    ]
    .to_vec();
    if S::FILES {
        values.push(file.filter(|_| result.is_some()).into());
    }
    head.fenced(db.execute(&update, &values).await?)?;
    get(db, id).await
}

pub(crate) async fn append<S: Sql>(db: &S, id: JobId, epoch: u64, news: &EventBatch, kept: u64) -> StoreResult<()> {
    let head = held(db, id, epoch).await?;
    let EventBatch { lines, attempts, failing, account } = news;
    let account =
        account.as_ref().map(serde_json::to_string).transpose().map_err(|error| StoreError::Other(cause(error)))?;
    let count = sql(lines.len() as u64);
    let update = format!(
        "UPDATE jobs SET last_event = last_event + $3, attempts = {}(attempts + $4, $6), failing = $5, \
         account = COALESCE($7, account) WHERE num = $1 AND epoch = $2 RETURNING last_event",
        S::LEAST
    );
    let values = values![head.num, sql(epoch), count, sql(*attempts), sql(*failing), MOST, account.as_ref()];
    let last = one(db, &update, values, |row| row.int("last_event")).await?.ok_or_else(|| damaged("last_event"))?;
    db.add_events(head.num, last - count + 1, lines).await?;
    db.execute("DELETE FROM events WHERE job = $1 AND seq <= $2", values![head.num, last - sql(kept)]).await?;
    Ok(())
}
