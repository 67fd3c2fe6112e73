//! Turns of the jobs on one processor: a caller whose jobs take all places gives one of them to
//! another caller's job that waits.

use std::time::Duration;

use frond_root::CancellationToken;
use tokio::time::Instant;

/// Most times that the turn of a job is doubled.
const DOUBLED: u64 = 4;

/// A place for a further job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Vacancy {
    /// Nobody has it.
    Free,
    /// The latest job of this caller has it, and its turn is over. It is for another caller's job.
    NotOf(Option<String>),
}

/// Jobs that run on one processor.
pub(super) struct CallerTurns {
    at_once: usize,
    turn: Duration,
    /// In the order in which they were taken.
    jobs: Vec<Turn>,
}

/// Turn of a job.
struct Turn {
    caller: Option<String>,
    since: Instant,
    length: Duration,
    /// Cancelled when the job is to be given back, or no longer runs.
    stop: CancellationToken,
}

impl CallerTurns {
    pub(super) fn new(at_once: usize, turn: Duration) -> Self {
        Self { at_once, turn, jobs: Vec::new() }
    }

    /// Returns the place for the next job, if there is one. If all are taken by one caller, that is
    /// the place of the caller's latest job, after its turn: its earlier jobs run undisturbed, so
    /// that leaves which take longer than a turn come to their end.
    pub(super) fn place(&mut self, now: Instant) -> Option<Vacancy> {
        self.jobs.retain(|job| !job.stop.is_cancelled());
        if self.jobs.len() < self.at_once {
            return Some(Vacancy::Free);
        }
        let latest = self.jobs.last()?;
        let is_over = now.saturating_duration_since(latest.since) >= latest.length;
        let is_alone = self.jobs.iter().all(|job| job.caller == latest.caller);
        (is_over && is_alone).then(|| Vacancy::NotOf(latest.caller.clone()))
    }

    /// Gives the place to a caller's job that was taken at `now`, for the `epoch`th time. `stop` is
    /// cancelled when the job is to be given back, and by its run when it ends.
    pub(super) fn begin(
        &mut self,
        place: &Vacancy,
        caller: Option<String>,
        epoch: u64,
        now: Instant,
        stop: CancellationToken,
    ) {
        if let Vacancy::NotOf(_) = place
            && let Some(latest) = self.jobs.pop()
        {
            latest.stop.cancel();
        }
        let length = length(self.turn, self.at_once, epoch);
        self.jobs.push(Turn { caller, since: now, length, stop });
    }
}

/// Length of the turn of a job that is taken for the `epoch`th time. With a single place, no job
/// runs undisturbed, so a job has twice its last turn, and in the end time for a long leaf.
fn length(turn: Duration, at_once: usize, epoch: u64) -> Duration {
    let doubled = if at_once == 1 { epoch.saturating_sub(1).min(DOUBLED) } else { 0 };
    turn.saturating_mul(1_u32 << doubled)
}

#[cfg(test)]
mod tests;
