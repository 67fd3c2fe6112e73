//! Partials of parts of partitions: stored by their units, which do not overlap.

use std::collections::BTreeMap;

use frond_root::ledger::{PartialRange, part_weight};

use crate::store::rows::{Columns, damaged, range_of, state_of};
use crate::store::rules::{Head, sql, unsigned};
use crate::store::{PartitionResult, PartitionState, StoreResult};

use super::{Sql, Value, one, values};

/// Columns of a part's range. `units` is a column of its partition.
const RANGE: &str = "begins, ends, until, units";

/// Bytes of a partial, in the row or in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartBytes<'p> {
    pub(crate) size: u64,
    pub(crate) inline: Option<&'p [u8]>,
    /// Digest of the file.
    pub(crate) file: Option<&'p str>,
}

/// Growth of a job by a part. Numbers may be negative: a partial may be smaller than the one that
/// it replaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) weight: i64,
    pub(crate) bytes: i64,
    pub(crate) run_ms: i64,
    /// True if the parts now account for the whole partition.
    pub(crate) is_done: bool,
}

/// Partition as the parts concern it.
struct PartitionUnits {
    state: PartitionState,
    weight: u64,
    units: Option<u64>,
    covered: u64,
}

/// Stored part.
struct StoredPart {
    begin: u64,
    until: u64,
    epoch: u64,
    attempt: u32,
    end: u64,
    size: i64,
    run_ms: i64,
}

/// Stores the partial of a part of a pending partition, in the place of an earlier one of the same
/// attempt. `None` if it overlaps with another attempt's, or is stored already.
pub(crate) async fn keep<S: Sql>(
    db: &S,
    head: &Head,
    result: &PartitionResult,
    range: &PartialRange,
    bytes: PartBytes<'_>,
) -> StoreResult<Option<Growth>> {
    let PartitionResult { index, attempt, run_ms, .. } = *result;
    let select = "SELECT state, weight, units, covered FROM partitions WHERE job = $1 AND idx = $2";
    let partition = one(db, select, values![head.num, i64::from(index)], partition_of).await?;
    let partition = partition.ok_or_else(|| damaged("idx"))?;
    let fits = range.begin <= range.end && range.end <= range.until && range.until <= range.of;
    let is_open = partition.state == PartitionState::Pending && partition.units.is_none_or(|units| units == range.of);
    if !fits || !is_open || range.begin == range.until {
        return Ok(None);
    }
    // Stored parts do not overlap: if any overlaps with this one, the last that begins in it does.
    let select = "SELECT begins, ends, until, epoch, attempt, size, run_ms FROM parts \
         WHERE job = $1 AND idx = $2 AND begins < $3 ORDER BY begins DESC LIMIT 1";
    let last = one(db, select, values![head.num, i64::from(index), sql(range.until)], part_of).await?;
    let before = last.filter(|part| part.until > range.begin);
    let is_own = |part: &StoredPart| {
        let is_same = (part.end, part.until) == (range.end, range.until);
        (part.begin, part.epoch, part.attempt) == (range.begin, result.epoch.unwrap_or(head.epoch), attempt) && !is_same
    };
    if before.as_ref().is_some_and(|part| !is_own(part)) {
        return Ok(None);
    }
    let stored = before.as_ref().map_or(0, |part| part.until - part.begin);
    let covered = partition.covered - stored + (range.until - range.begin);
    let weight = |covered| sql(part_weight(partition.weight, covered, range.of));
    let growth = Growth {
        weight: weight(covered) - weight(partition.covered),
        bytes: sql(bytes.size) - before.as_ref().map_or(0, |part| part.size),
        run_ms: sql(run_ms) - before.as_ref().map_or(0, |part| part.run_ms),
        is_done: covered == range.of,
    };
    write(db, head, result, range, bytes).await?;
    count(db, head, result, (range.of, covered), &growth).await?;
    Ok(Some(growth))
}

async fn write<S: Sql>(
    db: &S,
    head: &Head,
    result: &PartitionResult,
    range: &PartialRange,
    bytes: PartBytes<'_>,
) -> StoreResult<()> {
    let mut columns = "job, idx, begins, ends, until, epoch, attempt, run_ms, size, partial".to_owned();
    let mut values = values![
        head.num,
        i64::from(result.index),
        sql(range.begin),
        sql(range.end),
        sql(range.until),
        sql(result.epoch.unwrap_or(head.epoch)),
        i64::from(result.attempt),
        sql(result.run_ms),
        sql(bytes.size),
        bytes.inline,
    ]
    .to_vec();
    if S::FILES {
        columns.push_str(", blob");
        values.push(Value::from(bytes.file));
    }
    let names = columns.split(", ");
    let set: Vec<_> = names.clone().skip(3).map(|name| format!("{name} = excluded.{name}")).collect();
    let numbers: Vec<_> = (1..=names.count()).map(|number| format!("${number}")).collect();
    let insert = format!(
        "INSERT INTO parts ({columns}) VALUES ({}) ON CONFLICT (job, idx, begins) DO UPDATE SET {}",
        numbers.join(", "),
        set.join(", ")
    );
    db.execute(&insert, &values).await.map(drop)
}

