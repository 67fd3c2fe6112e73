//! Coverage report of a gather. The outcomes always sum up to the plan.

use std::time::Duration;

use super::Gather;
use crate::answer::{
    Attempts, Coverage, MAX_MISSING, Missing, STRAGGLER_MS, STRAGGLER_TIMES, Status, Straggler, Tally, Timings, millis,
};
use crate::failure::{Cause, Failure, FailureKind, MAX_ACCOUNT_TEXTS, TextBudget};
use crate::ids::PartitionKey;

/// The most stragglers that a report names.
const MAX_STRAGGLERS: usize = 10;

impl Gather {
    /// The account as it stands. The caller supplies all times except those of leaves.
    #[must_use]
    pub fn coverage(&self, timings: Timings) -> Coverage {
        let mut partitions = Tally::default();
        let mut weight = Tally::default();
        for (cell, partition) in self.cells.iter().zip(self.plan.partitions()) {
            let status = cell.settled.unwrap_or(Status::NotStarted);
            partitions.add(status, 1);
            weight.add(status, partition.weight);
        }
        self.move_skipped(&mut weight);
        let missing = self.missing();
        let absent = partitions.planned - partitions.succeeded - partitions.skipped;
        Coverage {
            query: self.query,
            complete: partitions.is_complete(),
            fraction: self.fraction(),
            floor: self.demand.floor,
            required_missing: self.required_missing(),
            partitions,
            weight,
            covered: self.covered(),
            missing_omitted: absent - missing.len() as u64,
            missing,
            failures: self.account.failures.clone(),
            attempts: Attempts { wasted_ms: whole_ms(self.account.beaten), ..self.account.attempts },
            units: self.units(),
            workers: self.account.workers.account(),
            timings: Timings {
                leaf_used: millis(self.account.used),
                leaf_wasted: millis(self.account.wasted),
                leaf_waited: millis(self.account.waited),
                ..timings
            },
            stragglers: self.stragglers(),
            notes: self.plan.notes().list(),
        }
    }

    /// The missing partitions: first own failures, last partitions that were stopped because of
    /// them; each by index.
    fn missing(&self) -> Vec<Missing> {
        let absent = |status: Status| !matches!(status, Status::Succeeded | Status::Skipped);
        let cells = (0_u32..).zip(&self.cells);
        let mut missing: Vec<(Cause, u32)> = cells
            .map(|(index, cell)| (index, cell.settled.unwrap_or(Status::NotStarted), cell.cause))
            .filter(|(_, status, _)| absent(*status))
            .map(|(index, status, known)| (cause(status, known), index))
            .collect();
        if missing.len() > MAX_MISSING {
            missing.select_nth_unstable(MAX_MISSING);
            missing.truncate(MAX_MISSING);
        }
        missing.sort_unstable();
        let mut texts = TextBudget::new(MAX_ACCOUNT_TEXTS, 0);
        missing.into_iter().filter_map(|(_, index)| self.named(index, &mut texts)).collect()
    }

    fn named(&self, index: u32, texts: &mut TextBudget) -> Option<Missing> {
        let cell = self.cells.get(index as usize)?;
        let partition = self.plan.get(index)?;
        Some(Missing {
            key: partition.key.clone(),
            index,
            weight: partition.weight,
            status: cell.settled.unwrap_or(Status::NotStarted),
            share: cell.share,
            ranges: self.missing_ranges(index),
            attempts: u32::from(cell.attempts),
            slug: cell.kind,
            failure: cell
                .kind
                .zip(cell.cause)
                .and_then(|(kind, cause)| self.detail(index, kind, cause))
                .map(|failure| texts.take(failure)),
        })
    }

    /// The last failure in full. `None` when the last attempt was cut off without a report,
    /// whatever an earlier one said.
    fn detail(&self, index: u32, kind: FailureKind, cause: Cause) -> Option<&Failure> {
        let failure = self.details.get(&(cause, index))?;
        (failure.kind == kind).then_some(&**failure)
    }

    fn required_missing(&self) -> Vec<PartitionKey> {
        let lost =
            |index: &&u32| self.cells.get(**index as usize).is_none_or(|cell| cell.settled != Some(Status::Succeeded));
        self.demand
            .required
            .iter()
            .filter(lost)
            .filter_map(|index| self.plan.get(*index))
            .map(|partition| partition.key.clone())
            .collect()
    }

    fn stragglers(&self) -> Vec<Straggler> {
        let mut took = self.account.took.clone();
        took.sort_by(|one, other| other.1.total_cmp(&one.1));
        let Some(median) = took.get(took.len() / 2).map(|(_, time)| f64::from(*time)) else {
            return Vec::new();
        };
        took.iter()
            .map(|(index, time)| (index, f64::from(*time)))
            .take_while(|(_, time)| median > 0.0 && *time >= STRAGGLER_TIMES * median && *time * 1e3 >= STRAGGLER_MS)
            .take(MAX_STRAGGLERS)
            .filter_map(|(index, time)| {
                Some(Straggler {
                    key: self.plan.get(*index)?.key.clone(),
                    ms: (time * 1e6).round() / 1e3,
                    times_median: (time / median * 100.0).round() / 100.0,
                })
            })
            .collect()
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Rank of a missing partition's outcome. `known` is the cause of its last attempt, if there was
/// one.
fn cause(status: Status, known: Option<Cause>) -> Cause {
    match known {
        Some(cause) => cause,
        None if status == Status::Cancelled => Cause::Consequence,
        // Its leaf returned early.
        None if status == Status::Degraded => Cause::Own,
        None => Cause::NotStarted,
    }
}
