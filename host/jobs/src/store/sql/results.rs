//! Accepted results as numbers in the job's row.

use crate::store::rules::{Head, MOST, sql};
use crate::store::{AcceptReport, Outcome, PartitionResult, StoreError, StoreResult, cause};

use super::parts::Growth;
use super::{Sql, values};

/// The failure of a partition, as JSON.
pub(crate) fn failure(outcome: &Outcome) -> StoreResult<Option<String>> {
    match outcome {
        Outcome::Failed(failure) => {
            serde_json::to_string(failure).map(Some).map_err(|error| StoreError::Other(cause(error)))
        }
        Outcome::Done(_) | Outcome::Part(..) | Outcome::Degraded(_) => Ok(None),
    }
}

/// Sums over the results of one call.
#[derive(Default)]
pub(crate) struct Accepted {
    report: AcceptReport,
    done: i64,
    degraded: i64,
    failed: i64,
    settled: i64,
    leaf_ms: i64,
    bytes: i64,
}

impl Accepted {
    /// Adds the first result of a whole partition with this weight.
    pub(crate) fn add(&mut self, result: &PartitionResult, weight: u64) {
        self.report.fresh.push(result.index);
        self.leaf_ms = self.leaf_ms.saturating_add(sql(result.run_ms));
        match &result.outcome {
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Degraded(_) => self.degraded += 1,
            Outcome::Done(_) | Outcome::Part(..) => self.done += 1,
        }
        if let Some(partial) = result.outcome.partial() {
            self.settled = self.settled.saturating_add(sql(weight));
            self.bytes = self.bytes.saturating_add(sql(partial.len() as u64));
        }
    }

    /// Adds the part of a partition, by which the job has grown.
    pub(crate) fn add_part(&mut self, index: u32, growth: &Growth) {
        self.report.fresh.push(index);
        self.leaf_ms = self.leaf_ms.saturating_add(growth.run_ms);
        self.settled = self.settled.saturating_add(growth.weight);
        self.bytes = self.bytes.saturating_add(growth.bytes);
        self.done += i64::from(growth.is_done);
    }

    /// Adds the sums to the job's row. `results` is the number of all results of the call.
    pub(crate) async fn store<S: Sql>(mut self, db: &S, head: &Head, results: usize) -> StoreResult<AcceptReport> {
        let count = format!(
            "UPDATE jobs SET done = done + $3, degraded = degraded + $4, failed = failed + $5, \
             settled_weight = {least}(settled_weight + $6, $8), leaf_ms = {least}(leaf_ms + $7, $8), \
             bytes = {least}(bytes + $9, $8), strikes = CASE WHEN CAST($10 AS BIGINT) > 0 THEN 0 ELSE strikes END \
             WHERE num = $1 AND epoch = $2",
            least = S::LEAST
        );
        let fresh = self.report.fresh.len();
        let values = values![
            head.num,
            sql(head.epoch),
            self.done,
            self.degraded,
            self.failed,
            self.settled,
            self.leaf_ms,
            MOST,
            self.bytes,
            sql(fresh as u64),
        ];
        head.fenced(db.execute(&count, values).await?)?;
        self.report.discarded = u32::try_from(results - fresh).unwrap_or(u32::MAX);
        self.report.fresh.sort_unstable();
        Ok(self.report)
    }
}
