//! Calls of a job's owner, from taking the job to its end. Every write carries the owner's epoch.

use std::time::Duration;

use crate::clock::ms;
use crate::job::{End, JobId, Move, UnixMs};
use crate::store::rows::{Columns, HEAD, PARTITION, SCOPE, at_work, cancel_of, damaged, head_of, partition_of};
use crate::store::rules::{MOST, check_plan, left_out, plan_bytes, sql, unsigned};
use crate::store::{
    EventBatch, Job, JobEnd, JobFilter, LeaseNews, Locator, MAX_PAGE, PartitionPage, PartitionPlan, PartitionRow,
    PlanRecord, StoreError, StoreResult, TakenJob, cause,
};

use super::fault::now;
use super::jobs::{get, head, stopped};
use super::session::{Transaction, Values};
use super::sizes::{chunks, fits};

/// SQL condition for jobs that can be taken. `$1` is the time that a test has set, `$2` and `$3`
/// filter by app; `$4` and `$5` are the versions that the owner has and those that it cannot run;
/// `$6` are the scopes of the callers that are left out.
fn waiting() -> String {
    format!(
        "(state = 'queued' OR (state IN ('planning', 'running', 'merging') AND lease_until <= {now})) \
         AND ($2::text[] IS NULL OR (app = ANY ($2)) = $3) \
         AND {SCOPE} <> ALL ($6::text[]) \
         AND ($4::text[] IS NULL OR planned = 0 OR version = ANY ($4) \
              OR (version <> ALL ($5::text[]) AND EXISTS (SELECT 1 FROM artifacts \
                  WHERE artifacts.app = jobs.app AND artifacts.version = jobs.version)) \
              OR COALESCE(started, queued) + run_timeout_ms <= {now})",
        now = now(1)
    )
}

/// Parameters of [`waiting`], except the time and the callers.
struct Names<'a> {
    apps: Option<&'a [String]>,
    only: bool,
    versions: Option<&'a [String]>,
    unable: &'a [String],
}

impl<'a> Names<'a> {
    fn of(apps: &'a JobFilter) -> Self {
        let any = Self { apps: None, only: true, versions: None, unable: &[] };
        match apps {
            JobFilter::All => any,
            JobFilter::Only(names) => Self { apps: Some(names), ..any },
            JobFilter::Except(names) => Self { apps: Some(names), only: false, ..any },
            JobFilter::Runnable(able) => {
                Self { apps: Some(&able.apps), versions: Some(&able.versions), unable: &able.unable, ..any }
            }
            JobFilter::NotOf { among, .. } => Self::of(among),
        }
    }
}

/// Takes the next job. `SKIP LOCKED` leaves out rows that other transactions have locked, so takers
/// never wait; while many take concurrently, the fairness between callers and apps is only
/// approximate.
pub(super) async fn take(
    transaction: &Transaction<'_>,
    owner: &str,
    filter: &JobFilter,
    lease: Duration,
    set: Option<i64>,
) -> StoreResult<Option<TakenJob>> {
    let left_out = left_out(filter);
    let Names { apps, only, versions, unable } = Names::of(filter);
    let select = format!(
        "WITH {at_work} SELECT {HEAD} FROM jobs \
             LEFT JOIN of_app ON held_app = app LEFT JOIN of_caller ON held_scope = {SCOPE} WHERE {waiting} \
         ORDER BY COALESCE(caller_held, 0), COALESCE(app_held, 0)::float8 / share, queued, id \
         LIMIT 1 FOR UPDATE OF jobs SKIP LOCKED",
        at_work = at_work(&format!("lease_until > {}", now(1))),
        waiting = waiting()
    );
    let Some(found) = transaction.row(&select, &[&set, &apps, &only, &versions, &unable, &left_out]).await? else {
        return Ok(None);
    };
    let head = head_of(&found)?;
    let epoch = head.epoch + 1;
    let update = format!(
        "UPDATE jobs SET state = $3, owner = $4, epoch = $5, lease_until = {now} + $6::bigint, \
         started = COALESCE(started, {now}), failing = 0, strikes = strikes + 1 WHERE num = $1 AND epoch = $2 RETURNING {now} AS at",
        now = now(7)
    );
    let state = head.taken()?.slug();
    let lease = sql(ms(lease));
    let values: Values = &[&head.num, &sql(head.epoch), &state, &owner, &sql(epoch), &lease, &set];
    let taken = transaction.row(&update, values).await?.ok_or(StoreError::Fenced { epoch: head.epoch })?;
    let at = UnixMs(unsigned(taken.int("at")?));
    Ok(Some(TakenJob { job: get(transaction, head.id).await?, epoch, at }))
}

