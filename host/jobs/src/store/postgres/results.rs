//! Results of partitions: stored once, and read again.

use std::collections::HashMap;

use bytes::Bytes;
use frond_root::ledger::{PartialRange, Position};

use crate::job::JobId;
use crate::store::rows::{Columns, damaged, partial_of};
use crate::store::rules::sql;
use crate::store::sql::jobs::{head, locked};
use crate::store::sql::parts::{self, PartBytes, stored};
use crate::store::sql::results::{Accepted, failure};
use crate::store::{AcceptReport, MAX_PAGE, Outcome, Partial, PartitionResult, StoreResult};

use super::session::{Transaction, Values};
use super::sizes::{chunks, fits};

#[cfg(test)]
mod tests;

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
    for same in results.chunk_by(|one, next| part_of(one).is_none() && part_of(next).is_none()) {
        if let [one] = same
            && let Some((range, bytes)) = part_of(one)
        {
            let bytes = PartBytes { size: bytes.len() as u64, inline: Some(bytes), file: None };
            if let Some(growth) = parts::keep(transaction, &head, one, range, bytes).await? {
                accepted.add_part(one.index, &growth);
            }
        } else {
            accept_whole(transaction, head.num, same, &mut accepted).await?;
        }
    }
    accepted.store(transaction, &head, results.len()).await
}

fn part_of(result: &PartitionResult) -> Option<(&PartialRange, &Bytes)> {
    match &result.outcome {
        Outcome::Part(range, bytes) => Some((range, bytes)),
        Outcome::Done(_) | Outcome::Degraded(_) | Outcome::Failed(_) => None,
    }
}

/// Stores results of whole partitions, the first of each.
async fn accept_whole(
    transaction: &Transaction<'_>,
    job: i64,
    results: &[PartitionResult],
    accepted: &mut Accepted,
) -> StoreResult<()> {
    for chunk in chunks(results, size) {
        // The update would apply an arbitrary one of several rows of a partition; the first must
        // win.
        let mut firsts: HashMap<u32, &PartitionResult> = HashMap::with_capacity(chunk.len());
        for one in chunk {
            firsts.entry(one.index).or_insert(one);
        }
        for (index, weight) in update(transaction, job, &firsts).await? {
            accepted.add(firsts.get(&index).ok_or_else(|| damaged("idx"))?, weight);
        }
    }
    Ok(())
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
    let update = "UPDATE partitions SET state = new.state, attempts = new.attempts, \
         run_ms = partitions.run_ms + new.run_ms, failure = new.failure, size = COALESCE(new.size, partitions.size), \
         partial = new.partial \
         FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bytea[]) \
         AS new (idx, state, attempts, run_ms, failure, size, partial) \
         WHERE job = $1 AND partitions.idx = new.idx AND partitions.state = 'pending' \
         AND (partitions.units IS NULL OR new.failure IS NOT NULL) \
         RETURNING partitions.idx, partitions.weight";
    let values: Values = &[&job, &indexes, &states, &attempts, &times, &failures, &sizes, &partials];
    let fresh = transaction.rows(update, values).await?;
    fresh.iter().map(|row| Ok((row.index("idx")?, row.count("weight")?))).collect()
}

/// Query for the positions and sizes of at most `$4` partials behind the position `$2`, `$3`.
fn sizes() -> String {
    let first = "ORDER BY idx, begins LIMIT $4";
    format!("{} {first}", stored::<Transaction<'_>>("idx, begins, size", first))
}

/// Query for the partials behind the position `$2`, `$3`, up to `$4`, `$5`.
fn page() -> String {
    format!("{} WHERE (idx, begins) <= ($4, $5) ORDER BY idx, begins", stored::<Transaction<'_>>("*", ""))
}

/// Returns partials behind the position `after`: as many as fit into `max_bytes`, but at least one.
pub(super) async fn partials(
    transaction: &Transaction<'_>,
    id: JobId,
    after: Option<Position>,
    max_bytes: u64,
) -> StoreResult<Vec<Partial>> {
    let head = head(transaction, id).await?.live()?;
    let (index, unit) = after.map_or((-1, 0), |(index, unit)| (i64::from(index), sql(unit)));
    let sizes = sizes();
    let mut last = None;
    let mut total = 0_u64;
    for row in transaction.rows(&sizes, &[&head.num, &index, &unit, &i64::from(MAX_PAGE)]).await? {
        total = total.saturating_add(row.count("size")?);
        if total > max_bytes && last.is_some() {
            break;
        }
        last = Some((row.int("idx")?, row.int("begins")?));
    }
    let Some(last) = last else {
        return Ok(Vec::new());
    };
    let found = transaction.rows(&page(), &[&head.num, &index, &unit, &last.0, &last.1]).await?;
    let partial =
        |row: &tokio_postgres::Row| partial_of(row, row.maybe_bytes("partial")?.ok_or_else(|| damaged("partial"))?);
    found.iter().map(partial).collect()
}
