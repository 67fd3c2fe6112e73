//! Results of partitions: stored once, and read again.

use std::collections::HashMap;

use crate::job::JobId;
use crate::store::rows::{Columns, damaged};
use crate::store::rules::sql;
use crate::store::sql::jobs::{head, locked};
use crate::store::sql::results::{Accepted, failure};
use crate::store::{AcceptReport, MAX_PAGE, Partial, PartitionResult, PartitionState, StoreResult};
use bytes::Bytes;

use super::session::{Transaction, Values};
use super::sizes::{chunks, fits};

/// Bytes of a result's partial.
pub(super) fn size(result: &PartitionResult) -> usize {
    result.outcome.partial().map_or(0, Bytes::len)
}

/// Stores results, the first of each partition.
pub(super) async fn accept(
    transaction: &Transaction<'_>,
    id: JobId,
    epoch: u64,
    results: &[PartitionResult],
) -> StoreResult<AcceptReport> {
    for one in results {
        fits("bytes of a partial", size(one))?;
    }
    let head = locked(transaction, id).await?.held_by(epoch)?;
    head.has(results.iter().map(|one| one.index))?;
    let mut accepted = Accepted::default();
    for chunk in chunks(results, size) {
        // The update would apply an arbitrary one of several rows of a partition; the first must
        // win.
        let mut firsts: HashMap<u32, &PartitionResult> = HashMap::with_capacity(chunk.len());
        for one in chunk {
            firsts.entry(one.index).or_insert(one);
        }
        for (index, weight) in update(transaction, head.num, &firsts).await? {
            accepted.add(firsts.get(&index).ok_or_else(|| damaged("idx"))?, weight);
        }
    }
    accepted.store(transaction, &head, results.len()).await
}

/// Writes results to pending partitions. Returns the indexes and weights of these partitions.
async fn update(
    transaction: &Transaction<'_>,
    job: i64,
    results: &HashMap<u32, &PartitionResult>,
) -> StoreResult<Vec<(u32, u64)>> {
    let all: Vec<&PartitionResult> = results.values().copied().collect();
    let indexes: Vec<_> = all.iter().map(|one| i64::from(one.index)).collect();
    let states: Vec<_> = all.iter().map(|one| one.outcome.state().slug()).collect();
    let attempts: Vec<_> = all.iter().map(|one| i64::from(one.attempt)).collect();
    let times: Vec<_> = all.iter().map(|one| sql(one.run_ms)).collect();
    let failures: Vec<_> = all.iter().map(|one| failure(&one.outcome)).collect::<StoreResult<_>>()?;
    let sizes: Vec<_> = all.iter().map(|one| one.outcome.partial().map(|bytes| sql(bytes.len() as u64))).collect();
    let partials: Vec<_> = all.iter().map(|one| one.outcome.partial().map(|bytes| &**bytes)).collect();
    let update = "UPDATE partitions SET state = new.state, attempts = new.attempts, run_ms = new.run_ms, \
         failure = new.failure, size = new.size, partial = new.partial \
         FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bytea[]) \
         AS new (idx, state, attempts, run_ms, failure, size, partial) \
         WHERE job = $1 AND partitions.idx = new.idx AND partitions.state = 'pending' \
         RETURNING partitions.idx, partitions.weight";
    let values: Values = &[&job, &indexes, &states, &attempts, &times, &failures, &sizes, &partials];
    let fresh = transaction.rows(update, values).await?;
    fresh.iter().map(|row| Ok((row.index("idx")?, row.count("weight")?))).collect()
}

/// Returns partials after the index `after`: as many as fit into `max_bytes`, but at least one.
pub(super) async fn partials(
    transaction: &Transaction<'_>,
    id: JobId,
    after: Option<u32>,
    max_bytes: u64,
) -> StoreResult<Vec<Partial>> {
    let head = head(transaction, id).await?.live()?;
    let after = after.map_or(-1, i64::from);
    let sizes = "SELECT idx, size FROM partitions WHERE job = $1 AND idx > $2 AND state IN ('done', 'degraded') \
         ORDER BY idx LIMIT $3";
    let mut last = None;
    let mut total = 0_u64;
    for row in transaction.rows(sizes, &[&head.num, &after, &i64::from(MAX_PAGE)]).await? {
        total = total.saturating_add(row.count("size")?);
        if total > max_bytes && last.is_some() {
            break;
        }
        last = Some(row.int("idx")?);
    }
    let Some(last) = last else {
        return Ok(Vec::new());
    };
    let select = "SELECT idx, state, partial FROM partitions \
         WHERE job = $1 AND idx > $2 AND idx <= $3 AND state IN ('done', 'degraded') ORDER BY idx";
    let found = transaction.rows(select, &[&head.num, &after, &last]).await?;
    let partial = |row: &tokio_postgres::Row| {
        let bytes = row.maybe_bytes("partial")?.ok_or_else(|| damaged("partial"))?;
        let degraded = row.text("state")? == PartitionState::Degraded.slug();
        Ok(Partial { index: row.index("idx")?, bytes, degraded })
    };
    found.iter().map(partial).collect()
}