/// True if a job waits, locked by another transaction or not.
pub(super) async fn is_waiting(
    transaction: &Transaction<'_>,
    filter: &JobFilter,
    set: Option<i64>,
) -> StoreResult<bool> {
    let left_out = left_out(filter);
    let Names { apps, only, versions, unable } = Names::of(filter);
    let select = format!("SELECT 1 FROM jobs WHERE {} LIMIT 1", waiting());
    Ok(transaction.row(&select, &[&set, &apps, &only, &versions, &unable, &left_out]).await?.is_some())
}

pub(super) async fn renew(
    transaction: &Transaction<'_>,
    id: JobId,
    epoch: u64,
    lease: Duration,
    set: Option<i64>,
) -> StoreResult<LeaseNews> {
    let head = head(transaction, id, true).await?.held_by(epoch)?;
    let update =
        format!("UPDATE jobs SET lease_until = {} + $3::bigint WHERE num = $1 AND epoch = $2 RETURNING cancel", now(4));
    let renewed = transaction.row(&update, &[&head.num, &sql(epoch), &sql(ms(lease)), &set]).await?;
    let renewed = renewed.ok_or(StoreError::Fenced { epoch: head.epoch })?;
    Ok(LeaseNews { cancel: cancel_of(&renewed)? })
}

pub(super) async fn wanted(transaction: &Transaction<'_>, id: JobId, epoch: u64) -> StoreResult<LeaseNews> {
    let select = format!("SELECT {HEAD} FROM jobs WHERE id = $1");
    let found = transaction.row(&select, &[&id.to_string()]).await?.ok_or(StoreError::NotFound(id))?;
    head_of(&found)?.held_by(epoch)?;
    Ok(LeaseNews { cancel: cancel_of(&found)? })
}

pub(super) async fn release(transaction: &Transaction<'_>, id: JobId, epoch: u64, set: Option<i64>) -> StoreResult<()> {
    let head = head(transaction, id, true).await?.held_by(epoch)?;
    if head.cancel.is_some_and(|kind| !head.needs_owner(kind)) {
        return stopped(transaction, head.num, head.next(Move::End(End::Cancelled))?, set).await;
    }
    let queued = head.next(Move::Requeue)?.slug();
    let update = "UPDATE jobs SET state = $3, owner = NULL, lease_until = NULL, strikes = GREATEST(strikes - 1, 0) \
         WHERE num = $1 AND epoch = $2";
    head.fenced(transaction.execute(update, &[&head.num, &sql(epoch), &queued]).await?)
}

pub(super) async fn plan(
    transaction: &Transaction<'_>,
    id: JobId,
    epoch: u64,
    planned: &PlanRecord,
) -> StoreResult<()> {
    let head = head(transaction, id, true).await?.held_by(epoch)?;
    let running = head.next(Move::Run)?.slug();
    let weight = check_plan(planned)?;
    fits("bytes of a planned query", planned.query.as_ref().map_or(0, bytes::Bytes::len))?;
    for one in &planned.partitions {
        fits("bytes of a piece of a plan", size(one))?;
    }
    let mut first = 0_i64;
    for chunk in chunks(&planned.partitions, size) {
        insert(transaction, head.num, first, chunk).await?;
        first += sql(chunk.len() as u64);
    }
    let update = "UPDATE jobs SET state = $3, planned = 1, planned_query = $4, partitions = $5, weight = $6, version = $7, \
         strikes = 0, bytes = LEAST(bytes + $8, $9) WHERE num = $1 AND epoch = $2";
    let query = planned.query.as_deref();
    let bytes = sql(plan_bytes(planned));
    let values: Values =
        &[&head.num, &sql(epoch), &running, &query, &first, &sql(weight), &planned.version, &bytes, &MOST];
    head.fenced(transaction.execute(update, values).await?)
}

pub(super) fn size(partition: &PartitionPlan) -> usize {
    match &partition.place {
        Locator::Inline(bytes) => bytes.len(),
        Locator::Elsewhere(text) => text.len(),
    }
}