/// Adds the growth to the partition's row.
async fn count<S: Sql>(
    db: &S,
    head: &Head,
    result: &PartitionResult,
    (units, covered): (u64, u64),
    growth: &Growth,
) -> StoreResult<()> {
    let state = if growth.is_done { PartitionState::Done } else { PartitionState::Pending };
    let update = format!(
        "UPDATE partitions SET state = $3, attempts = $4, run_ms = {greatest}(run_ms + $5, 0), units = $6, \
         covered = $7, size = COALESCE(size, 0) + $8 WHERE job = $1 AND idx = $2",
        greatest = S::GREATEST
    );
    let values = values![
        head.num,
        i64::from(result.index),
        state.slug(),
        i64::from(result.attempt),
        growth.run_ms,
        sql(units),
        sql(covered),
        growth.bytes,
    ];
    db.execute(&update, values).await.map(drop)
}

/// Ranges of the stored parts of the partitions from the index `first` to `last`, ascending: of
/// those in the states of a list, if there is one.
pub(crate) async fn ranges<S: Sql>(
    db: &S,
    job: i64,
    (first, last): (u32, u32),
    states: Option<&String>,
) -> StoreResult<BTreeMap<u32, Vec<PartialRange>>> {
    let select = format!(
        "SELECT parts.idx AS idx, {RANGE} FROM parts \
         JOIN partitions ON partitions.job = parts.job AND partitions.idx = parts.idx \
         WHERE parts.job = $1 AND parts.idx >= $2 AND parts.idx <= $3 \
         AND (CAST($4 AS TEXT) IS NULL OR {}) ORDER BY parts.idx, begins",
        S::among("state", 4)
    );
    let read = |row: &dyn Columns| Ok((row.index("idx")?, range_of(row)?.ok_or_else(|| damaged("ends"))?));
    let mut ranges: BTreeMap<u32, Vec<PartialRange>> = BTreeMap::new();
    for (index, range) in db.select(&select, values![job, i64::from(first), i64::from(last), states], read).await? {
        ranges.entry(index).or_default().push(range);
    }
    Ok(ranges)
}

/// Query for the partials of the job `$1` behind the position `$2`, `$3`, with these columns. Those
/// of whole partitions are at the unit 0. Each of its two halves ends with `tail`.
pub(crate) fn stored<S: Sql>(columns: &str, tail: &str) -> String {
    let file = |table: &str| if S::FILES { format!("{table}.blob AS blob, ") } else { String::new() };
    // The columns of both halves have the same types: else no database reads them in the order of
    // the indexes, but sorts all partials for each page.
    let whole = format!(
        "SELECT idx, CAST(0 AS BIGINT) AS begins, CAST(NULL AS BIGINT) AS ends, CAST(NULL AS BIGINT) AS until, units, \
         state, size, {} partial FROM partitions \
         WHERE job = $1 AND idx > $2 AND state IN ('done', 'degraded') AND units IS NULL {tail}",
        file("partitions")
    );
    let parts = format!(
        "SELECT parts.idx AS idx, begins, ends, until, units, state, parts.size AS size, {} \
         parts.partial AS partial FROM parts \
         JOIN partitions ON partitions.job = parts.job AND partitions.idx = parts.idx \
         WHERE parts.job = $1 AND (parts.idx, begins) > ($2, $3) {tail}",
        file("parts")
    );
    // SQLite has no parentheses around a half.
    let half = |select: String| if tail.is_empty() { select } else { format!("({select})") };
    format!("SELECT {columns} FROM ({} UNION ALL {}) AS stored", half(whole), half(parts))
}

fn partition_of(row: &dyn Columns) -> StoreResult<PartitionUnits> {
    Ok(PartitionUnits {
        state: state_of(row)?,
        weight: row.count("weight")?,
        units: row.maybe_int("units")?.map(unsigned),
        covered: row.count("covered")?,
    })
}

fn part_of(row: &dyn Columns) -> StoreResult<StoredPart> {
    Ok(StoredPart {
        begin: row.count("begins")?,
        end: row.count("ends")?,
        until: row.count("until")?,
        epoch: row.count("epoch")?,
        attempt: row.index("attempt")?,
        size: row.int("size")?,
        run_ms: row.int("run_ms")?,
    })
}