async fn insert(transaction: &Transaction<'_>, job: i64, first: i64, chunk: &[PartitionPlan]) -> StoreResult<()> {
    let indexes: Vec<i64> = (first..).take(chunk.len()).collect();
    let keys: Vec<_> = chunk.iter().map(|one| one.key.as_str()).collect();
    let weights: Vec<_> = chunk.iter().map(|one| sql(one.weight)).collect();
    let texts: Vec<_> = chunk
        .iter()
        .map(|one| match &one.place {
            Locator::Elsewhere(text) => Some(text.as_str()),
            Locator::Inline(_) => None,
        })
        .collect();
    let bytes: Vec<_> = chunk
        .iter()
        .map(|one| match &one.place {
            Locator::Elsewhere(_) => None,
            Locator::Inline(bytes) => Some(&**bytes),
        })
        .collect();
    let sql = "INSERT INTO partitions (job, idx, key, weight, elsewhere, inline) \
         SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bytea[])";
    transaction.execute(sql, &[&job, &indexes, &keys, &weights, &texts, &bytes]).await?;
    Ok(())
}

pub(super) async fn partitions(
    transaction: &Transaction<'_>,
    id: JobId,
    page: &PartitionPage,
) -> StoreResult<Vec<PartitionRow>> {
    let head = head(transaction, id, false).await?.live()?;
    let states: Vec<_> = page.states.iter().map(|state| state.slug()).collect();
    let states = (!states.is_empty()).then_some(states);
    let select = format!(
        "SELECT {PARTITION} FROM partitions WHERE job = $1 AND idx > $2 \
         AND ($3::text[] IS NULL OR state = ANY ($3)) ORDER BY idx LIMIT $4"
    );
    let after = page.after.map_or(-1, i64::from);
    let limit = i64::from(page.limit.min(MAX_PAGE));
    let found = transaction.rows(&select, &[&head.num, &after, &states, &limit]).await?;
    found.iter().map(partition_of).collect()
}

pub(super) async fn merge(transaction: &Transaction<'_>, id: JobId, epoch: u64) -> StoreResult<()> {
    let head = head(transaction, id, true).await?.held_by(epoch)?;
    let merging = head.next(Move::Merge)?.slug();
    let update = "UPDATE jobs SET state = $3 WHERE num = $1 AND epoch = $2";
    head.fenced(transaction.execute(update, &[&head.num, &sql(epoch), &merging]).await?)
}

pub(super) async fn finish(
    transaction: &Transaction<'_>,
    id: JobId,
    epoch: u64,
    ended: &JobEnd,
    set: Option<i64>,
) -> StoreResult<Job> {
    let head = head(transaction, id, true).await?.held_by(epoch)?;
    let ended = &*head.ended(ended);
    let state = head.next(Move::End(ended.end))?.slug();
    let result = ended.result.as_deref();
    let update = format!(
        "UPDATE jobs SET state = $3, outcome = $3, owner = NULL, lease_until = NULL, failing = 0, finished = {now}, \
         expires = {now} + retention_ms, reason = $5, coverage = $6, content_type = $7, result_size = $8::bigint, result = $9, \
         bytes = bytes + COALESCE($8::bigint, 0), trimmed = 0 WHERE num = $1 AND epoch = $2",
        now = now(4)
    );
    let values: Values = &[
        &head.num,
        &sql(epoch),
        &state,
        &set,
        &ended.reason.as_ref().map(ToString::to_string),
        &ended.coverage.to_string(),
        &ended.content_type,
        &result.map(|bytes| sql(bytes.len() as u64)),
        &result,
    ];
    head.fenced(transaction.execute(&update, values).await?)?;
    get(transaction, id).await
}

pub(super) async fn append(
    transaction: &Transaction<'_>,
    id: JobId,
    epoch: u64,
    news: &EventBatch,
    kept: u64,
) -> StoreResult<()> {
    let head = head(transaction, id, true).await?.held_by(epoch)?;
    let EventBatch { lines, attempts, failing, account } = news;
    let account =
        account.as_ref().map(serde_json::to_string).transpose().map_err(|error| StoreError::Other(cause(error)))?;
    let count = sql(lines.len() as u64);
    let update = "UPDATE jobs SET last_event = last_event + $3, attempts = attempts + $4, failing = $5, \
         account = COALESCE($6, account) WHERE num = $1 AND epoch = $2 RETURNING last_event";
    let values: Values = &[&head.num, &sql(epoch), &count, &sql(*attempts), &sql(*failing), &account];
    let last = transaction.row(update, values).await?;
    let last = last.ok_or_else(|| damaged("last_event"))?.int("last_event")?;
    let numbers: Vec<_> = (last - count + 1..=last).collect();
    let insert = "INSERT INTO events (job, seq, line) SELECT $1, * FROM unnest($2::bigint[], $3::text[])";
    transaction.execute(insert, &[&head.num, &numbers, &lines]).await?;
    let drop = "DELETE FROM events WHERE job = $1 AND seq <= $2";
    transaction.execute(drop, &[&head.num, &(last - sql(kept))]).await?;
    Ok(())
}
